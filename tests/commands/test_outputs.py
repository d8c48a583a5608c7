"""Nothing that exists is replaced unless it is a result of ours, as it was written: files of rows."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from multimodal_attn.search import SearchConfig
from tasks.cli import main
from tasks.commands.outputs import Action, Choice, decide
from tasks.commands.record import RECORD, State
from tests.conftest import ROOT
from tests.fake_captioner import FakeBatchCaptioner
from tests.fake_transcriber import FakeTranscriber
from tests.jobs import Capture, Lines, contents, done, photograph, refused, rows_of, say


def test_the_rule_leaves_alone_what_is_not_ours() -> None:
    replaced = [(state, choice) for state in State for choice in Choice if decide(state, choice) is Action.WRITE]
    anew = [(State.OURS, choice) for choice in (Choice.RETRY, Choice.OVERWRITE)]
    assert replaced == [(State.FREE, choice) for choice in Choice] + anew
    assert [decide(state, Choice.GO_ON) for state in State][1:] == [Action.LEAVE, Action.LEAVE, Action.REFUSE]
    assert [decide(state, Choice.OVERWRITE) for state in State][2:] == [Action.REFUSE, Action.REFUSE]


# -- one file ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", [[], ["--overwrite"], ["--retry"]])
@pytest.mark.parametrize("kind", ["itself", "link", "hard link", "spelling"])
def test_an_out_that_is_an_input_is_refused(
    kind: str, choice: Lines, captioner: FakeBatchCaptioner, tmp_path: Path, capsys: Capture
) -> None:
    lion = photograph(tmp_path / "c" / "lion.png").rename(tmp_path / "c" / "lion.jsonl")  # only its name is wrong
    out = tmp_path / "out.jsonl"
    if kind == "itself":
        out = lion
    elif kind == "link":
        out.symlink_to(lion)
    elif kind == "hard link":
        os.link(lion, out)
    else:
        out = tmp_path / "c" / ".." / "c" / "lion.jsonl"
    before = contents(tmp_path)
    assert (
        refused(capsys, "caption", lion, "--out", out, *choice)
        == f"--out {out} is one of the files to read; name another one"
    )
    assert contents(tmp_path) == before and captioner.seen == []


def test_a_photograph_given_as_out_by_a_wildcard_stays(
    captioner: FakeBatchCaptioner, tmp_path: Path, capsys: Capture
) -> None:
    lion, tower = photograph(tmp_path / "lion.jpg"), photograph(tmp_path / "tower.jpg")
    before = contents(tmp_path)
    line = refused(capsys, "caption", "--out", lion, tower)
    assert line == f"--out {lion}: no format of ours ends in .jpg; end it in .jsonl, .csv, .parquet"
    assert contents(tmp_path) == before and captioner.seen == []


@pytest.mark.parametrize(
    "content",
    [
        b"my notes\n",
        b'{"path": "a.jpg", "caption": "A dog .", "split": "train"}\n',  # data of somebody's
        b'{"path": "a.jpg", "text": "a dog"}\n',
        b'{"path": "a.jpg", "caption": "A dog ."}',
        b'{"path": "a.jpg", "text": "a dog", "score": -1.0}\n{"path": "b.jpg", "mine": "without a newline"}',
        b'{"path": "a.wav", "text": "a dog", "score": -1.0, "words": []}\n',  # of transcribe
        b'{"path": "a.jpg", "text": "a dog", "score": -1.0}\nand a note\n',
        b'{"path": "a.jpg", "text": "a dog", "score": -1.0}\nand half a no',
        b'{"path": "' * 100_000,
        b"[" * 100_000,
        bytes(1009),
    ],
)
@pytest.mark.parametrize("choice", [[], ["--overwrite"], ["--retry"]])
def test_a_file_that_holds_something_else_than_our_rows_is_refused(
    content: bytes, choice: Lines, captioner: FakeBatchCaptioner, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "mine.jsonl"
    out.write_bytes(content)
    line = refused(capsys, "caption", photograph(tmp_path / "a.jpg"), "--out", out, *choice)
    assert (
        line
        == f"--out {out} was not written by this command, and is left as it is; name another place, or move it away"
    )
    assert out.read_bytes() == content and captioner.seen == []


def test_the_same_command_goes_on_and_overwrite_begins_anew(
    captioner: FakeBatchCaptioner, tmp_path: Path, capsys: Capture
) -> None:
    out, photos = tmp_path / "out.jsonl", tmp_path / "photos"
    photograph(photos / "a.jpg")
    (photos / "bad.jpg").write_text("words")
    args = ["caption", photos, "--out", out]
    done(capsys, *args, status=2)
    before = out.read_bytes()
    photograph(photos / "z.jpg")
    captioner.seen.clear()
    lines = ["captioned already: 2 of 3 files", "1 of them could not be captioned; --retry tries again"]
    assert done(capsys, *args, status=2) == lines
    assert captioner.seen == [photos / "z.jpg"]
    assert out.read_bytes().startswith(before) and set(rows_of(out)) == {"a.jpg", "bad.jpg", "z.jpg"}
    assert done(capsys, *args, status=2) == ["captioned already: 3 of 3 files", lines[1]]
    photograph(photos / "bad.jpg")
    assert done(capsys, *args, "--retry") == lines[:1]
    assert "error" not in rows_of(out)["bad.jpg"] and len(rows_of(out)) == 3
    assert done(capsys, *args) == ["captioned already: 3 of 3 files"]
    captioner.seen.clear()
    assert done(capsys, *args, "--overwrite") == []
    assert len(captioner.seen) == 3 and len(rows_of(out)) == 3


@pytest.mark.parametrize("tail", [b'{"path": "z.jpg", "text": "a d', b'{"pa', b""])
def test_going_on_keeps_whole_rows_and_cuts_what_a_kill_left(
    tail: bytes, captioner: FakeBatchCaptioner, tmp_path: Path, capsys: Capture
) -> None:
    out, photos = tmp_path / "out.jsonl", tmp_path / "photos"
    photograph(photos / "a.jpg"), photograph(photos / "z.jpg")
    done(capsys, "caption", photos, "--out", out)
    whole = out.read_bytes()
    first = whole[: whole.index(b"\n") + 1]
    out.write_bytes(first + tail if tail else first[:-1])  # an editor may take the last newline away
    assert done(capsys, "caption", photos, "--out", out) == ["captioned already: 1 of 2 files"]
    assert out.read_bytes() == whole
    out.write_bytes(tail)  # nothing but the beginning of the first row
    done(capsys, "caption", photos, "--out", out)
    assert out.read_bytes() == whole


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (["--beam", 3], "with beam 3, not 2"),
        (["--attention"], "with attention True, not False"),
        ("another model", "by another model (fake)"),
    ],
)
@pytest.mark.parametrize("kind", ["rows", "figures"])
def test_results_of_another_model_or_other_options_are_refused(
    kind: str, change: object, told: str, captioner: FakeBatchCaptioner, tmp_path: Path, capsys: Capture
) -> None:
    photos, place = tmp_path / "photos", tmp_path / ("out.jsonl" if kind == "rows" else "figures")
    photograph(photos / "a.jpg"), photograph(photos / "b.jpg")
    args = ["caption", photos, "--out" if kind == "rows" else "--pictures", place]
    captioner.search = SearchConfig(beam=2)
    if isinstance(change, str):
        captioner.sha256 = "before"
    done(capsys, *args, *(change if isinstance(change, list) else ()))
    captioner.sha256, before = "planted", contents(tmp_path)
    name = f"--out {place}" if kind == "rows" else str(place / "a.png")
    assert refused(capsys, *args) == f"{name} was written {told}; begin anew with --overwrite, or name another place"
    assert {path: content for path, content in contents(tmp_path).items() if RECORD not in path} == {
        path: content for path, content in before.items() if RECORD not in path
    }
    assert done(capsys, *args, "--overwrite") == []
    done(capsys, *args)  # goes on: there is nothing left of the others


def test_rows_without_a_record_are_not_mixed_with_others(
    captioner: FakeBatchCaptioner, tmp_path: Path, capsys: Capture
) -> None:
    out, lion = tmp_path / "out.jsonl", photograph(tmp_path / "lion.jpg")
    done(capsys, "caption", lion, "--out", out)
    (tmp_path / RECORD).unlink()
    assert refused(capsys, "caption", lion, "--out", out) == (
        f"--out {out} was written, nobody knows by which model; begin anew with --overwrite, or name another place"
    )


def test_a_kill_while_documents_are_replaced_leaves_none_that_counts_as_new(
    transcriber: FakeTranscriber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    sound, out = say(tmp_path / "a.wav"), tmp_path / "t"
    args = ["transcribe", sound, "--format", "json", "--out", out]
    done(capsys, *args, "--beam", 3)

    def killed(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(
            "tasks.commands.outputs.write_whole", killed
        )  # the record has its line, the document is the old one
        assert main([*map(str, args), "--attention", "--overwrite"]) == 130
    assert refused(capsys, *args, "--attention").startswith(f"{out / 'a.json'} was written with beam 3, not ")
    assert done(capsys, *args, "--beam", 3) == ["transcribed already: 1 of 1 files"]


def test_old_rows_stay_until_the_first_new_one_is_there(
    captioner: FakeBatchCaptioner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    out, lion = tmp_path / "out.jsonl", photograph(tmp_path / "lion.jpg")
    done(capsys, "caption", lion, "--out", out)
    before = out.read_bytes()

    def killed(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(captioner, "segments", killed)
    assert main(["caption", str(lion), "--out", str(out), "--overwrite"]) == 130
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("command", "name", "known"),
    [
        ("caption", "captions.xlsx", "end it in .jsonl, .csv, .parquet"),
        ("caption", "captions.json", "end it in .jsonl, .csv, .parquet"),
        (
            "transcribe",
            "talk.xlsx",
            "end it in .jsonl, .csv, .parquet, .txt, .json, .srt, .vtt, .tsv, or name a folder",
        ),
        ("transcribe", "talk.docx", ".srt"),
        ("transcribe", "talk.MP3", ".srt"),
    ],
)
def test_an_ending_that_is_no_format_of_ours_is_refused(
    command: str, name: str, known: str, captioner: FakeBatchCaptioner, tmp_path: Path, capsys: Capture
) -> None:
    line = refused(capsys, command, photograph(tmp_path / "a.jpg"), "--out", tmp_path / name)
    assert (
        line.startswith(f"--out {tmp_path / name}: no format of ours ends in {Path(name).suffix}; ") and known in line
    )
    assert os.listdir(tmp_path) == ["a.jpg"]


def test_names_with_numbers_after_a_dot_and_devices_are_no_endings(
    transcriber: FakeTranscriber, tmp_path: Path, capsys: Capture
) -> None:
    sound = say(tmp_path / "a.wav")
    done(capsys, "transcribe", sound, "--out", tmp_path / "talk of 24.12.2026")
    assert rows_of(tmp_path / "talk of 24.12.2026" / "transcripts.jsonl")
    (tmp_path / "old.talks").mkdir()
    done(capsys, "transcribe", sound, "--out", tmp_path / "old.talks")
    assert rows_of(tmp_path / "old.talks" / "transcripts.jsonl")


def test_a_deleted_out_is_noticed(
    captioner: FakeBatchCaptioner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    out, segments = tmp_path / "out.jsonl", captioner.segments

    def deleting(*args, **options):
        yield from segments(*args, **options)
        out.unlink()

    monkeypatch.setattr(captioner, "segments", deleting)
    lines = done(capsys, "caption", photograph(tmp_path / "a.jpg"), "--out", out, status=2)
    assert lines == [
        f"multimodal-attn: --out {out} was moved or deleted while it was written; rows since then are not there"
    ]


# -- in processes of their own ----------------------------------------------------------------------------------------

FULL = """
import resource, sys
from tasks import cli
from tasks.commands import batch
from tests.fake_captioner import FakeBatchCaptioner

