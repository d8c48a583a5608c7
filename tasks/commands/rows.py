"""JSON Lines of results, a row for each file as soon as it is done, in a file or on the standard output."""

import json
import os
import select
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, BinaryIO

from multimodal_attn.errors import UserError
from multimodal_attn.files import printable, whole_file
from multimodal_attn.senses import sense_of
from tasks.commands.outputs import Choice, check_not_read, made_otherwise, refusal
from tasks.commands.record import Maker, Record, State

Row = dict[str, Any]  # path, and text, score, words, ... or error

BEGINNING = b'{"path": "'  # of every row
COLUMNS = {"path", "text", "score", "note", "cut", "pieces"}  # of any row; a sense may have further ones
LONGEST = 1 << 28  # bytes of a row: ten hours of sound with its attention
FLUSH_EVERY = 1.0  # seconds of rows that a power cut may cost


@dataclass(frozen=True)
class Found:
    """What a file of rows holds. size: in bytes. paths: hashes of those that have a row, which take half the memory.
    failed: those of them whose row is an error. cut: those that were read up to where they were damaged. end: bytes of
    whole rows. closed: the last one of them ends in a newline."""

    state: State
    size: int = 0
    paths: frozenset[int] = frozenset()
    failed: frozenset[int] = frozenset()
    cut: frozenset[int] = frozenset()
    end: int = 0
    closed: bool = True


def inspect_rows(path: Path, sense: str, is_known: bool) -> Found:
    """What is there, if it is rows of this sense alone; what a kill left of the last one does not count, nor, of a file
    that is known to be ours, of the only one."""
    if not path.is_file():  # nothing, or a pipe or device, which keep nothing
        return Found(State.FREE)
    paths, failed, cut_off, end, closed = set(), set(), set(), 0, True
    with path.open("rb") as file:
        while line := file.readline(LONGEST):
            row = parse_row(line, sense)
            if row is not None:
                paths.add(hash(row["path"]))
                failed.update([hash(row["path"])] if "error" in row else [])
                cut_off.update([hash(row["path"])] if "cut" in row else [])
                end, closed = file.tell(), line.endswith(b"\n")
            elif not ((paths or is_known) and is_torn(line)):
                return Found(State.FOREIGN)
        size = file.tell()
    state = State.OURS if size else State.FREE
    return Found(state, size, frozenset(paths), frozenset(failed), frozenset(cut_off), end, closed)


def is_torn(line: bytes) -> bool:
    """Whether this is the beginning of a row, as a kill leaves it at the end of a file."""
    if line.endswith(b"\n") or len(line) == LONGEST or line[: len(BEGINNING)] != BEGINNING[: len(line)]:
        return False
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return True
    return False  # all there, and so somebody else's


def parse_row(line: bytes, sense: str) -> Row | None:
    """A row as the command for this sense writes it; None for anything else."""
    try:
        row = json.loads(line) if line.startswith(BEGINNING) else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict):
        return None
    is_error = set(row) == {"path", "error"}
    return row if is_error or ({"text", "score"} <= set(row) and is_of(row, sense)) else None


def is_of(row: Row, sense: str) -> bool:
    """By the geometry of its trace, or else by its columns."""
    if isinstance(geometry := row.get("geometry"), dict):
        return geometry.get("kind") == sense
    return set(row) - COLUMNS == set(sense_of(sense).columns)


class RowFile:
    """Where the rows of a job go: a file, or the standard output where path is None.

    found: what the file holds already, as far as it is kept.
    """

    def __init__(self, path: Path | None, sense: str, choice: Choice, named: Sequence[Path]) -> None:
        """named: files to read. Raises UserError where the file must not be written, before anything is changed."""
        self.path, self.sense, self.choice, self.found = path, sense, choice, Found(State.FREE)
        if path is None:
            return
        self.name = f"--out {printable(path)}"
        check_not_read("--out", path, named)
        if path.is_dir():
            raise UserError(f"{self.name} is a folder; name a file in it")
        self.record = Record(path.parent)
        self._inspect()

    def is_done(self, path: str) -> bool:
        return hash(path) in self.found.paths

    def has_failed(self, path: str) -> bool:
        return hash(path) in self.found.failed

    def was_cut(self, path: str) -> bool:
        return hash(path) in self.found.cut

    @contextmanager
    def open(self, maker: Maker) -> Iterator[Callable[[Row], None]]:
        """What writes a row, whole, at once. What a file held is cut off, if at all, when the first row is there.

        Raises UserError when another process writes here, when the rows are of another model or of other options, when
        a row cannot be written, after what was written of it is gone, and in the end where the file is not there any
        more.
        """
        if self.path is None:
            with_output = standard_output()
            yield lambda row: write_all(with_output, row_to_line(row), "the standard output")
            return
        is_kept = self.path.is_file() or not self.path.exists()  # unlike what pipes and devices take
        with self.record.held(self.path.name, maker) if is_kept else nullcontext():
            self._prepare()
            try:
                file = os.fdopen(os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666), "wb", buffering=0)
            except OSError as error:
                raise cannot_write(self.name, error) from error
            with file:
                yield self._writer(file, is_kept)
                if not is_at(file, self.path):
                    told = "was moved or deleted while it was written; rows since then are not there"
                    raise UserError(f"{self.name} {told}")

    def _inspect(self) -> None:
        try:
            self.found = inspect_rows(self.path, self.sense, self.path.name in self.record.known)
        except OSError as error:
            raise cannot_write(self.name, error) from error
        if self.found.state is State.FOREIGN:
            raise refusal(self.name, State.FOREIGN)

    def _prepare(self) -> None:
        """Under the lock, and for the process that has it alone."""
        if self.path.is_file() and self.path.stat().st_size != self.found.size:
            self._inspect()  # somebody has written here since
        if self.choice is Choice.OVERWRITE:
            self.found = Found(self.found.state, self.found.size)  # to be written from its beginning
        elif self.found.state is State.OURS:
            if self.path.name not in self.record.known:
                raise made_otherwise(f"{self.name} was written, nobody knows by which model")
            if how := self.record.made_otherwise([self.path.name]):
                raise made_otherwise(f"--out {how}")
        if self.choice is Choice.RETRY and self.found.failed:
            drop_failed(self.path, self.sense)
            self._inspect()

    def _writer(self, file: BinaryIO, is_kept: bool) -> Callable[[Row], None]:
        begun, flushed = False, monotonic()

        def write(row: Row) -> None:
            nonlocal begun, flushed
            if hash(row["path"]) in self.found.paths:
                return
            if not begun:
                self._begin(file, is_kept)
            begun = True
            write_all(file, row_to_line(row), self.name)
            if is_kept and monotonic() - flushed > FLUSH_EVERY:
                os.fsync(file.fileno())
                flushed = monotonic()

        return write

    def _begin(self, file: BinaryIO, is_kept: bool) -> None:
        if os.fstat(file.fileno()).st_size != self.found.size:
            raise UserError(f"{self.name} was changed by somebody else meanwhile; name another file")
        if self.found.size > self.found.end:
            cut(file, self.found.end)
        if is_kept and not self.found.end:
            self.record.add_rows(self.path.name)  # after the cut, or old rows would count as ours
        if not self.found.closed:
            write_all(file, b"\n", self.name)


def drop_failed(path: Path, sense: str) -> None:
    """Leave only the rows that are no errors."""
    with path.open("rb") as before, whole_file(path) as after:
        after.writelines(line for line in before if (row := parse_row(line, sense)) and "error" not in row)


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
