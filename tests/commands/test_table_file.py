"""Rows as CSV and Parquet: the same as JSON Lines, going on, and never in the place of what is not ours."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from multimodal_attn.search import SearchConfig
from tests.fake_captioner import FakeBatchCaptioner
from tests.fake_transcriber import FakeTranscriber
from tests.jobs import Capture, done, photograph, refused, rows_of, say


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def parquet_rows(path: Path) -> list[dict[str, Any]]:
    return pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()


def present(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value not in (None, "")}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    photograph(tmp_path / "photos" / 'a, "b".jpg'), photograph(tmp_path / "photos" / "c.jpg")
    (tmp_path / "photos" / "d.jpg").write_text("no picture")
    return tmp_path / "photos"


def test_a_table_holds_what_rows_hold(captioner: FakeBatchCaptioner, photos: Path, capsys: Capture) -> None:
    rows, table = photos.with_name("rows.jsonl"), photos.with_name("table.csv")
    for out in rows, table:
        done(capsys, "caption", photos, "--out", out, status=2)
    expected = [{name: str(value) for name, value in row.items()} for row in rows_of(rows).values()]
    assert [present(row) for row in csv_rows(table)] == expected
    assert list(csv_rows(table)[0]) == ["path", "text", "score", "note", "error"]


def test_words_and_attention_have_columns(transcriber: FakeTranscriber, tmp_path: Path, capsys: Capture) -> None:
    sound, rows, table = say(tmp_path / "a.wav"), tmp_path / "rows.jsonl", tmp_path / "table.csv"
    for out in rows, table:
        done(capsys, "transcribe", sound, "--out", out, "--attention")
    (row,), (record,) = rows_of(rows).values(), csv_rows(table)
    words, rest = json.loads(record["words"]), json.loads(record["trace"])
    assert [(word["text"], word["start"]) for word in words] == [(w["text"], w["start"]) for w in row["words"]]
    assert rest == {name: row[name] for name in row if name not in ("path", "text", "score", "words")}


def test_parquet_has_types(transcriber: FakeTranscriber, tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("pyarrow")
    say(tmp_path / "in" / "a.wav")
    (tmp_path / "in" / "b.wav").write_text("no sound")
    for ending in "jsonl", "parquet":
        done(capsys, "transcribe", tmp_path / "in", "--out", tmp_path / f"rows.{ending}", status=2)
    good, bad = rows_of(tmp_path / "rows.jsonl").values()
    first, second = parquet_rows(tmp_path / "rows.parquet")
    assert (first["text"], first["score"]) == (good["text"], good["score"])
    assert [present(word) for word in first["words"]] == good["words"]
    assert present(second) == bad and first["error"] is None


def test_the_same_command_goes_on(captioner: FakeBatchCaptioner, photos: Path, capsys: Capture) -> None:
    table = photos.with_name("table.csv")
    done(capsys, "caption", photos, "--out", table, status=2)
    captioner.seen.clear()
    photograph(photos / "e.jpg")
    assert "captioned already: 3 of 4 files" in done(capsys, "caption", photos, "--out", table, status=2)
    assert [path.name for path in captioner.seen] == ["e.jpg"]
    assert [Path(row["path"]).name for row in csv_rows(table)] == ['a, "b".jpg', "c.jpg", "d.jpg", "e.jpg"]


def test_a_table_that_somebody_made_or_changed_is_left(
    captioner: FakeBatchCaptioner, photos: Path, capsys: Capture
) -> None:
    mine, table = photos.with_name("mine.csv"), photos.with_name("table.csv")
    mine.write_text("path,text\n")
    done(capsys, "caption", photos, "--out", table, status=2)
    table.write_bytes(table.read_bytes().replace(b"dog", b"cat"))
    for out, why in (mine, "was not written by this command"), (table, "was changed after it was written"):
        for choice in [], ["--overwrite"]:
            before = out.read_bytes()
            assert why in refused(capsys, "caption", photos, "--out", out, *choice)
            assert out.read_bytes() == before


def test_a_table_of_another_search_is_begun_anew_only_when_told(
    captioner: FakeBatchCaptioner, photos: Path, capsys: Capture
) -> None:
    table = photos.with_name("table.csv")
    done(capsys, "caption", photos, "--out", table, status=2)
    captioner.search = SearchConfig(beam=2)
    assert "was written with beam 5, not 2" in refused(capsys, "caption", photos, "--out", table)
    table.with_name(".table.csv.jsonl").unlink()  # the table alone tells too
    assert "was written with beam 5, not 2" in refused(capsys, "caption", photos, "--out", table)
    done(capsys, "caption", photos, "--out", table, "--overwrite", status=2)
    assert len(csv_rows(table)) == 3


def test_parquet_without_its_library_is_one_line(
    captioner: FakeBatchCaptioner, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("tasks.commands.table_file.find_spec", lambda name: None)
    line = refused(capsys, "caption", photos, "--out", photos.with_name("table.parquet"))
    assert "needs pyarrow" in line and "multimodal-attn[parquet]" in line


def test_tables_are_files_and_one_at_a_time(transcriber: FakeTranscriber, tmp_path: Path, capsys: Capture) -> None:
    sound = say(tmp_path / "a.wav")
    assert "name it with --out" in refused(capsys, "transcribe", sound, "--format", "csv")
    line = refused(capsys, "transcribe", sound, "--format", "csv", "jsonl", "--out", tmp_path / "t")
    assert "not in csv and jsonl" in line
    done(capsys, "transcribe", sound, "--format", "csv", "txt", "--out", tmp_path / "t")
    assert len(csv_rows(tmp_path / "t" / "transcripts.csv")) == 1 and (tmp_path / "t" / "a.txt").exists()
