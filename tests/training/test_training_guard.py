"""What a run leaves when it goes wrong: numbers that are not finite, a full disk, a kill in the middle of a save."""

import os
import resource
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from multimodal_attn.errors import CheckpointError, TrainingError
from tasks.training.guard import StopAtNaN
from tasks.training.resume import AtomicCheckpointIO, find_checkpoint, read_checkpoint, remove_left_overs
from tests.conftest import CLEAN

NAN, INF = float("nan"), float("inf")


class Line(pl.LightningModule):
    """One parameter, the slope of a line through the origin."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.ones(1))

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return (self.slope * batch).mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


def train(data: list[float], folder: Path, accumulated: int = 1) -> pl.Trainer:
    last = pl.callbacks.ModelCheckpoint(folder, "last", every_n_train_steps=1, enable_version_counter=False)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accumulate_grad_batches=accumulated,
        callbacks=[StopAtNaN(), last],
        plugins=[AtomicCheckpointIO()],
    )
    trainer.fit(Line(), DataLoader(torch.tensor(data), batch_size=1))
    return trainer


@pytest.mark.parametrize("bad", [NAN, INF])
def test_a_loss_that_is_not_finite_stops_before_its_update(bad: float, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="step 3; .*lower the learning rate") as caught:
        train([1.0, 1.0, bad, 1.0], tmp_path)
    assert "\n" not in str(caught.value)
    saved = read_checkpoint(tmp_path / "last.ckpt")
    assert saved["global_step"] == 2
    assert saved["state_dict"]["slope"].item() == pytest.approx(0.8)  # two steps of 0.1, and none of NaN


def test_a_bad_loss_among_accumulated_ones_is_not_forgotten(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="step 1"):
        train([NAN, 1.0], tmp_path, accumulated=2)


def test_gradients_that_are_not_finite_stop_it_unless_a_scaler_skips_them() -> None:
    module = Line()
    module.slope.grad = torch.tensor([INF])

    class Strategy:
        @staticmethod
        def reduce_boolean_decision(decision: bool, all: bool) -> bool:
            return decision

    class Plain:
        global_step, strategy, precision_plugin = 0, Strategy, None

    class Scaled(Plain):
        class precision_plugin:  # noqa: N801
            scaler = object()

    for trainer, loss, stops in (
        (Plain, 1.0, True),
        (Scaled, 1.0, False),
        (Scaled, NAN, True),
    ):
        guard = StopAtNaN()
        guard.on_before_backward(trainer, module, torch.tensor(loss))
        if stops:
            with pytest.raises(TrainingError):
                guard.on_before_optimizer_step(trainer, module, None)
        else:
            guard.on_before_optimizer_step(trainer, module, None)


def checkpoint(value: float = 1.0, n: int = 3) -> dict:
    return {"state_dict": {"model.x": torch.full((n,), value)}}


@pytest.mark.parametrize("bad", [NAN, INF])
def test_parameters_that_are_not_finite_are_not_saved(bad: float, tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint(checkpoint(), path)
    with pytest.raises(TrainingError, match="not saved"):
        AtomicCheckpointIO().save_checkpoint(checkpoint(bad), path)
    assert read_checkpoint(path)["state_dict"]["model.x"].tolist() == [1.0] * 3
    assert [each.name for each in tmp_path.iterdir()] == ["last.ckpt"]


def test_last_passes_over_parameters_that_are_not_finite(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    torch.save(checkpoint(NAN), tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match="no usable checkpoint"):
        find_checkpoint("last", tmp_path)
    with pytest.raises(CheckpointError, match="NaN"):
        find_checkpoint(str(tmp_path / "last.ckpt"), tmp_path)
    torch.save(checkpoint(), tmp_path / "best.ckpt")
    os.utime(tmp_path / "best.ckpt", (1, 1))
    assert find_checkpoint("last", tmp_path)[0].name == "best.ckpt"
    assert "trying the one before" in capsys.readouterr().err


def save_on_a_full_disk(path: Path, queue: Any) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (10**5, 10**5))
    try:
        AtomicCheckpointIO().save_checkpoint(checkpoint(2.0, 10**6), path)
    except TrainingError as error:
        queue.put(str(error))


def save_for_ever(path: Path) -> None:
    while True:
        AtomicCheckpointIO().save_checkpoint(checkpoint(1.0, 10**6), path)


def test_a_full_disk_costs_the_new_checkpoint_and_not_the_old_one(tmp_path: Path) -> None:
    path, queue = tmp_path / "last.ckpt", CLEAN.SimpleQueue()
    AtomicCheckpointIO().save_checkpoint(checkpoint(), path)
    process = CLEAN.Process(target=save_on_a_full_disk, args=(path, queue))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    line = queue.get()
    assert "was not saved" in line and "\n" not in line
    assert read_checkpoint(path)["state_dict"]["model.x"].tolist() == [1.0] * 3
    assert [each.name for each in tmp_path.iterdir()] == ["last.ckpt"]


def test_kills_during_saves_leave_a_whole_checkpoint_and_at_most_one_left_over(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint(checkpoint(1.0, 10**6), path)
    for wait in (0.1, 0.13, 0.17, 0.19, 0.23):
        process = CLEAN.Process(target=save_for_ever, args=(path,))
        process.start()
        time.sleep(wait)
        process.kill()
        process.join()
        assert read_checkpoint(path)["state_dict"]["model.x"].sum() == 10**6
    assert len(list(tmp_path.iterdir())) <= 2
    (tmp_path / ".last.ckpt.part").touch()
    remove_left_overs(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_checkpoint_that_unpacks_to_more_than_it_is_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.ckpt"
    AtomicCheckpointIO().save_checkpoint(checkpoint(), path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("archive/data/9", "w") as part:
        for _ in range(64):
            part.write(bytes(1 << 20))
    assert path.stat().st_size < 10**6
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError, match="compressed"):
        read_checkpoint(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10  # kB


def test_a_tensor_that_repeats_one_number_is_no_parameter(tmp_path: Path) -> None:
    path = tmp_path / "repeated.ckpt"
    torch.save({"state_dict": {"model.x": torch.ones(1).expand(10**12)}}, path)
    with pytest.raises(CheckpointError, match="more than it has"):
        read_checkpoint(path)


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_no_checkpoint(make, tmp_path: Path) -> None:
    make(tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match="regular"):
        read_checkpoint(tmp_path / "x.ckpt")
