"""A training run that is killed at any instant, with whatever settings, goes on to the same end, to the last bit."""

import csv
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.runs import as_args, check_equal, kill, started

RATE, RUN = 16_000, Path("runs/speech/one")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of noise, of a quarter of a second to one: some are short enough to be joined."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(3)
    with (folder / "table.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "text", "split", "speaker", "seconds"])
        for n in range(29):
            samples = 0.1 * rng.standard_normal(rng.integers(RATE // 4, RATE))
            soundfile.write(folder / f"{n}.wav", samples, RATE)
            text, seconds = "".join(rng.choice(list("abc "), 5)) + "a", round(len(samples) / RATE, 3)
            table.writerow([f"{n}.wav", text, "val" if n < 5 else "train", f"{n % 3} {n < 5}", seconds])
    return folder / "table.csv"


def settings(clips: Path, others: dict[str, Any]) -> list[str]:
    options = {
        "data.root": clips,
        "data.n_pieces": 0,
        "data.batch_size": 4,
        "data.augmentation.join": 0.4,
        "model.encoder.name": "blstm",
        "model.encoder.dim": 12,
        "model.encoder.layers": 1,
        "model.decoder.dim": 13,
        "model.decoder.dropout": 0.3,
        "model.schedule.warmup_steps": 5,
        "model.search.beam": 2,
        "model.search.max_length": 5,
        "trainer.max_epochs": 3,
        "trainer.log_every_n_steps": 1,
        "trainer.default_root_dir": RUN,
        "trainer.accelerator": "cpu",
        "trainer.devices": 1,
        "trainer.enable_model_summary": "false",
        "trainer.enable_progress_bar": "false",
    }
    return ["speech", "fit", *as_args(options | others)]


def finish(folder: Path, args: list[str]) -> None:
    process = started(folder, args)
    process.join()
    assert process.exitcode == 0, (folder / "said.txt").read_text()[-3000:]


def check_killed(tmp_path: Path, args: list[str], moments: list[float]) -> None:
    """Compares an undisturbed run with one that is killed at these moments, in shares of the time that the first took,
    and goes on after each."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir(), killed.mkdir()
    begin = time.monotonic()
    finish(whole, args)
    took = time.monotonic() - begin
    for moment in moments:
        process = started(killed, next_args(killed, args))
        process.join(moment * took)
        kill(process)
    finish(killed, next_args(killed, args))
    check_equal(whole / RUN, killed / RUN)


def next_args(folder: Path, args: list[str]) -> list[str]:
    """What its user would say now."""
    return ["speech", "fit", "--ckpt_path", "last"] if any(folder.rglob("*.ckpt")) else args


TWO = {"trainer.devices": 2, "trainer.strategy": "ddp_fork_find_unused_parameters_true"}


def drawn(seed: int) -> tuple[dict[str, Any], list[float]]:
    """Settings, and the moments of one to three kills."""
    rng = random.Random(seed)
    options = {
        "data.n_workers": rng.choice([0, 1, 2, 3]),
        "data.batch_size": rng.choice([2, 3, 5]),
        "data.easy_epochs": rng.choice([0, 1]),
        "trainer.accumulate_grad_batches": rng.choice([1, 1, 2, 3]),
        "last.every_n_train_steps": rng.choice([1, 2, 3, 200]),
    }
    if limit := rng.choice([None, 3, 4, 0.5, 0.7]):
        options["trainer.limit_train_batches"] = limit
    if rng.random() < 0.3:
        options["trainer.val_check_interval"] = 0.5
    if rng.random() < 0.4:
        options |= TWO
    return options, [rng.uniform(0.1, 1.0) for _ in range(rng.choice([1, 1, 2, 3]))]


@pytest.mark.parametrize(
    "options",
    [{"data.n_workers": 2, "trainer.accumulate_grad_batches": 2}, {"trainer.limit_train_batches": 3} | TWO],
    ids=["several workers", "two processes"],
)
def test_a_killed_run_ends_where_the_undisturbed_one_does(options: dict[str, Any], clips: Path, tmp_path: Path) -> None:
    brief = {"trainer.max_epochs": 2, "last.every_n_train_steps": 1}
    check_killed(tmp_path, settings(clips, brief | options), [0.7])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30))
def test_settings_that_are_drawn_and_kills_at_random_change_nothing(seed: int, clips: Path, tmp_path: Path) -> None:
    options, moments = drawn(seed)
    check_killed(tmp_path, settings(clips, options), moments)