limit, photos, *outs = sys.argv[1:]
batch.load = lambda path, device: FakeBatchCaptioner()
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
statuses = {cli.main(["caption", photos, *(["--out", out] if out else [])]) for out in outs}
assert statuses == {2}, statuses
"""


def run(*args: object, code: Lines = (), **options: object) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *(code or ["-m", "tasks.cli"]), *map(os.fspath, map(str, args))]
    done = subprocess.run(command, env=env, cwd=ROOT, text=True, timeout=120, stderr=subprocess.PIPE, **options)
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr, done.stderr
    return done


def test_a_full_disk_leaves_whole_rows_and_one_line(tmp_path: Path) -> None:
    photos, out, printed = tmp_path / "photos", tmp_path / "out.jsonl", tmp_path / "printed.jsonl"
    for n in range(7):
        photograph(photos / f"{n}.jpg")
    row = len(json.dumps({"path": str(photos / "0.jpg"), "text": "a dog runs", "score": -0.5})) + 1
    with printed.open("wb") as file:
        done = run(3 * row + row // 2, photos, out, "", code=["-c", FULL], stdout=file)
    for found in out, printed:
        assert len(rows_of(found)) == 3 and found.read_bytes().endswith(b"\n")
    assert [line for line in done.stderr.splitlines() if line.startswith("multimodal-attn")] == [
        f"multimodal-attn: {name} cannot be written: File too large" for name in (f"--out {out}", "the standard output")
    ]


def test_a_full_device_is_one_line(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = run(1 << 20, photograph(tmp_path / "a.jpg"), "", code=["-c", FULL], stdout=full)
    line = "multimodal-attn: the standard output cannot be written: No space left on device"
    assert done.returncode == 0 and done.stderr.splitlines()[-1] == line


def test_odd_names_cost_their_row_in_the_command_itself(tmp_path: Path, tiny_checkpoint: Path) -> None:
    photos = os.fsencode(tmp_path) + b"/b/"
    photograph(tmp_path / "b" / "a.jpg"), photograph(tmp_path / "b" / "z.jpg")
    shutil.copy(tmp_path / "b" / "a.jpg", photos + b"b\xe9b\xe9.jpg")
    (tmp_path / "b" / os.fsdecode(b"bad\xff.jpg")).write_text("words")
    before = contents(tmp_path / "b")
    args = ["--checkpoint", tiny_checkpoint, "--beam", "1"]
    done = run("caption", tmp_path / "b", "--out", tmp_path / "b.jsonl", *args)
    assert done.returncode == 2 and r"bad\xff.jpg" in done.stderr
    assert set(rows_of(tmp_path / "b.jsonl")) == {"a.jpg", "z.jpg", r"b\xe9b\xe9.jpg", r"bad\xff.jpg"}
    assert contents(tmp_path / "b") == before
