"""What a run shows while it goes on, and what it leaves behind: captions, attention pictures, its health, scores."""

import json
from pathlib import Path
from typing import Any

from PIL import Image
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_only

from multimodal_attn.figures import render_figure
from multimodal_attn.senses import sense_of
from multimodal_attn.trace import AttentionTrace
from multimodal_attn.trace.health import summarise, widespread_fault
from tasks.training.curves import RunCSVLogger
from tasks.training.data import Example
from tasks.training.pictures import picture_keepers


class ShowResults(Callback):
    """After every validation: a few fixed sentences on the screen, and their attention pictures wherever the run's
    loggers keep pictures."""

    def __init__(self, n_shown: int = 4) -> None:
        self.n_shown = n_shown

    @rank_zero_only
    def on_validation_end(self, trainer: Trainer, module: Any) -> None:
        if trainer.sanity_checking:
            return
        for index in sorted(module.results)[: self.n_shown]:
            trace, example = module.results[index], module.examples[index]
            print(f"  {example.name}: {trace.text}")
            if keepers := picture_keepers(trainer.loggers):
                figure = draw(trace, example, module)
                for keep in keepers:
                    keep(f"attention/{example.name}", figure, trainer.global_step, trainer.current_epoch)


def draw(trace: AttentionTrace, example: Example, module: Any) -> Image.Image:
    sense = sense_of(trace.geometry.kind)
    return render_figure(trace, sense.original(sense.read(example.input, module.model)))


class CompileEncoder(Callback):
    """Compiles the parts of the encoder in place, so that checkpoints keep their names."""

    def on_fit_start(self, trainer: Trainer, module: Any) -> None:
        for part in module.model.encoder.children():
            part.compile()


class DrawCurves(Callback):
    """After every epoch: metrics.csv as a picture beside it."""

    @rank_zero_only
    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, RunCSVLogger):
                logger.draw_curves()


class AttentionHealth(Callback):
    """After every validation: how attention is, as curves, and a line in plain words if it is ill in most sentences."""

    @rank_zero_only
    def on_validation_epoch_end(self, trainer: Trainer, module: Any) -> None:
        figures = summarise([trace.health for trace in module.results.values()])
        figures.pop("evenness", None)  # the entropy's curve on another scale
        # this comes before the ranks share their results: the first one's share stands for all
        module.log_dict({f"val/attention/{name}": value for name, value in figures.items()}, rank_zero_only=True)

    @rank_zero_only
    def on_validation_end(self, trainer: Trainer, module: Any) -> None:
        if fault := widespread_fault([trace.health for trace in module.results.values()]):
            print(f"  {fault}")


class WriteResults(Callback):
    """`test` and `predict` leave captions-*.jsonl, or what else the task writes, in the run's folder, `test` its scores
    beside them."""

    @rank_zero_only
    def on_test_end(self, trainer: Trainer, module: Any) -> None:
        folder = self._write(trainer, module, "test")
        scores = {
            name.removeprefix("test/"): round(float(value), 4) for name, value in trainer.callback_metrics.items()
        }
        scores = {"split": trainer.datamodule.split, "n": len(module.results), "beam": module.search.beam, **scores}
        (folder / "scores-test.json").write_text(json.dumps(scores, indent=2) + "\n")
        if report := module.report(module.results):
            (folder / "errors-test.txt").write_text(report, encoding="utf-8")
            print(f"errors of every sentence in {folder / 'errors-test.txt'}")

    @rank_zero_only
    def on_predict_end(self, trainer: Trainer, module: Any) -> None:
        self._write(trainer, module, "predict")

    def _write(self, trainer: Trainer, module: Any, stage: str) -> Path:
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{module.written}-{stage}.jsonl"
        with path.open("w", encoding="utf-8") as file:
            for index, trace in sorted(module.results.items()):
                row = {"path": str(module.examples[index].input), "text": trace.text, "score": trace.score}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        print(f"{len(module.results)} sentences in {path}")
        return folder
