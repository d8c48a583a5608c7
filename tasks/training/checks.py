"""What would end a run hours later, or with a traceback, is one line before it begins."""

from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint

from multimodal_attn.errors import ConfigError, DataError, UserError

OF_TRAINING = ("train/*", "lr-*", "epoch", "step")


@contextmanager
def plainly(*kinds: type[Exception]) -> Iterator[None]:
    """Raises ConfigError of one line instead of these errors, with which libraries refuse what they are asked for."""
    try:
        yield
    except UserError:
        raise
    except kinds as error:
        message = " ".join(str(error).split())[:400].rstrip(". ")
        raise ConfigError(f"{message or type(error).__name__}; see --help for what can be set") from error


class CheckRun(Callback):
    """Raises ConfigError for a callback that waits for a metric which will not be there, and DataError for a validation
    split that does not go round the processes."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        examples = getattr(trainer.datamodule, "examples", {}).get("val", ())
        validates = trainer.limit_val_batches != 0
        if validates and examples and len(examples) < trainer.world_size:
            few = f"the split val has {len(examples)} examples, fewer than the {trainer.world_size} processes"
            raise DataError(f"{few}; add some, or use fewer --trainer.devices")
        measured = (*(f"val/{name}" for name in getattr(pl_module, "measured", ("*",)) if validates), *OF_TRAINING)
        for callback in trainer.callbacks:
            check_monitor(callback, measured, validates)


def check_monitor(callback: Any, measured: tuple[str, ...], validates: bool) -> None:
    name = getattr(callback, "monitor", None)
    if not isinstance(name, str) or any(fnmatch(name, pattern) for pattern in measured):
        return
    if isinstance(callback, ModelCheckpoint) and not validates:
        return  # never asked
    kind, off = type(callback).__name__, "" if validates else " while validation is off"
    names = ", ".join(pattern for pattern in measured if not pattern.startswith("lr-"))
    raise ConfigError(f"{kind} monitors {name!r}, which is not measured{off}; choose one of {names}")
