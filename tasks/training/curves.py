"""metrics.csv of a run: on the disk with every checkpoint, no step twice where a run goes on, and as a picture."""

import csv
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.logger import rank_zero_experiment
from pytorch_lightning.utilities import rank_zero_only

from multimodal_attn.files import write_whole
from tasks.training.plots import draw_curves, read_curves

FILE = "metrics.csv"


class RunCSVLogger(CSVLogger):
    """A CSVLogger whose file is as far as the newest checkpoint."""

    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        self.save()

    def draw_curves(self) -> None:
        """Writes curves.png beside it."""
        self.save()
        path = Path(self.log_dir) / FILE
        if path.exists():
            draw_curves(read_curves(path)).save(path.with_name("curves.png"))


class ContinuedCSVLogger(RunCSVLogger):
    """One that goes on in the file of the run it resumes, which Lightning's deletes."""

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        if self._experiment is None:
            path = Path(self.log_dir) / FILE
            earlier = path.read_text() if path.exists() else ""
            writer = super().experiment
            if earlier:
                path.write_text(earlier)
                writer.metrics_keys = next(csv.reader([earlier.splitlines()[0]]))
        return self._experiment


class ForgetLaterSteps(Callback):
    """Where a run goes on, takes the steps out of metrics.csv that come once more: those after the checkpoint."""

    @rank_zero_only
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for logger in trainer.loggers:
            path = Path(logger.log_dir) / FILE if isinstance(logger, ContinuedCSVLogger) else None
            if path and path.exists():
                write_whole(path, rows_before(trainer.global_step, path.read_text()))


def rows_before(step: int, table: str) -> str:
    """The table without the rows of `step` and later ones."""
    header, *rows = table.splitlines(keepends=True)
    place = next(csv.reader([header])).index("step")
    return "".join([header, *(row for row in rows if float(next(csv.reader([row]))[place] or -1) < step)])
