"""Options that all tasks share do in each of them what they say, or are refused in one line."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from multimodal_attn.errors import ConfigError
from tasks.captioning.module import CaptioningModule
from tasks.cli import main
from tasks.speech.module import SpeechModule
from tasks.training.module import OPTIONAL, LossConfig
from tasks.training.schedule import Schedule
from tests.speech.test_speech_training import arguments, tones  # noqa: F401


def trained(tones: Path, run: Path, n_steps: int, frozen_epochs: int) -> dict[str, Tensor]:  # noqa: F811
    options = {"model.schedule.frozen_epochs": frozen_epochs, "trainer.limit_train_batches": n_steps}
    options |= {"trainer.limit_val_batches": 0, "model.schedule.warmup_steps": 1, "last.every_n_train_steps": 1}
    rest = [part for key, value in options.items() for part in (f"--{key}", str(value))]
    assert main(["speech", "fit", *arguments(tones, run, 1), *rest]) == 0
    return torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


@pytest.mark.parametrize("frozen_epochs", [0, 1])
def test_an_encoder_of_sounds_keeps_its_parameters_in_the_frozen_epochs(
    frozen_epochs: int,
    tones: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    before, after = (trained(tones, tmp_path / str(n), n, frozen_epochs) for n in (1, 3))
    moved = {name: not torch.equal(before[name], after[name]) for name in before}
    encoder = [moved[name] for name in moved if name.startswith("model.encoder")]
    assert not any(encoder) if frozen_epochs else all(encoder)
    assert moved["model.decoder.embedding.weight"]


@pytest.mark.parametrize(
    ("task", "option"),
    [
        ("speech", ["--model.schedule.self_critical_epochs", "1"]),
        ("captioning", ["--model.loss.ctc", "0.5"]),
        ("captioning", ["--model.loss.guided", "0.1"]),
    ],
)
def test_what_a_task_does_nothing_with_is_one_clear_error(
    task: str, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([task, "fit", "--data.root", "[nowhere]" if task == "speech" else "nowhere", *option]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert option[0].removeprefix("--") in line and "does nothing with it; leave it at 0" in line


def test_every_optional_option_is_honoured_by_some_task() -> None:
    assert set(OPTIONAL) == CaptioningModule.honours | SpeechModule.honours
    CaptioningModule(schedule=Schedule(self_critical_epochs=1), loss=LossConfig())
    SpeechModule(loss=LossConfig(ctc=0.3, guided=0.1))
    with pytest.raises(ConfigError, match="leave it at 0"):
        CaptioningModule(loss=LossConfig(ctc=1.0))
