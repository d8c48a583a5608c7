"""The training command line against the real thing: processes that are started, killed and resumed."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255), "black": (0, 0, 0)}


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of 13 plain pictures in a table: enough to train on, small enough to do it many times."""
    folder = tmp_path_factory.mktemp("colours")
    rows = []
    for n in range(13 + 2 * 5):
        name, colour = list(COLOURS.items())[n % 5]
        Image.new("RGB", (67, 41 + n), colour).save(folder / f"{n}.png")
        split = "train" if n < 13 else "val" if n < 18 else "test"
        rows += [(f"{n}.png", f"a plain {name} picture", split), (f"{n}.png", f"this is {name}", split)]
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "caption", "split"), *rows])
    return folder


def command(verb: str, *args: str) -> list[str]:
    return [sys.executable, "-m", "tasks.cli", "captioning", verb, *args]


def fit_args(data: Path, run: Path) -> list[str]:
    options = {
        "model.encoder.name": "mobilenet_v3_small",
        "model.encoder.size": 64,
        "model.decoder.dim": 16,
        "model.schedule.frozen_epochs": 1,
        "model.schedule.self_critical_epochs": 1,
        "model.schedule.warmup_steps": 3,
        "model.search.beam": 2,
        "model.search.max_length": 7,
        "data.root": data / "table.csv",
        "data.batch_size": 3,
        "data.min_count": 1,
        "trainer.max_epochs": 3,
        "trainer.default_root_dir": run,
        "trainer.accelerator": "cpu",
        "trainer.enable_model_summary": "false",
        "trainer.enable_progress_bar": "false",
        "last.every_n_train_steps": 1,
    }
    return [part for key, value in options.items() for part in (f"--{key}", str(value))]


def run(args: list[str], cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).resolve().parents[1])
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    done = subprocess.run(args, cwd=cwd, env=env, text=True, capture_output=True, timeout=300)
    assert not check or done.returncode == 0, done.stderr[-3000:]
    return done


def read(path: Path) -> dict:
    return torch.load(path, weights_only=True)


@pytest.fixture(scope="module")
def whole(colours: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing disturbed."""
    cwd = tmp_path_factory.mktemp("whole")
    run(command("fit", *fit_args(colours, Path("runs/captioning/one"))), cwd)
    return cwd / "runs/captioning/one"


@pytest.mark.parametrize("killed_at", [2, 7, 12])
def test_a_killed_run_resumes_from_last_alone_and_ends_exactly_where_the_undisturbed_one_did(
    killed_at: int, colours: Path, whole: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "runs/captioning/one"
    kill_after_step(killed_at, command("fit", *fit_args(colours, Path("runs/captioning/one"))), tmp_path, folder)
    run(command("fit", "--ckpt_path", "last"), tmp_path)
    expected, got = read(whole / "checkpoints/last.ckpt"), read(folder / "checkpoints/last.ckpt")
    assert got["global_step"] == expected["global_step"] == 15
    for name, parameter in expected["state_dict"].items():
        assert torch.equal(parameter, got["state_dict"][name]), name


def kill_after_step(step: int, args: list[str], cwd: Path, folder: Path) -> None:
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    process = subprocess.Popen(args, cwd=cwd, env=env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    last = folder / "checkpoints/last.ckpt"
    while not last.exists() or read(last)["global_step"] < step:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
