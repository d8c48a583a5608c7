"""`multimodal-attn transcribe`: files of every kind in, rows and documents out, around a planted transcriber."""

import json
import re
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from multimodal_attn.checkpoint import save_checkpoint
from multimodal_attn.decoders import DecoderConfig
from multimodal_attn.model import build_model
from multimodal_attn.predictor import Segment, load
from multimodal_attn.search import SearchConfig
from multimodal_attn.senses.sound.encoder import AudioEncoderConfig
from multimodal_attn.senses.sound.geometry import SoundGeometry
from multimodal_attn.senses.sound.media import RATE, Sound
from multimodal_attn.tokens import build_piece_tokenizer
from multimodal_attn.trace import AttentionTrace
from tasks.cli import main
from tasks.commands import batch
from tasks.commands.inputs import Input
from tasks.commands.record import RECORD
from tests.fake_transcriber import FakeTranscriber, planted_piece


def noise(path: Path, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(3).normal(0, 0.1, int(seconds * RATE)), RATE)


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """A folder with a long sound, two short ones of one name, silence, and two files that are no sounds."""
    folder = tmp_path / "sounds"
    noise(folder / "long.wav", 5.0)
    noise(folder / "talk.flac", 1.0)
    noise(folder / "more" / "talk.ogg", 1.5)
    soundfile.write(folder / "silence.wav", np.zeros(RATE), RATE)
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.mp3").write_text("these are words")
    (folder / "notes.txt").write_text("left alone")
    return folder


