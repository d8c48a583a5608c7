"""A record that a stranger put beside recordings: it says nothing about places outside its folder."""

import json
from pathlib import Path

import pytest

from tasks.commands.record import LONGEST, RECORD, Record

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
@pytest.mark.parametrize("file", ["talk.txt", "../important.txt", "/important.txt"])
def test_results_are_never_named_as_a_stranger_wants(tmp_path: Path, file: str, name: str) -> None:
    line = {"file": file, "name": name, "source": "./talk.wav", "sha256": "0"}
    (tmp_path / "talk.wav").touch()
    (tmp_path / RECORD).write_text(json.dumps(line))
    assert Record(tmp_path).name(tmp_path / "talk.wav", "talk") == "talk"


def test_a_name_that_another_source_has_gets_a_number(tmp_path: Path) -> None:
    lines = [{"file": f"{name}.txt", "name": name, "source": "x.wav", "sha256": "0"} for name in ("talk", "talk-2")]
    (tmp_path / RECORD).write_text("\n".join(map(json.dumps, lines)))
    record = Record(tmp_path)
    assert [record.name(tmp_path / "talk.wav", "talk"), record.name(tmp_path / "talk.wav", "talk")] == ["talk-3"] * 2
    assert record.name(tmp_path / "é.wav", "é" * 120) == "é" * 115
    assert record.name(tmp_path / "sub" / "é.wav", f"sub/{'é' * 120}") == f"sub/{'é' * 115}"
