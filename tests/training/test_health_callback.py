"""Training says how its attention is: curves after every validation, and a plain line when it is ill."""

from dataclasses import replace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from multimodal_attn.senses.sound.geometry import SoundGeometry
from multimodal_attn.trace import AttentionTrace, Token
from multimodal_attn.trace.health import UNIFORM
from tasks.training.callbacks import AttentionHealth

S, T = 13, 5
TOKENS = tuple(Token(f"w{n}", 0.5) for n in range(T))
ALONG = AttentionTrace(
    "", -1.0, TOKENS, np.eye(S, dtype=np.float32)[0 : 2 * T : 2, None], SoundGeometry(1.3, 0, 0.1, S)
)
EVEN = replace(ALONG, weights=np.full((T, 1, S), 1 / S, np.float32))
NO_HEADS = replace(ALONG, weights=np.zeros((T, 0, S), np.float32))


class Validated(pl.LightningModule):
    """A module whose validation gives the planted results."""

    def __init__(self, *traces: AttentionTrace) -> None:
        super().__init__()
        self.results = dict(enumerate(traces))

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        pass


def validated(*traces: AttentionTrace) -> dict[str, float]:
    options = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = pl.Trainer(callbacks=[AttentionHealth()], enable_checkpointing=False, **options)
    trainer.validate(Validated(*traces), DataLoader(torch.zeros(1, 1)), verbose=False)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def test_the_medians_are_logged_and_the_alarm_is_raised(capsys: pytest.CaptureFixture[str]) -> None:
    figures = validated(EVEN, ALONG, EVEN)
    expected = {"entropy": np.log(S), "change": 0, "coverage": 1, "monotonicity": 1}
    assert figures == pytest.approx({f"val/attention/{name}": value for name, value in expected.items()}, abs=1e-5)
    assert f"{UNIFORM} (in 2 of 3 sentences)" in capsys.readouterr().out


@pytest.mark.parametrize("traces", [(ALONG, ALONG, EVEN), (NO_HEADS,), ()], ids=["well", "no attention", "no results"])
def test_health_and_the_absence_of_attention_raise_no_alarm(
    traces: tuple[AttentionTrace, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert bool(validated(*traces)) == (len(traces) == 3)
    assert capsys.readouterr().out.strip() == ""
