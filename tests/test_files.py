"""A file is written whole or not at all, whatever happens and however long its name is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from multimodal_attn.files import whole_file, write_whole
from tests.conftest import ROOT

LIMITED = """
import resource, sys
from multimodal_attn.files import write_whole
resource.setrlimit(resource.RLIMIT_FSIZE, (1009, 1009))
try:
    write_whole(sys.argv[1], b"n" * 4001)
except OSError as error:
    print(error.strerror)
"""


def test_what_is_written_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, "old")
    write_whole(path, "grün\r\n")
    assert path.read_bytes() == "grün\r\n".encode()
    with whole_file(path) as file:
        file.write(b"first, ")
        assert path.read_bytes() == "grün\r\n".encode()
        file.write(b"then")
    assert path.read_bytes() == b"first, then"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("broken"), KeyboardInterrupt()])
def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(type(error)) as caught, whole_file(path) as file:
        file.write(b"half of the n")
        raise error
    assert caught.value is error
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    command = [sys.executable, "-c", LIMITED, str(path)]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=60)
    assert done.stdout == "File too large\n", done.stderr
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


def test_an_error_of_the_block_is_told_where_cleaning_up_fails_too(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(RuntimeError, match="planted"), whole_file(folder / "a.txt"):
        next(folder.iterdir()).unlink()
        raise RuntimeError("planted")


def test_a_missing_folder_is_an_os_error_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_whole(tmp_path / "none" / "a.txt", b"")
    with pytest.raises(IsADirectoryError):
        (tmp_path / "folder").mkdir()
        write_whole(tmp_path / "folder", b"")
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize("letter", ["x", "न"])
def test_names_may_be_as_long_as_the_file_system_allows(tmp_path: Path, letter: str) -> None:
    path = tmp_path / f"{letter * (251 // len(letter.encode()))}.txt"
    write_whole(path, "here")
    assert path.read_text() == "here"


def test_files_get_the_rights_that_the_user_gives_new_files(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "a.txt", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640
