"""Whole training runs in processes of their own, and what two runs that ought to be one have to agree in."""

import csv
import os
import signal
from collections import Counter
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from tests.conftest import CLEAN


def as_args(options: dict[str, Any]) -> list[str]:
    return [part for key, value in options.items() for part in (f"--{key}", str(value))]


def started(folder: Path, args: list[str]) -> BaseProcess:
    """The process of `multimodal-attn`, at the head of a group of its own, in a folder that holds what it says."""
    process = CLEAN.Process(target=_command, args=(folder, args))
    process.start()
    return process


def _command(folder: Path, args: list[str]) -> None:
    from tasks.cli import main

    os.setsid()
    os.chdir(folder)
    said = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(said, 1), os.dup2(said, 2)
    raise SystemExit(main(args))


def kill(process: BaseProcess) -> None:
    """As a power cut does it: at once, with all that it started; one that is over already stays as it is."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.join()


def read(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True)


def check_equal(one: Path, other: Path) -> None:
    """Two run folders: the same parameters and moments at the same step, the same best, curves without a step twice."""
    for name in ("last", "best"):
        expected, got = (read(folder / "checkpoints" / f"{name}.ckpt") for folder in (one, other))
        assert (got["global_step"], got["epoch"]) == (expected["global_step"], expected["epoch"]), name
        for key, parameter in expected["state_dict"].items():
            assert torch.equal(parameter, got["state_dict"][key]), (name, key)
        for key, state in expected["optimizer_states"][0]["state"].items():
            assert torch.equal(state["exp_avg"], got["optimizer_states"][0]["state"][key]["exp_avg"]), (name, key)
    assert curves(other) == curves(one)


def curves(folder: Path) -> Counter[tuple[tuple[str, str], ...]]:
    """The rows of metrics.csv, in any order."""
    with (folder / "metrics.csv").open(newline="") as file:
        return Counter(tuple((name, value) for name, value in row.items() if value) for row in csv.DictReader(file))
