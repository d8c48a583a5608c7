"""Transcripts turned into phones by the real espeak-ng."""

import csv
import shutil
from pathlib import Path

import pytest

from tasks.speech.pronounce import RARE, drop_rare, main, only_phones

HEADER = "set\tsplit\tspeaker\tid\tseconds\tfile\ttext\n"
needs_espeak = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="espeak-ng is not installed")


def manifest(folder: Path, texts: list[str]) -> Path:
    path = folder / "data" / "manifest.tsv"
    path.parent.mkdir()
    path.write_text(HEADER + "".join(f"a\ttrain\tb\t{n}\t1.5\ts/{n}.opus\t{text}\n" for n, text in enumerate(texts)))
    return path


@needs_espeak
def test_every_row_gets_its_own_phones_and_finds_its_sound(tmp_path: Path) -> None:
    texts = ["the night is long", "a knight", "x ray", "it's the o'clock"] * RARE
    out = tmp_path / "made" / "phones.tsv"
    assert main(["--manifest", str(manifest(tmp_path, texts)), "--out", str(out)]) == 0
    rows = list(csv.DictReader(out.open(encoding="utf-8"), delimiter="\t"))
    assert [row["id"] for row in rows] == [str(n) for n in range(len(texts))]
    assert rows[0]["text"].split()[1] == rows[1]["text"].split()[-1] == "naɪt"
    assert (out.parent / rows[3]["file"]).resolve() == (tmp_path / "data" / "s" / "3.opus").resolve()
    assert rows[2] == rows[6] | {"id": "2", "file": rows[2]["file"]}


@needs_espeak
def test_a_text_without_words_and_a_missing_manifest_are_named_in_one_line(tmp_path: Path, capsys) -> None:
    assert main(["--manifest", str(manifest(tmp_path, ["one", " "])), "--out", str(tmp_path / "o.tsv")]) == 2
    assert main(["--manifest", str(tmp_path / "none.tsv"), "--out", str(tmp_path / "o.tsv")]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 2 and "without a word" in errors[0] and "none.tsv" in errors[1]
    assert not (tmp_path / "o.tsv").exists()


def test_marks_and_rare_phones_are_left_out() -> None:
    assert only_phones("ðə stˈoːɹi (en)n̩aɪt") == "ðə stoɹi naɪt"
    assert drop_rare(["ab x"] * (RARE - 1) + ["ab"]) == ["ab "] * (RARE - 1) + ["ab"]


def test_a_manifest_that_is_there_is_left_as_it_is(tmp_path: Path, capsys) -> None:
    path = manifest(tmp_path, ["one", "two"])
    before = path.read_bytes()
    assert main(["--manifest", str(path), "--out", str(path)]) == 2
    assert "is there already, and is left as it is" in capsys.readouterr().err and path.read_bytes() == before
