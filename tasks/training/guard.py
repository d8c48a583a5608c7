"""A run that has gone wrong ends before its parameters do: at the first step whose loss or gradients are not finite."""

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from multimodal_attn.errors import TrainingError


class StopAtNaN(Callback):
    """Raises TrainingError before the update that a loss of NaN or infinity, or such gradients, would make.

    Where gradients are scaled (fp16), infinite ones are the scaler's to skip, and only the loss counts. Ranks decide
    together, so that none waits for one that has stopped.
    """

    def __init__(self) -> None:
        self.finite: Tensor | None = None  # of all losses since the last update

    def on_before_backward(self, trainer: Trainer, module: LightningModule, loss: Tensor) -> None:
        finite = loss.detach().isfinite().all()
        self.finite = finite if self.finite is None else self.finite & finite

    def on_before_optimizer_step(self, trainer: Trainer, module: LightningModule, optimizer: Any) -> None:
        finite, self.finite = self.finite, None
        if getattr(trainer.precision_plugin, "scaler", None) is None:
            finite = gradients_finite(module) & finite
        if not trainer.strategy.reduce_boolean_decision(bool(finite), all=True):
            raise TrainingError(
                f"the loss or its gradients are no longer finite at step {trainer.global_step + 1}; nothing of it was "
                "saved; lower the learning rate (--model.schedule.lr, --model.lr), or go on from an earlier checkpoint"
            )


def gradients_finite(module: LightningModule) -> Tensor:
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    return torch.nn.utils.get_total_norm(gradients).isfinite()
