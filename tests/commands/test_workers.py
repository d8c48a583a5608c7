"""Several processes give what one does, in the same order, and end with the command."""

import json
import os
import signal
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from multimodal_attn.errors import UserError
from tasks.cli import main
from tasks.commands.inputs import Input
from tasks.commands.job import Job
from tasks.commands.workers import read_in_workers

N_FILES = 7


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder, rng = tmp_path / "photos", np.random.default_rng(3)
    folder.mkdir()
    for n in range(N_FILES):
        Image.fromarray(rng.integers(0, 255, (41 + n, 67, 3), dtype=np.uint8)).save(folder / f"{n}.png")
    (folder / "4.png").write_text("no picture")
    return folder


def test_two_workers_write_what_one_process_writes(tiny_checkpoint: Path, photos: Path) -> None:
    found = []
    for n in "1", "2":
        out, figures = photos.with_name(f"{n}.jsonl"), photos.with_name(f"figures{n}")
        args = ["--checkpoint", tiny_checkpoint, "--batch-size", "2", "--workers", n, "--out", out]
        assert main(["caption", *map(str, [photos, *args, "--pictures", figures])]) == 2  # for the one that is none
        found.append([json.loads(line) for line in out.read_text().splitlines()])
        assert len(list(figures.glob("*.png"))) == N_FILES - 1
    assert [Path(row["path"]).stem for row in found[1]] == [str(n) for n in range(N_FILES)]
    assert found[1] == [row if "error" in row else row | {"score": pytest.approx(row["score"])} for row in found[0]]


def test_a_killed_worker_is_one_line_and_none_stays(tiny_checkpoint: Path, photos: Path) -> None:
    inputs = [Input(photos / "0.png", "0")] * 40
    results = read_in_workers(Job(tiny_checkpoint, "cpu", 1, False, {}), inputs, 2)
    input, segment = next(results)
    assert input is inputs[0] and segment.source == input.path and segment.last
    os.kill(active_children()[0].pid, signal.SIGKILL)
    with pytest.raises(UserError, match="a worker was killed"):
        list(results)
    assert active_children() == []
