"""A record that a stranger put beside recordings: it says nothing about places outside its folder."""

import json
from pathlib import Path

import pytest

from tasks.record import LONGEST, RECORD, Record

OUTSIDE = (
    "../important",
    "/important",
    "..",
    "sub/talk",
    "\0",
    "\ud800",
    "other",
    "talk-",
    "talk-x",
    "a" * 2 * LONGEST,
)


@pytest.mark.parametrize("name", OUTSIDE)
def test_results_are_never_named_as_a_stranger_wants(tmp_path: Path, name: str) -> None:
    line = {"file": "talk.wav", "name": name, "source": "./talk.wav", "sha256": "0"}
    (tmp_path / "talk.wav").touch()
    (tmp_path / RECORD).write_text(json.dumps(line))
    assert Record(tmp_path).names([tmp_path / "talk.wav"]) == {tmp_path / "talk.wav": "talk"}


@pytest.mark.parametrize(("source", "name"), [("talk.wav", "talk"), ("talk.wav", "talk-12"), ("é" * 120, "é" * 115)])
def test_results_keep_a_name_of_ours(tmp_path: Path, source: str, name: str) -> None:
    line = {"file": source, "name": name, "source": f"./{source}", "sha256": "0"}
    (tmp_path / source).touch()
    (tmp_path / RECORD).write_text(json.dumps(line))
    assert Record(tmp_path).names([tmp_path / source]) == {tmp_path / source: name}


def test_a_line_that_names_no_possible_source_tells_nothing(tmp_path: Path) -> None:
    line = {"file": "talk.wav", "name": "talk", "source": "./\ud800.wav", "sha256": "0"}
    (tmp_path / "talk.wav").touch()
    (tmp_path / RECORD).write_text(json.dumps(line))
    assert Record(tmp_path).names([tmp_path / "talk.wav"]) == {tmp_path / "talk.wav": "talk"}
