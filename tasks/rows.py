"""JSON Lines of results, a row for each file as soon as it is done, in a file or on the standard output."""

import json
import os
import select
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from multimodal_attn.errors import UserError
from multimodal_attn.files import printable
from tasks.outputs import Action, Choice, check_not_read, decide, refusal
from tasks.record import State

Row = dict[str, Any]  # path, and text, score, words, ... or error

BEGINNING = b'{"path": "'  # of every row
LONGEST = 1 << 28  # bytes of a row: ten hours of sound with its attention


@dataclass(frozen=True)
class Found:
    """What a file of rows holds. size: in bytes. paths: those that have a row. end: bytes of whole rows. closed: the
    last one of them ends in a newline."""

    state: State
    size: int = 0
    paths: frozenset[str] = frozenset()
    end: int = 0
    closed: bool = True


def inspect_rows(path: Path, sense: str) -> Found:
    """What is there, if it is rows of this sense alone; what a kill left of the last one does not count."""
    if not path.is_file():  # nothing, or a pipe or device, which keep nothing
        return Found(State.FREE)
    paths, end, closed = set(), 0, True
    with path.open("rb") as file:
        while line := file.readline(LONGEST):
            row = parse_row(line, sense)
            if row is not None:
                paths.add(row["path"])
                end, closed = file.tell(), line.endswith(b"\n")
            elif not (paths and is_torn(line)):
                return Found(State.FOREIGN)
        size = file.tell()
    return Found(State.OURS if size else State.FREE, size, frozenset(paths), end, closed)


def is_torn(line: bytes) -> bool:
    """Whether this is the beginning of a row, as a kill leaves it at the end of a file."""
    if line.endswith(b"\n") or len(line) == LONGEST or not line.startswith(BEGINNING):
        return False
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return True
    return False  # all there, and so somebody else's


def parse_row(line: bytes, sense: str) -> Row | None:
    """A row as `caption` (sense picture) or `transcribe` (sound) write it; None for anything else."""
    try:
        row = json.loads(line) if line.startswith(BEGINNING) else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict):
        return None
    is_error = set(row) == {"path", "error"}
    return row if is_error or ({"text", "score"} <= set(row) and sense_of(row) == sense) else None


def sense_of(row: Row) -> str:
    geometry = row.get("geometry")
    kind = geometry.get("kind") if isinstance(geometry, dict) else None
    return kind or ("sound" if "words" in row else "picture")


class RowFile:
    """Where the rows of a job go: a file, or the standard output where path is None."""

    def __init__(self, path: Path | None, sense: str, choice: Choice, files: Sequence[Path]) -> None:
        """Raises UserError where the file must not be written, before anything is changed."""
        self.path, self.found = path, Found(State.FREE)
        if path is None:
            return
        name = f"--out {printable(path)}"
        check_not_read("--out", path, files)
        if path.is_dir():
            raise UserError(f"{name} is a folder; name a file in it")
        try:
            self.found = inspect_rows(path, sense)
        except OSError as error:
            raise cannot_write(name, error) from error
        if decide(self.found.state, choice) is Action.REFUSE:
            raise refusal(name, self.found.state)
        if choice is not Choice.SKIP:
            self.found = Found(self.found.state, self.found.size)  # to be written from its beginning

    @contextmanager
    def open(self) -> Iterator[Callable[[Row], None]]:
        """What writes a row, whole, at once. What a file held is cut off, if at all, when the first row is there.

        Raises UserError when a row cannot be written, after what was written of it is gone, and in the end where the
        file is not there any more.
        """
        if self.path is None:
            with_output = standard_output()
            yield lambda row: write_all(with_output, row_to_line(row), "the standard output")
            return
        name = f"--out {printable(self.path)}"
        try:
            file = os.fdopen(os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666), "wb", buffering=0)
        except OSError as error:
            raise cannot_write(name, error) from error
        with file:
            yield self._writer(file, name)
            if not is_at(file, self.path):
                raise UserError(f"{name} was moved or deleted while it was written; rows since then are not there")

    def _writer(self, file: BinaryIO, name: str) -> Callable[[Row], None]:
        begun = False

        def write(row: Row) -> None:
            nonlocal begun
            if row["path"] in self.found.paths:
                return
            if not begun:
                self._begin(file, name)
            begun = True
            write_all(file, row_to_line(row), name)

        return write

    def _begin(self, file: BinaryIO, name: str) -> None:
        if os.fstat(file.fileno()).st_size != self.found.size:
            raise UserError(f"{name} was changed by somebody else meanwhile; name another file")
        if self.found.size > self.found.end:
            cut(file, self.found.end)
        if not self.found.closed:
            write_all(file, b"\n", name)


def row_to_line(row: Row) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def standard_output() -> BinaryIO:
    """Below Python's buffers, in which half a line could wait for its end."""
    if sys.stdout is None:
        raise UserError("the standard output is closed; name a place with --out")
    sys.stdout.flush()
    return getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)


def write_all(file: BinaryIO, content: bytes, name: str) -> None:
    """Write the whole of a content without buffers. Raises UserError after taking back a part that could be written."""
    n_written = 0
    try:
        while n_written < len(content):
            n = file.write(content[n_written:])
            if n is None:  # somebody made the standard output one that does not wait
                select.select([], [file], [])
            n_written += n or 0
    except BrokenPipeError:  # nobody reads on, which is no mistake
        raise
    except OSError as error:
        with suppress(OSError):  # pipes and devices keep nothing
            cut(file, file.tell() - n_written)
        raise cannot_write(name, error) from error


def cut(file: BinaryIO, end: int) -> None:
    file.seek(end)
    file.truncate()


def cannot_write(name: str, error: OSError) -> UserError:
    return UserError(f"{name} cannot be written: {error.strerror or error}")


def is_at(file: BinaryIO, path: Path) -> bool:
    """Whether an open file still has this name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False
