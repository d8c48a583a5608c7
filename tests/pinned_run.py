"""A short run of an older commit: `python -m tests.pinned_run` writes tests/pinned/older.ckpt and where it leads.

The checkpoint stays as it is through all changes of the code, for those of people are as old. It is written anew only
where it is given up that older runs resume, which CHANGELOG then says.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from tasks.cli import main
from tests.conftest import ROOT

CHECKPOINT, AHEAD = ROOT / "tests/pinned/older.ckpt", ROOT / "tests/pinned/older.json"
STEPS, MORE = 5, 4
WORDS = ("one", "two", "three", "four", "five", "six", "seven")
LAST = Path("run/checkpoints/last.ckpt")
OPTIONS = {
    "data.root": "pairs",
    "data.target": "xx",
    "data.n_pieces": 300,
    "data.batch_tokens": 41,
    "model.encoder.dim": 8,
    "model.encoder.layers": 1,
    "model.decoder.dim": 8,
    "model.attention.score": "additive",
    "model.schedule.lr": 0.01,
    "model.schedule.encoder_lr": 0.01,
    "model.schedule.warmup_steps": 3,
    "model.search.beam": 1,
    "model.search.max_length": 5,
    "last.every_n_train_steps": 1,
}
RUN = {
    "trainer.default_root_dir": "run",
    "trainer.accelerator": "cpu",
    "trainer.logger": "false",
    "trainer.enable_progress_bar": "false",
    "trainer.enable_model_summary": "false",
}


def fit(n_steps: int, options: dict[str, object]) -> None:
    """In the folder that we are in, up to this step."""
    options = options | RUN | {"trainer.max_steps": n_steps}
    assert main(["translation", "fit", *(f"--{name}={value}" for name, value in options.items())]) == 0


def write_pairs() -> None:
    Path("pairs").mkdir()
    for split, n in (("train", 31), ("val", 3), ("test", 3)):
        rows = [[WORDS[(n + k * k) % 7] for k in range(2 + n % 3)] for n in range(n)]
        write_side(split, "en", rows)
        write_side(split, "xx", [row[::-1] for row in rows])


def write_side(split: str, ending: str, rows: Sequence[Sequence[str]]) -> None:
    Path("pairs", f"{split}.{ending}").write_text("".join(f"{' '.join(row)}\n" for row in rows), encoding="utf-8")


def resume() -> dict[str, list[float]]:
    """Of every parameter, MORE steps after the checkpoint, its sum and the sum of its squares."""
    write_pairs()
    LAST.parent.mkdir(parents=True)
    shutil.copy(CHECKPOINT, LAST)
    fit(STEPS + MORE, {"ckpt_path": LAST})
    state = torch.load(LAST, weights_only=True)["state_dict"]
    return {name: [round(float(sums), 5) for sums in (each.sum(), each.square().sum())] for name, each in state.items()}


def write() -> None:
    os.chdir(tempfile.mkdtemp())
    write_pairs()
    fit(STEPS, OPTIONS)
    shutil.copy(LAST, CHECKPOINT)
    os.chdir(tempfile.mkdtemp())
    entries = [f"{json.dumps(name)}: {json.dumps(sums)}" for name, sums in resume().items()]
    AHEAD.write_text("{\n" + ",\n".join(entries) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    write()