@pytest.fixture(scope="module")
def tiny_transcriber(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder with random parameters."""
    torch.manual_seed(7)
    encoder = AudioEncoderConfig(dim=12, layers=1, heads=2, channels=5)
    model = build_model(encoder, DecoderConfig(dim=16), build_piece_tokenizer(["one two three"], 0), ctc=True)
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    save_checkpoint(folder, model, SearchConfig(beam=2, max_length=7), "speech", {"metrics": {}}, "# tiny\n")
    return folder


@pytest.fixture
def transcriber(monkeypatch: pytest.MonkeyPatch) -> FakeTranscriber:
    fake = FakeTranscriber()
    monkeypatch.setattr(batch, "load", lambda path, device: fake)
    return fake


def read_rows(path: Path) -> dict[str, dict]:
    """By the name of the file; each is there once."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    names = {Path(row["path"]).name: row for row in rows}
    assert len(names) == len(rows)
    return names


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a refusal."""
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("multimodal-attn: ")
    return line


def test_every_sound_below_a_folder_gets_a_row_and_what_failed_is_said(
    sounds: Path, transcriber: FakeTranscriber, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["transcribe", str(sounds), str(sounds / "gone.wav"), "--out", str(tmp_path / "rows.jsonl")]) == 2
    rows = read_rows(tmp_path / "rows.jsonl")
    assert set(rows) == {"long.wav", "talk.flac", "talk.ogg", "silence.wav", "empty.wav", "text.mp3", "gone.wav"}
    assert {name for name, row in rows.items() if "error" in row} == {"empty.wav", "text.mp3", "gone.wav"}
    message = capsys.readouterr().err
    assert "3 of 7 files could not be transcribed" in message
    assert all(name in message for name in ("empty.wav", "text.mp3", "gone.wav"))


def test_the_pieces_of_a_long_sound_are_one_row_in_order(
    sounds: Path, transcriber: FakeTranscriber, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["transcribe", str(sounds / "long.wav")]) == 0
    row = json.loads(capsys.readouterr().out)
    assert set(row) == {"path", "text", "score", "words"}
    n_pieces = len(list(transcriber.pieces(sounds / "long.wav")))
    assert n_pieces >= 3
    assert row["text"] == " ".join(f"w{n} it's" for n in range(n_pieces))
    assert [word["text"] for word in row["words"]] == row["text"].split()
    times = [time for word in row["words"] for time in (word["start"], word["end"])]
    assert times == sorted(times) and times[-1] == pytest.approx(5.0, abs=1e-3)
    assert row["score"] == pytest.approx(np.mean([-0.25 * (n + 1) for n in range(n_pieces)]))


def test_the_weights_of_a_long_sound_are_not_kept_unless_they_are_wanted() -> None:
    def segments(n_pieces: int) -> Iterator[tuple[Input, Segment]]:
        for n in range(n_pieces):
            trace = planted_piece(Sound(np.eye(1, RATE, dtype=np.float32)[0], float(n)), n)
            geometry = SoundGeometry(n + 1.0, float(n), 1 / 50_000, 50_000)
            heavy = np.zeros((4, 1, 50_000), np.float32)  # 0.8 MB
            segment = Segment(Path("a.wav"), replace(trace, geometry=geometry, weights=heavy), n + 1 == n_pieces)
            yield Input(Path("a.wav"), "a"), segment

    tracemalloc.start()
    ((_, row, _),) = batch.to_rows(segments(41), attention=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(row["words"]) == 82
    assert peak < 5_000_000  # of 33 MB


def test_silence_has_an_empty_text_and_the_reason(
    sounds: Path, transcriber: FakeTranscriber, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["transcribe", str(sounds / "silence.wav")]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["text"], row["words"], row["note"]) == ("", [], "silent")


def test_attention_rows_are_traces_and_those_of_long_sounds_hold_one_for_each_piece(
    sounds: Path, transcriber: FakeTranscriber, tmp_path: Path
) -> None:
    out = tmp_path / "rows.jsonl"
    main(["transcribe", str(sounds), "--attention", "--out", str(out)])
    rows = read_rows(out)
    trace = AttentionTrace.from_dict(rows["talk.flac"])
    assert trace.text == "w0 it's" and trace.weights.shape[0] == len(trace.tokens) == 4
    pieces = [AttentionTrace.from_dict(piece) for piece in rows["long.wav"]["pieces"]]
    assert " ".join(piece.text for piece in pieces) == rows["long.wav"]["text"]
    starts = [piece.geometry.start for piece in pieces]
    assert isinstance(pieces[0].geometry, SoundGeometry) and starts == sorted(set(starts))


def test_a_folder_gets_rows_and_a_document_of_each_format_for_every_sound(
    sounds: Path, transcriber: FakeTranscriber, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "folder"
    formats = ["jsonl", "txt", "json", "srt", "vtt", "tsv"]
    assert main(["transcribe", str(sounds), "--out", str(out), "--format", *formats]) == 2
    good = {f"{name}.{format}" for name in ("long", "talk", "more/talk", "silence") for format in formats[1:]}
    others = {"transcripts.jsonl", "empty.json", "text.json", RECORD}
    assert {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} == good | others
    assert (out / "talk.txt").read_text() == "w0 it's\n"
    assert json.loads((out / "more" / "talk.json").read_text())["path"].endswith("more/talk.ogg")
    assert "error" in json.loads((out / "empty.json").read_text())
    assert (out / "silence.srt").read_text() == "" and (out / "silence.vtt").read_text() == "WEBVTT\n"
    assert "00:00:00,000 --> " in (out / "talk.srt").read_text()


def test_one_document_may_be_a_file_or_the_standard_output(
    sounds: Path, transcriber: FakeTranscriber, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = str(sounds / "talk.flac")
    assert main(["transcribe", sound, "--format", "tsv"]) == 0
    on_screen = capsys.readouterr().out
    assert on_screen.splitlines()[0] == "start\tend\ttext"
    assert main(["transcribe", sound, "--out", str(tmp_path / "mine.tsv")]) == 0
    assert (tmp_path / "mine.tsv").read_text() == on_screen
    assert [path.name for path in tmp_path.iterdir() if path.is_file() and path.name != RECORD] == ["mine.tsv"]


def test_figures_are_drawn_for_every_sound_and_every_piece(
    sounds: Path, transcriber: FakeTranscriber, tmp_path: Path
) -> None:
    figures = tmp_path / "figures"
    main(["transcribe", str(sounds), "--pictures", str(figures), "--out", str(tmp_path / "rows.jsonl")])
    n_pieces = len(list(transcriber.pieces(sounds / "long.wav")))
    long = {f"long.{n:03}.png" for n in range(1, n_pieces + 1)}
    names = {path.relative_to(figures).as_posix() for path in figures.rglob("*") if path.is_file()}
    assert names == long | {"talk.png", "more/talk.png", "silence.png", RECORD}


def test_options_reach_the_search(sounds: Path, transcriber: FakeTranscriber) -> None:
    sound = str(sounds / "talk.flac")
    given = ["--beam", "3", "--ctc", "0.4", "--lm", "0.2", "--words", "0.3", "--batch-size", "5"]
    assert main(["transcribe", sound, *given, "--speeds", "0.9", "1.1", "--consensus", "0.5"]) == 0
    named = {"beam": 3, "ctc": 0.4, "lm": 0.2, "words": 0.3, "speeds": [0.9, 1.1], "consensus": 0.5}
    assert transcriber.options == named and transcriber.batch_size == 5
    main(["transcribe", sound])
    assert set(transcriber.options.values()) == {None}  # the checkpoint's own


def test_rows_of_finished_sounds_are_there_when_a_batch_breaks(
    sounds: Path, transcriber: FakeTranscriber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments = transcriber.segments

    def broken(*args, **options):
        for segment in segments(*args, **options):
            if segment.source.name == "talk.flac":
                raise KeyboardInterrupt
            yield segment

    monkeypatch.setattr(transcriber, "segments", broken)
    args = [str(sounds / name) for name in ("long.wav", "silence.wav", "talk.flac")]
    assert main(["transcribe", *args, "--out", str(tmp_path / "rows.jsonl")]) == 130
    assert set(read_rows(tmp_path / "rows.jsonl")) == {"long.wav", "silence.wav"}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["SOUNDS", "--format", "srt"], "srt of several recordings; name a folder with --out"),
        (["SOUNDS", "--out", "all.txt"], "--out all.txt is one file, too few for txt of several recordings"),
        (["SOUNDS/talk.flac", "--format", "srt", "vtt"], "formats srt, vtt; name a folder"),
        (["SOUNDS/talk.flac", "--format", "srt", "--out", "x.vtt"], "x.vtt is one file of format vtt, not srt"),
        (["SOUNDS/talk.flac", "--out", "SOUNDS/notes.txt/x"], "cannot be made a folder"),
        (["SOUNDS/talk.flac", "--out", "no/such/x.srt"], "no/such/x.srt cannot be written"),
        (["SOUNDS/talk.flac", "--pictures", "SOUNDS/notes.txt"], "--pictures"),
        (["SOUNDS/talk.flac", "--batch-size", "0"], "--batch-size and --workers start at 1"),
        (["nothing"], "no sound in nothing"),
    ],
)
def test_a_mistake_is_one_clear_line_and_status_2(
    args: list[str],
    words: str,
    sounds: Path,
    transcriber: FakeTranscriber,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nothing").mkdir()
    assert main(["transcribe", *(arg.replace("SOUNDS", str(sounds)) for arg in args)]) == 2
    assert words in error_of(capsys)


def test_times_are_not_invented_for_a_model_without_them(
    sounds: Path,
    transcriber: FakeTranscriber,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        "tests.fake_transcriber.planted_piece", lambda sound, n: replace(planted_piece(sound, n), words=())
    )
    assert main(["transcribe", str(sounds / "talk.flac"), "--format", "srt"]) == 2
    assert "--format srt needs the times of words" in error_of(capsys)


def test_options_that_cannot_be_are_refused_before_anything_is_overwritten(
    sounds: Path, transcriber: FakeTranscriber, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    yesterday = '{"path": "a.wav", "error": "a.wav: no such file; check the path"}\n'
    (tmp_path / "rows.jsonl").write_text(yesterday)
    args = ["--ctc", "1.5", "--overwrite", "--out", str(tmp_path / "rows.jsonl")]
    assert main(["transcribe", str(sounds), *args]) == 2
    assert "ctc" in error_of(capsys)
    assert (tmp_path / "rows.jsonl").read_text() == yesterday


def test_a_captioner_does_not_transcribe(
    sounds: Path, tiny_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["transcribe", str(sounds), "--checkpoint", str(tiny_checkpoint)]) == 2
    assert "is a model for pictures; name one for sounds" in error_of(capsys)


def test_a_model_transcribes_a_folder_as_it_does_each_file(
    sounds: Path, tiny_transcriber: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    noise(sounds / "minute.wav", 41.0)
    out, figures = tmp_path / "all", tmp_path / "figures"
    options = ["--out", str(out), "--pictures", str(figures), "--html", str(figures), "--format", "jsonl", "vtt"]
    assert main(["transcribe", str(sounds), "--checkpoint", str(tiny_transcriber), *options]) == 2
    rows = read_rows(out / "transcripts.jsonl")
    assert len(list(out.rglob("*.vtt"))) == 5 and len(list(figures.glob("minute.0*.png"))) >= 3
    assert sum("error" in row for row in rows.values()) == 2 and len(rows) == 7
    predictor = load(tiny_transcriber)
    for row in (row for row in rows.values() if "error" not in row):
        trace = predictor(row["path"])
        assert row["text"] == trace.text and row["score"] == pytest.approx(trace.score, abs=1e-4)
        assert [word["text"] for word in row["words"]] == [word.text for word in trace.words]
    assert rows["minute.wav"]["text"]
    page = json.loads(re.search(r'data-kind="sound">(.*?)</script>', (figures / "minute.html").read_text("utf-8"))[1])
    assert page["trace"]["text"] == rows["minute.wav"]["text"] and page["media"]["seconds"] == pytest.approx(41.0)
    assert len(list(figures.rglob("*.html"))) == 5  # one each, however many pieces
