"""A command that is killed at any instant goes on when it is given again, and ends as if nobody had stopped it."""

import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from multimodal_attn.predictor import Segment
from multimodal_attn.senses.sound.media import RATE, Sound
from tasks.cli import main
from tasks.commands import batch
from tasks.commands.record import RECORD
from tests.conftest import CLEAN, ROOT
from tests.fake_captioner import FakeBatchCaptioner, planted_trace
from tests.fake_transcriber import FakeTranscriber, planted_piece

N_FILES = 31
PAUSE = 0.002  # seconds between two pieces, so that a kill may come in each of them
Start = Callable[[Sequence[str]], BaseProcess]


class Unread:
    """Says of every file what its name says, without reading it, and takes its time."""

    def __init__(self, pause: float = PAUSE) -> None:
        super().__init__()
        self.pause = pause

    def segments(self, sources: Sequence[Path], batch_size: int, weights: bool, **options: object) -> Iterator[Segment]:
        for source in sources:
            n_pieces = self.n_pieces(source)
            for n in range(n_pieces):
                time.sleep(self.pause)
                yield Segment(source, self.trace(source, n), n + 1 == n_pieces)


class UnreadPictures(Unread, FakeBatchCaptioner):
    def n_pieces(self, source: Path) -> int:
        return 1

    def trace(self, source: Path, n: int):
        return replace(planted_trace((source.stem, "is", "here")), score=-float(source.stem))


class UnreadSounds(Unread, FakeTranscriber):
    def n_pieces(self, source: Path) -> int:
        return 1 + int(source.stem) % 3

    def trace(self, source: Path, n: int):
        return planted_piece(Sound(np.ones(RATE, np.float32) * np.arange(RATE), float(n)), int(source.stem) + n)


FAKES = {"caption": UnreadPictures, "transcribe": UnreadSounds}


def give(args: Sequence[str], pause: float) -> None:
    """In a process of its own: a command whose model takes a pause before each of its answers."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1), os.dup2(nothing, 2)
    batch.load = lambda *_: FAKES[args[0]](pause)
    sys.exit(main(list(args)))


def started(args: Sequence[str], pause: float = PAUSE) -> BaseProcess:
    return begin(give, args, pause)


def begin(target: Callable[..., None], *args: object) -> BaseProcess:
    process = CLEAN.Process(target=target, args=args, daemon=True)
    process.start()
    return process


def is_over(process: BaseProcess, seconds: float) -> bool:
    """Whether a process ends by itself within so many seconds, and well."""
    process.join(seconds)
    assert process.exitcode in (None, 0)
    return process.exitcode == 0


def killed(args: Sequence[str], n_kills: int, longest: float, seed: int, start: Start = started) -> int:
    """Give a command until it ends, and kill it so many times at most, at moments that a seed draws. The number of
    kills."""
    draw = random.Random(seed)
    for n in range(n_kills):
        process = start(args)
        if is_over(process, draw.uniform(0, longest)):
            return n
        process.kill()
        process.join()
    assert is_over(start(args), 600)
    return n_kills


def results(folder: Path) -> dict[str, bytes]:
    """But for the record, and for hidden files that were to become results."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".part"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if path.name != RECORD}


@pytest.mark.parametrize(("command", "rows"), [("caption", "jsonl"), ("caption", "csv"), ("transcribe", "jsonl")])
def test_a_command_that_is_killed_ends_as_if_it_had_not_been(command: str, rows: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for n in range(N_FILES):
        (folder / f"{n}.{'jpg' if command == 'caption' else 'wav'}").touch()
    options = {"caption": ["--attention", "--out"], "transcribe": ["--format", "jsonl", "srt", "json", "--out"]}
    args = [command, str(folder), *options[command]]

    def place(name: str) -> Path:
        (tmp_path / name).mkdir()
        return tmp_path / name / (f"rows.{rows}" if command == "caption" else "")

    assert is_over(started([*args, str(place("whole"))]), 600)
    whole = results(tmp_path / "whole")
    assert len(whole) == {"csv": 2, "jsonl": 1}[rows] + (2 * N_FILES if command == "transcribe" else 0)
    n_kills = 0
    for seed in range(3):
        n_kills += killed([*args, str(place(f"{seed}"))], 5, N_FILES * PAUSE, seed)
        assert results(tmp_path / f"{seed}") == whole
    assert n_kills > 5


def test_two_processes_do_not_write_one_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(batch, "load", lambda *_: UnreadSounds(0))
    (tmp_path / "in").mkdir()
    for n in range(N_FILES):
        (tmp_path / "in" / f"{n}.wav").touch()
    args = ["transcribe", str(tmp_path / "in"), "--format", "jsonl", "txt", "--out", str(tmp_path / "out")]
    other, until = started(args, 60), time.monotonic() + 600
    try:
        while not (tmp_path / "out" / "transcripts.jsonl").exists():
            assert not is_over(other, 0.01) and time.monotonic() < until
        for more, place in ([], "transcripts.jsonl"), (["--overwrite"], "transcripts.jsonl"):
            assert main([*args, *more]) == 2
            line = capsys.readouterr().err
            told = "is being written by another process; wait for it to end, or name another place"
            assert line == f"multimodal-attn: {tmp_path / 'out' / place} {told}\n"
    finally:
        other.kill()
        other.join()
    assert main(args) == 0  # the lock of a killed process is gone


def become(args: Sequence[str]) -> None:
    """The command itself, in place of this process."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 2)
    os.execve(sys.executable, [sys.executable, "-m", "tasks.cli", *args], os.environ | {"PYTHONPATH": str(ROOT)})


@pytest.mark.slow
def test_the_command_itself_may_be_killed_fifty_times(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """KILLS in the environment takes another number."""
    n_kills, rng = int(os.environ.get("KILLS", "50")), np.random.default_rng(3)
    photos = tmp_path / "photos"
    photos.mkdir()
    for n in range(12 * n_kills):
        Image.fromarray(rng.integers(0, 255, (43, 67, 3), dtype=np.uint8)).save(photos / f"{n:05}.png")

    draw, out = random.Random(7), tmp_path / "stopped.jsonl"

    def grown(args: Sequence[str]) -> BaseProcess:
        """Comes back when the file has grown by some rows, or by none."""
        process, size = begin(become, args), out.stat().st_size if out.exists() else 0
        wanted, until = size + draw.randrange(0, 2_000), time.monotonic() + 60
        while args[-1] == str(out) and out.exists() and out.stat().st_size < wanted and time.monotonic() < until:
            time.sleep(0.001)
        return process

    args = ["caption", str(photos), "--checkpoint", str(tiny_checkpoint), "--batch-size", "1", "--out"]
    assert is_over(begin(become, [*args, str(tmp_path / "whole.jsonl")]), 3600)
    assert killed([*args, str(out)], n_kills, 0.02, 7, grown) > n_kills // 2
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
