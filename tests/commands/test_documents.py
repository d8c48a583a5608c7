"""Documents and figures of a batch: never what people made or changed, under names that follow from their inputs."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tasks.commands import batch
from tasks.commands.record import LONGEST, RECORD
from tests.fake_captioner import FakeBatchCaptioner
from tests.fake_transcriber import FakeTranscriber
from tests.jobs import Capture, contents, done, photograph, refused, rows_of, say


def test_notes_beside_a_recording_are_not_replaced(
    transcriber: FakeTranscriber, tmp_path: Path, capsys: Capture
) -> None:
    folder = tmp_path / "n"
    say(folder / "interview.mp3"), say(folder / "second.wav")
    notes = folder / "interview.txt"
    notes.write_text("my notes\n")
    args = ["transcribe", folder, "--format", "txt", "srt", "--out", folder]
    lines = [
        "results that could not be written: 1",
        f"  {notes}: was not written by this command, and is left as it is",
    ]
    for choice in [], ["--retry"], ["--overwrite"]:
        said = done(capsys, *args, *choice, status=2)
        assert said[-2:] == lines and said[:-2] == ["transcribed already: 1 of 2 files"] * (choice == ["--retry"])
        assert notes.read_text() == "my notes\n"
        assert {"interview.srt", "second.txt", "second.srt"} <= set(os.listdir(folder))


def test_a_subtitle_that_was_corrected_is_never_replaced(
    transcriber: FakeTranscriber, tmp_path: Path, capsys: Capture
) -> None:
    sounds, out = tmp_path / "s", tmp_path / "t"
    say(sounds / "a.wav"), say(sounds / "b.wav")
    args = ["transcribe", sounds, "--format", "srt", "--out", out]
    done(capsys, *args)
    (out / "a.srt").write_text("as it was really said")
    lines = done(capsys, *args, "--overwrite", status=2)
    assert lines == [
        "results that could not be written: 1",
        f"  {out / 'a.srt'}: was changed after it was written, and is left as it is",
    ]
    assert done(capsys, *args) == ["transcribed already: 2 of 2 files"]
    assert (out / "a.srt").read_text() == "as it was really said"


def test_documents_of_ours_are_replaced_or_left_as_the_user_says(
    transcriber: FakeTranscriber, tmp_path: Path, capsys: Capture
) -> None:
    sounds, out = tmp_path / "s", tmp_path / "t"
    say(sounds / "a.wav"), say(sounds / "b.wav")
    args = ["transcribe", sounds, "--format", "txt", "jsonl", "--out", out]
    done(capsys, *args)
    before = contents(out)
    say(sounds / "c.wav")
    (out / "b.txt").unlink()  # one of two results
    assert done(capsys, *args) == ["transcribed already: 1 of 3 files"]
    after = contents(out)
    assert after["a.txt"] == before["a.txt"] and after["b.txt"] == before["b.txt"] and after["c.txt"]
    assert (
        after["transcripts.jsonl"].startswith(before["transcripts.jsonl"])
        and len(rows_of(out / "transcripts.jsonl")) == 3
    )
    done(capsys, *args, "--overwrite")
    assert len(rows_of(out / "transcripts.jsonl")) == 3


def test_one_document_is_kept_like_many(transcriber: FakeTranscriber, tmp_path: Path, capsys: Capture) -> None:
    first, second, out = say(tmp_path / "a.wav"), say(tmp_path / "b.wav", 1.3), tmp_path / "My.SRT"
    out.write_text("of somebody else")
    for choice in [], ["--overwrite"], ["--retry"]:
        assert refused(capsys, "transcribe", first, "--out", out, *choice).startswith(f"{out} was not written by this")
    out.unlink()
    done(capsys, "transcribe", first, "--out", out)
    before = out.read_text()
    assert done(capsys, "transcribe", first, "--out", out) == ["transcribed already: 1 of 1 files"]
    line = refused(capsys, "transcribe", second, "--out", out)
    assert line == f"{out} was written of another file; begin anew with --overwrite, or name another place"
    assert out.read_text() == before
    done(capsys, "transcribe", second, "--out", out, "--overwrite")
    assert out.read_text() != before
    assert "is one of the files to read" in refused(
        capsys, "transcribe", shutil.copy(first, tmp_path / "w.srt"), "--out", tmp_path / "w.srt"
    )


def test_a_picture_in_the_folder_of_its_figures_is_not_replaced(
    captioner: FakeBatchCaptioner, tmp_path: Path, capsys: Capture
) -> None:
    folder = tmp_path / "o"
    logo, lion = photograph(folder / "logo.png"), photograph(folder / "lion.jpg")
    before = contents(folder)
    out = tmp_path / "rows.jsonl"
    lines = done(capsys, "caption", folder, "--pictures", folder, "--out", out, status=2)
    assert lines[1:] == [f"  {logo}: was not written by this command, and is left as it is"]
    assert contents(folder) | before == contents(folder) and set(rows_of(out)) == {"logo.png", "lion.jpg"}
    figure = folder / "lion.png"
    lines = done(capsys, "caption", folder, "--pictures", folder, "--overwrite", "--out", out, status=2)
    assert lines[-1] == "figures of this command left out: 1" and set(rows_of(out)) == {"logo.png", "lion.jpg"}
    line = refused(capsys, "caption", figure, "--pictures", folder, "--overwrite", "--out", figure)
    assert lion.read_bytes() == before["lion.jpg"] and "no format of ours" in line


def test_figures_are_captioned_only_by_name(captioner: FakeBatchCaptioner, tmp_path: Path, capsys: Capture) -> None:
    photos, figures = tmp_path / "g", tmp_path / "g" / "figures"
    photograph(photos / "lion.jpg"), photograph(photos / "plain.png")
    done(capsys, "caption", photos, "--pictures", figures)
    captioner.seen.clear()
    assert done(capsys, "caption", photos, "--pictures", figures, "--overwrite") == [
        "figures of this command left out: 2"
    ]
    assert {path.name for path in captioner.seen} == {"lion.jpg", "plain.png"}
    assert set(os.listdir(figures)) == {"lion.png", "plain.png", RECORD}
    shutil.copy(figures / "lion.png", photos / "renamed.png")
    captioner.seen.clear()
    done(capsys, "caption", photos)
    assert {path.name for path in captioner.seen} == {"lion.jpg", "plain.png"}
    done(capsys, "caption", figures / "lion.png")
    assert captioner.seen[-1] == figures / "lion.png"


def test_names_of_documents_follow_from_their_recordings_alone(
    transcriber: FakeTranscriber, tmp_path: Path, capsys: Capture
) -> None:
    sounds, out = tmp_path / "q", tmp_path / "q" / "out"
    say(sounds / "b" / "int.wav", 1.0)
    args = ["transcribe", sounds, "--format", "srt", "json", "--out", out]
    done(capsys, *args)
    before = contents(out)["b/int.srt"]
    say(sounds / "a" / "int.flac", 1.5)  # which now comes first
    say(sounds / "b" / "int.flac", 1.5)  # which would have the same name
    done(capsys, *args)
    assert contents(out)["b/int.srt"] == before
    for name, source in ("a/int", "a/int.flac"), ("b/int", "b/int.wav"), ("b/int-2", "b/int.flac"):
        assert json.loads((out / f"{name}.json").read_text())["path"].endswith(source)
    done(capsys, *args, "--overwrite")
    assert contents(out)["b/int.srt"] == before
    moved = tmp_path / "moved"
    sounds.rename(moved)
    args = ["transcribe", moved, "--format", "srt", "json", "--out", moved / "out"]
    assert done(capsys, *args) == ["transcribed already: 3 of 3 files"]


def test_a_record_that_leads_elsewhere_is_not_followed(
    transcriber: FakeTranscriber, tmp_path: Path, capsys: Capture
) -> None:
    out, secret = tmp_path / "t", tmp_path / "secret"
    out.mkdir()
    secret.write_text("secret")
    (out / RECORD).symlink_to(secret)
    line = refused(capsys, "transcribe", say(tmp_path / "a.wav"), "--format", "txt", "--out", out)
    assert line.startswith(f"{out / RECORD} cannot be written: ") and secret.read_text() == "secret"


def test_a_damaged_record_tells_nothing(transcriber: FakeTranscriber, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "t"
    out.mkdir()
    (out / RECORD).write_bytes(
        b'\xff\n[1]\n{"file": 1}\n{"file": "a.txt", "name": [], "source": 3, "sha256": "x"}\nhalf'
    )
    done(capsys, "transcribe", say(tmp_path / "a.wav"), "--format", "txt", "--out", out)
    assert (out / "a.txt").exists()


# -- names ------------------------------------------------------------------------------------------------------------


def test_names_of_any_bytes_and_any_length_have_rows_documents_and_figures(
    transcriber: FakeTranscriber, tmp_path: Path, capsys: Capture
) -> None:
    sounds, out, figures = tmp_path / "d", tmp_path / "t", tmp_path / "f"
    longest = ["x" * 251 + ".wav", "x" * 250 + "y.wav", "न" * 83 + ".wav"]
    say(sounds / "zz.wav")
    for name in (b"b\xe9b\xe9.wav", b"b\\xe9b\xe9.wav", *map(os.fsencode, longest)):
        shutil.copy(sounds / "zz.wav", os.fsencode(sounds) + b"/" + name)
    formats = ["txt", "srt", "jsonl"]
    args = ["transcribe", sounds, "--out", out, "--pictures", figures, "--format", *formats]
    assert done(capsys, *args) == []
    lines = (out / "transcripts.jsonl").read_text(encoding="utf-8").splitlines()
    paths = {Path(json.loads(line)["path"]).name for line in lines}
    assert {r"b\xe9b\xe9.wav", "zz.wav", *longest} == paths and len(lines) == 6
    for folder, ending in (out, "txt"), (out, "srt"), (figures, "png"):
        assert len([name for name in os.listdir(folder) if name.endswith(f".{ending}")]) == 6
    assert all(len(os.fsencode(name)) <= LONGEST for folder in (out, figures) for name in os.listdir(folder))
    assert done(capsys, *args, "--overwrite") == []
    assert len(os.listdir(out)) == 14  # two documents of six recordings, rows, and the record


def test_a_document_that_cannot_be_written_costs_one_row(
    transcriber: FakeTranscriber, tmp_path: Path, capsys: Capture
) -> None:
    sounds, out = tmp_path / "s", tmp_path / "t"
    say(sounds / "a.wav"), say(sounds / "b.wav")
    (out / "a.txt").mkdir(parents=True)
    args = ["transcribe", sounds, "--format", "txt", "--out", out]
    for choice in [], ["--overwrite"]:
        assert done(capsys, *args, *choice, status=2)[0] == "results that could not be written: 1"
    assert (out / "b.txt").exists() and (out / "a.txt").is_dir()


def test_a_full_disk_ends_the_job_at_a_document(
    transcriber: FakeTranscriber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    sounds, out = tmp_path / "s", tmp_path / "t"
    say(sounds / "a.wav"), say(sounds / "b.wav")
    monkeypatch.setattr(os, "fsync", full)
    lines = done(capsys, "transcribe", sounds, "--format", "txt", "--out", out, status=2)
    advice = "make room, then give the same command again"
    assert lines == [f"multimodal-attn: {out / 'a.txt'} cannot be written: No space left on device; {advice}"]
    assert os.listdir(out) == [RECORD]
    monkeypatch.undo()
    monkeypatch.setattr(batch, "load", lambda path, device: transcriber)
    assert done(capsys, "transcribe", sounds, "--format", "txt", "--out", out) == []
    assert {"a.txt", "b.txt"} < set(os.listdir(out))


def test_a_folder_that_goes_away_costs_its_documents(
    transcriber: FakeTranscriber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    sounds, out, segments = tmp_path / "s", tmp_path / "t", transcriber.segments
    say(sounds / "a.wav"), say(sounds / "b.wav")

    def deleting(*args, **options):
        for segment in segments(*args, **options):
            yield segment
            shutil.rmtree(out, ignore_errors=True)

    monkeypatch.setattr(transcriber, "segments", deleting)
    lines = done(capsys, "transcribe", sounds, "--format", "txt", "--out", out, status=2)
    assert lines == ["results that could not be written: 1", f"  {out / 'b.txt'}: No such file or directory"]
