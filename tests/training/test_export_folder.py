"""`export` writes into a new folder, or over a checkpoint where the user says so, and over nothing else."""

import os
import shutil
from pathlib import Path

import pytest

from tasks.cli import main

Capture = pytest.CaptureFixture[str]


def refusal(capsys: Capture, *args: object) -> str:
    """Of an export that would fail a moment later for want of a training checkpoint."""
    assert main(["captioning", "export", "--ckpt_path", "none.ckpt", "--out", *map(str, args)]) == 2
    return capsys.readouterr().err.removeprefix("multimodal-attn: ")


@pytest.mark.parametrize("option", [[], ["--overwrite"]])
@pytest.mark.parametrize("name", ["README.md", "config.json", "model.safetensors", "photo.jpg"])
def test_a_folder_of_other_things_is_left_as_it_is(
    name: str, option: list[str], tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / name).write_text("mine")
    assert refusal(capsys, tmp_path, *option).startswith(f"--out {tmp_path} holds something else than a checkpoint")
    assert os.listdir(tmp_path) == [name] and (tmp_path / name).read_text() == "mine"
    assert "something else than a checkpoint" in refusal(capsys, tmp_path / name, *option)


def test_a_checkpoint_is_replaced_only_where_the_user_says_so(
    tiny_checkpoint: Path, tmp_path: Path, capsys: Capture
) -> None:
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "model")
    assert "holds a checkpoint already; name a new folder, or replace it with --overwrite" in refusal(capsys, folder)
    assert refusal(capsys, folder, "--overwrite").startswith("no checkpoint none.ckpt")
    (folder / "notes.txt").write_text("mine")
    assert "something else than a checkpoint" in refusal(capsys, folder, "--overwrite")


def test_a_new_or_empty_folder_is_taken(tmp_path: Path, capsys: Capture) -> None:
    for folder in tmp_path, tmp_path / "new":
        assert refusal(capsys, folder).startswith("no checkpoint none.ckpt")
