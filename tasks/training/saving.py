"""`last`, the checkpoint that a run goes on from: written often, and only where going on is exact."""

import os
import signal
import threading
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint

from multimodal_attn.errors import TrainingStopped

STOPPING = b"\nstopping after this batch, or after the validation that goes on; once more stops at once\n"


class LastCheckpoint(ModelCheckpoint):
    """Saved every `every_n_train_steps`, at the end of every epoch, where training ends, and when it is stopped.

    Never between a batch and the validation that follows it, which a run that goes on would pass over, nor before all
    gradients of a step are there. The first Ctrl-C or SIGTERM is answered when that has been done, the second at once.
    """

    number: int = 0  # of the signal that asked to stop
    handlers: dict[int, Any] = {}  # noqa: RUF012 (replaced, never changed)
    is_due = is_asked = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self.number, self.is_asked = 0, False
        if threading.current_thread() is threading.main_thread():
            self.handlers = {each: signal.signal(each, self._ask) for each in (signal.SIGINT, signal.SIGTERM)}

    def _ask(self, number: int, frame: Any) -> None:
        self.number = number
        signal.signal(number, self.handlers[number])
        os.write(2, STOPPING)  # print may be what was interrupted

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        loop = trainer.fit_loop.epoch_loop
        if loop._should_accumulate() or loop._num_ready_batches_reached():
            return
        self._hear(trainer)
        ends = trainer.should_stop or 0 <= trainer.max_steps <= trainer.global_step
        steps = self._every_n_train_steps
        self.is_due = self.is_asked or ends or bool(steps and trainer.global_step % steps == 0)
        if not loop._should_check_val_fx(trainer.fit_loop._data_fetcher):
            self._save_if_due(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.fit_loop.epoch_loop._num_ready_batches_reached():
            self._hear(trainer)
            self.is_due = self.is_due or self.is_asked
            self._save_if_due(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.fit_loop.epoch_loop._num_ready_batches_reached():
            self._hear(trainer)
            self.is_due = True
            self._save_if_due(trainer)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Raises TrainingStopped, now that the batch before has been logged too."""
        if self.is_asked:
            number = self.number or signal.SIGINT  # another rank's
            how = f"go on with --ckpt_path {self.best_model_path}" if self.best_model_path else "nothing was saved"
            raise TrainingStopped(f"stopped after step {trainer.global_step}; {how}", 128 + number)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.is_due = True
        self._save_if_due(trainer)
        self._give_back_signals()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._give_back_signals()

    def _hear(self, trainer: Trainer) -> None:
        """Whether any rank has been asked to stop."""
        self.is_asked = trainer.strategy.reduce_boolean_decision(bool(self.number), all=False)

    def _save_if_due(self, trainer: Trainer) -> None:
        if self.is_due and not self._should_skip_saving_checkpoint(trainer):
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))
        self.is_due = False

    def _give_back_signals(self) -> None:
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        self.handlers = {}


class RestoreLoader(Callback):
    """Brings the training loader to where the checkpoint left it. Lightning does so only in the middle of an epoch, and
    begins with the first epoch's order again after a checkpoint of an epoch's end, or of its validation."""

    states: list[dict[str, Any]] = []  # noqa: RUF012 (replaced, never changed)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        loops = checkpoint.get("loops", {}).get("fit_loop", {})
        self.states = loops.get("state_dict", {}).get("combined_loader", [])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for loader, state in zip(trainer.fit_loop._combined_loader.flattened, self.states, strict=False):
            loader.load_state_dict(state)
        self.states = []
