"""What the tests of the batch commands share: inputs, runs that are refused or done, and what they left."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from multimodal_attn.senses.sound.media import RATE
from tasks.cli import main
from tests.fake_captioner import HEIGHT, WIDTH

Lines = list[str]
Capture = pytest.CaptureFixture[str]


def photograph(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH, HEIGHT), (len(path.name) % 256, 90, 200)).save(path)
    return path


def say(path: Path, seconds: float = 1.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(3).normal(0, 0.1, int(seconds * RATE)), RATE)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(capsys: Capture, *args: object) -> str:
    """The one line of a command that does not start."""
    capsys.readouterr()
    assert main([str(arg) for arg in args]) == 2
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 1, said
    return said.err.removeprefix("multimodal-attn: ").rstrip("\n")


def done(capsys: Capture, *args: object, status: int = 0) -> Lines:
    """The lines on the standard error of a command that runs."""
    capsys.readouterr()
    assert main([str(arg) for arg in args]) == status
    return [line for line in capsys.readouterr().err.splitlines() if "/s]" not in line and "%|" not in line]


def rows_of(path: Path) -> dict[str, dict]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    found = {Path(row["path"]).name: row for row in rows}
    assert len(found) == len(rows)
    return found
