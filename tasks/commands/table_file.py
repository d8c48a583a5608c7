"""Rows as a table, CSV or Parquet, which is made as a whole when all rows are there.

Until then they are JSON Lines in a hidden file beside it, a RowFile with all that it promises; the same command goes on
from there.
"""

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from io import RawIOBase, TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from multimodal_attn.errors import UserError
from multimodal_attn.files import printable, whole_file
from tasks.commands.outputs import Choice, check_not_read, made_otherwise, refusal
from tasks.commands.record import Maker, State
from tasks.commands.rows import Row, RowFile, cannot_write

COLUMNS = ("path", "source", "text", "score", "words", "note", "cut", "error")
OPTIONAL = frozenset(["source", "words", "cut"])  # which only some rows have
REST = "trace"  # the column, as JSON, of all else that --attention puts into a row
WORD = {"text": "string", "start": "float64", "end": "float64", "probability": "float64"}
GROUP = 10_000  # rows that Parquet keeps together, and that are held in memory


def place_rows(path: Path | None, sense: str, choice: Choice, named: Sequence[Path]) -> "RowFile | TableFile":
    """Where rows go, by the ending of the name. Raises UserError where they must not."""
    kind = TableFile if path and path.suffix.lower() in WRITERS else RowFile
    return kind(path, sense, choice, named)


class TableFile:
    """A table of the rows of a job; to be used as a RowFile is."""

    def __init__(self, path: Path, sense: str, choice: Choice, named: Sequence[Path]) -> None:
        self.path, self.choice, self.name = path, choice, f"--out {printable(path)}"
        self.write_table = WRITERS[path.suffix.lower()]
        if self.write_table is write_parquet and not find_spec("pyarrow"):
            told = "pip install 'multimodal-attn[parquet]', or name a .csv"
            raise UserError(f"{self.name} needs pyarrow, which is not installed; {told}")
        check_not_read("--out", path, named)
        self.rows = RowFile(path.with_name(f".{path.name}.jsonl"), sense, choice, named)
        self.is_done, self.has_failed, self.was_cut = self.rows.is_done, self.rows.has_failed, self.rows.was_cut
        self._check()

    @contextmanager
    def open(self, maker: Maker) -> Iterator[Callable[[Row], None]]:
        """What writes a row, which is in the table when the block ends well. Raises UserError as RowFile does."""
        with self.rows.open(maker) as write:
            how = self.rows.record.made_otherwise([self.path.name])
            if how and self.choice is not Choice.OVERWRITE:
                raise made_otherwise(f"--out {how}")
            yield write
            self._check()  # somebody may have made or changed it meanwhile
            try:
                self._make()
            except OSError as error:
                raise cannot_write(self.name, error) from error

    def _check(self) -> None:
        state = self.rows.record.state(self.path.name, None)
        if state in (State.FOREIGN, State.CHANGED):
            raise refusal(self.name, state)

    def _make(self) -> None:
        keys = frozenset().union(*read_rows(self.rows.path))
        columns = [name for name in COLUMNS if name in keys or name not in OPTIONAL]
        columns += [REST] if keys - set(COLUMNS) else []
        with whole_file(self.path) as file:
            hashing = Hashing(file)
            self.write_table(hashing, map(to_record, read_rows(self.rows.path)), columns)
            self.rows.record.add_table(self.path.name, hashing.sha256.hexdigest())


class Hashing(RawIOBase):
    """Writes to a file, and hashes what is written."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.sha256 = file, hashlib.sha256()

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.file.tell()

    def write(self, content: Any) -> int:
        self.sha256.update(content)
        return self.file.write(content)


def read_rows(path: Path) -> Iterator[Row]:
    with path.open("rb") as file:
        yield from map(json.loads, file)


def to_record(row: Row) -> Row:
    """A row by its columns."""
    record = {name: row[name] for name in COLUMNS if name in row}
    rest = {name: value for name, value in row.items() if name not in COLUMNS}
    if "words" in row:
        record["words"] = [{name: word.get(name) for name in WORD} for word in row["words"]]
    return record | ({REST: json.dumps(rest, ensure_ascii=False)} if rest else {})


def write_csv(file: Hashing, records: Iterator[Row], columns: Sequence[str]) -> None:
    """UTF-8, with the names of the columns on the first line; words as JSON."""
    text = TextIOWrapper(file, "utf-8", newline="", write_through=True)
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for record in records:
        words = {"words": json.dumps(record["words"], ensure_ascii=False)} if "words" in record else {}
        writer.writerow(record | words)
    text.detach()


def write_parquet(file: Hashing, records: Iterator[Row], columns: Sequence[str]) -> None:
    import pyarrow
    from pyarrow import parquet

    words = pyarrow.list_(pyarrow.struct([(name, getattr(pyarrow, kind)()) for name, kind in WORD.items()]))
    types = {"score": pyarrow.float64(), "words": words, "cut": pyarrow.bool_()}
    schema = pyarrow.schema([(name, types.get(name, pyarrow.string())) for name in columns])
    with parquet.ParquetWriter(file, schema) as writer:
        while some := list(islice(records, GROUP)):
            writer.write_table(pyarrow.Table.from_pylist(some, schema))


WRITERS = {".csv": write_csv, ".parquet": write_parquet}
