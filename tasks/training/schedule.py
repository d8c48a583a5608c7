"""When and how fast what is trained: phases, and a learning rate that follows them to the end of the run."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import pytorch_lightning as pl
import torch

Phase = Literal["frozen", "fine_tune", "self_critical"]


@dataclass(frozen=True)
class Schedule:
    """When and how fast what is trained.

    Args:
        frozen_epochs: epochs at the start in which the encoder keeps its parameters.
        self_critical_epochs: epochs at the end that train on the metric itself instead of cross-entropy.
        lr: peak learning rate of the decoder; linear warm-up, then half a cosine down to a twentieth.
        encoder_lr: the same for the encoder, from the end of the frozen epochs.
        self_critical_lr: learning rate of the decoder in the self-critical epochs, in which the encoder is kept.
        warmup_steps: length of the warm-up, in optimiser steps.
        weight_decay: AdamW's.
    """

    frozen_epochs: int = 2
    self_critical_epochs: int = 0
    lr: float = 1e-3
    encoder_lr: float = 2e-4
    self_critical_lr: float = 1e-4
    warmup_steps: int = 300
    weight_decay: float = 0.01

    def phase(self, epoch: int, n_epochs: float) -> Phase:
        if epoch >= n_epochs - self.self_critical_epochs:
            return "self_critical"
        return "frozen" if epoch < self.frozen_epochs else "fine_tune"

    def scale(self, step: int, per_epoch: float, n_epochs: float, n_steps: float = math.inf) -> float:
        """Factor on the peak learning rates at an optimiser step, in a run that ends at n_epochs or n_steps."""
        last = (n_epochs - self.self_critical_epochs) * per_epoch
        if step >= last:
            return self.self_critical_lr / self.lr
        done = step / max(1, min(last, n_steps))
        return min(1.0, (step + 1) / self.warmup_steps) * (0.05 + 0.95 * (1 + math.cos(math.pi * done)) / 2)


def limit(of_trainer: int | None) -> float:
    """Lightning's max_epochs or max_steps as a number; it writes none as -1."""
    return math.inf if of_trainer is None or of_trainer < 0 else of_trainer


def follow(schedule: Schedule, optimizer: torch.optim.Optimizer, trainer: pl.Trainer) -> dict[str, Any]:
    """What a module's configure_optimizers returns: the optimizer, its learning rates scaled at every step."""

    def scale(step: int) -> float:
        # asked at every step anew, since Lightning knows the number of batches only later, and says inf until then
        per_epoch = trainer.num_training_batches / trainer.accumulate_grad_batches
        return schedule.scale(step, per_epoch, limit(trainer.max_epochs), limit(trainer.max_steps))

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, scale)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
