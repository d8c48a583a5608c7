"""The learning rate starts low, peaks after the warm-up, and is at its lowest when the run ends, whatever ends it."""

import math

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from tasks.training.schedule import Schedule, follow, limit

N_BATCHES, PEAK = 7, 0.3
FLOOR = 0.05


class Line(pl.LightningModule):
    """Keeps the learning rate of every step."""

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        self.schedule, self.layer, self.rates = schedule, nn.Linear(3, 1), []

    def training_step(self, batch: torch.Tensor) -> torch.Tensor:
        self.rates.append(self.optimizers().param_groups[0]["lr"])
        return self.layer(batch).square().mean()

    def configure_optimizers(self) -> dict:
        return follow(self.schedule, torch.optim.AdamW(self.parameters(), self.schedule.lr), self.trainer)


def rates(schedule: Schedule, **limits: int) -> list[float]:
    line = Line(schedule)
    quiet = dict(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    pl.Trainer(accelerator="cpu", **limits, **quiet).fit(line, DataLoader(torch.ones(N_BATCHES, 3)))
    return line.rates


@pytest.mark.parametrize(
    "limits", [{"max_epochs": 5}, {"max_epochs": 11, "max_steps": 23}, {"max_epochs": -1, "max_steps": 23}]
)
def test_the_rate_is_at_its_lowest_when_the_run_ends(limits: dict[str, int]) -> None:
    found = rates(Schedule(lr=PEAK, warmup_steps=2), **limits)
    n_steps = len(found)
    assert n_steps == limits.get("max_steps", 5 * N_BATCHES)
    half_cosine = [
        PEAK * (FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * step / n_steps)) / 2) for step in range(n_steps)
    ]
    assert found[0] == pytest.approx(half_cosine[0] / 2)
    assert found[1:] == pytest.approx(half_cosine[1:])


def test_without_an_end_the_rate_stays_at_its_peak() -> None:
    assert Schedule(warmup_steps=1).scale(10**6, N_BATCHES, limit(-1), limit(-1)) == 1


def test_self_critical_epochs_are_the_last_ones_and_a_run_without_an_end_has_none() -> None:
    schedule = Schedule(frozen_epochs=1, self_critical_epochs=2, lr=PEAK, self_critical_lr=PEAK / 10)
    phases = ["frozen", "fine_tune", "fine_tune", "self_critical", "self_critical"]
    assert [schedule.phase(epoch, limit(5)) for epoch in range(5)] == phases
    assert schedule.phase(10**6, limit(None)) == "fine_tune"
    assert schedule.scale(3 * N_BATCHES, N_BATCHES, 5) == pytest.approx(0.1)
    assert schedule.scale(3 * N_BATCHES - 1, N_BATCHES, 5) < FLOOR + 0.01
