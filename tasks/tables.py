"""People's own tables of data: what every task shares in finding, reading and checking them.

A mistake is a DataError of one line that begins with the file and the row, and comes before training starts.
"""

import csv
import io
import json
import os
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from multimodal_attn.errors import ConfigError, DataError

SPLITS = ("train", "val", "test")
SPLIT_ALIASES = {"restval": "train", "dev": "val", "valid": "val", "validation": "val"}


@dataclass(frozen=True)
class Source:
    """A file of texts, the folder that the names in it are relative to, and its split if it holds but one."""

    file: Path
    folder: Path
    split: str | None = None


@dataclass(frozen=True)
class Format:
    """A reader, which turns a source into rows, with the names under which its files are usually found.

    `{split}` in a pattern stands for train, val or test. folders: where the pictures or sounds usually lie.
    many: the texts lie in many files; the reader is given the data set's folder as its source's file.
    """

    read: Callable[[Source], Iterator[Any]]
    patterns: tuple[str, ...]
    folders: tuple[str, ...] = ()
    many: bool = False


@dataclass(frozen=True)
class Columns:
    """What a table may hold: required columns (the path, then the text), and optional ones.

    aliases: other names of columns. numbers: columns that JSON may give as a number. quoted: fields may be in quotes.
    others: further columns are passed over.
    """

    required: tuple[str, str]
    optional: tuple[str, ...]
    aliases: Mapping[str, str] | None = None
    numbers: tuple[str, ...] = ()
    quoted: bool = True
    others: bool = False

    @property
    def known(self) -> tuple[str, ...]:
        return (*self.required, *self.optional)

    def rename(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row under the columns' own names."""
        aliases = self.aliases or {}
        return {aliases.get(name, name): value for name, value in row.items()}

    def check(self, names: Collection[str], where: str) -> None:
        """Raises DataError for a column that is not known, or required and not there."""
        names = self.rename(dict.fromkeys(names))
        listed = f"the columns are {', '.join(self.required)} and, if wanted, {', '.join(self.optional)}"
        if not self.others and (unknown := [name for name in names if name not in self.known]):
            raise DataError(f"{where}: unknown column {unknown[0]!r}; {listed}")
        if missing := [name for name in self.required if name not in names]:
            raise DataError(f"{where}: no column {missing[0]!r}; {listed}")

    def is_value(self, name: str, value: Any) -> bool:
        number = name in self.numbers and isinstance(value, int | float) and not isinstance(value, bool)
        return number or isinstance(value, str)


# finding


@dataclass(frozen=True)
class Found:
    """A format, the file of texts (of a `many` format: the folder), the data set's folder, and the file's split if it
    holds but one."""

    format: Format
    file: Path
    root: Path
    split: str | None


def find_texts(
    root: Path, split: str, formats: Mapping[str, Format], format: str, file: str | None, option: str
) -> Found:
    """Where the texts of a data set are, and in which format.

    root: the data set's folder, or the file itself. format: a key of `formats`, or auto: by the names of the files.
    file: the file's name below root, where it is not a usual one. option: what the user calls that argument.
    Raises ConfigError for a split or format that does not exist, DataError where nothing is found, or too much.
    """
    if split not in SPLITS:
        raise ConfigError(f"split {split!r} does not exist; choose one of {', '.join(SPLITS)}")
    if format != "auto" and format not in formats:
        raise ConfigError(f"format {format!r} does not exist; choose one of auto, {', '.join(formats)}")
    if root.is_file():
        root, file = root.parent, root.name
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; set `root` to the folder of the data set")
    kinds = formats if format == "auto" else {format: formats[format]}
    kind, pattern, path = _named(root, split, kinds, file) if file else _search(root, split, kinds, option)
    return Found(kind, path, root, split if "{split}" in pattern else None)


def _named(root: Path, split: str, kinds: Mapping[str, Format], file: str) -> tuple[Format, str, Path]:
    """The file that the user names, which may have any name if the format is named too."""
    name = Path(file).name
    for kind in kinds.values():
        patterns = (Path(pattern.replace("{split}", "*")).name for pattern in kind.patterns)
        if len(kinds) == 1 or (not kind.many and any(fnmatch(name, pattern) for pattern in patterns)):
            return kind, file, root / file.replace("{split}", split)
    raise DataError(f"{root / file}: the name does not tell the format; set `format` to one of {', '.join(kinds)}")


def _search(root: Path, split: str, kinds: Mapping[str, Format], option: str) -> tuple[Format, str, Path]:
    """The first format of which a file lies in the folder."""
    for kind in kinds.values():
        for pattern in kind.patterns:
            paths = root.glob(pattern.replace("{split}", split))
            if kind.many and any(True for _ in paths):
                return kind, pattern, root
            paths = sorted(paths)
            if len(paths) > 1:
                raise DataError(f"{root}: both {paths[0].name} and {paths[1].name}; set `{option}` to one of them")
            if paths:
                return kind, pattern, paths[0]
    looked = ", ".join(pattern.replace("{split}", split) for kind in kinds.values() for pattern in kind.patterns)
    raise DataError(f"{root}: no {option} of the split {split} (looked for {looked}); set `{option}` to their file")


# reading


def read_rows(path: Path, columns: Columns) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a CSV, TSV or JSON Lines file, each with `file:line`; DataError for what does not fit the columns."""
    read = _read_json_lines if path.suffix.lower() in (".jsonl", ".json") else _read_csv
    for where, row in read(path, columns):
        yield where, columns.rename(row)


def _read_csv(path: Path, columns: Columns) -> Iterator[tuple[str, dict[str, str]]]:
    delimiter = "\t" if path.suffix.lower() in (".tsv", ".tab") else ","
    quoting = csv.QUOTE_MINIMAL if columns.quoted else csv.QUOTE_NONE
    text = io.StringIO(read_text(path), newline="")
    reader = csv.DictReader(text, delimiter=delimiter, restval="", strict=True, quoting=quoting)
    n_read = 0
    try:
        columns.check(reader.fieldnames or (), f"{path}:1")
        n_read = reader.line_num
        for row in reader:
            n_read = reader.line_num
            where = f"{path}:{n_read}"
            if None in row:
                hint = f"quote a {columns.required[1]} that has a comma in it"
                raise DataError(f"{where}: more fields than the header has; {hint}")
            yield where, row
    except csv.Error as error:
        # the reader's own count is the line where it gave up; a quote left open began on the line after the last row
        raise DataError(f"{path}:{n_read + 1}: {error}; check the quotes") from error


def _read_json_lines(path: Path, columns: Columns) -> Iterator[tuple[str, dict[str, str]]]:
    example = json.dumps(dict.fromkeys(columns.required, "..."))
    for where, line in read_lines(path):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{where}: not JSON ({error.msg} at column {error.colno}); mend or remove it") from error
        if not (isinstance(row, dict) and all(columns.is_value(name, value) for name, value in row.items())):
            raise DataError(f"{where}: not a row; write {example}, with text for values")
        columns.check(row, where)
        yield where, {name: str(value) for name, value in row.items()}


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """The lines that are not blank, each with `file:line`."""
    for n, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            yield f"{path}:{n}", line


def read_text(path: Path) -> str:
    """A whole UTF-8 file, with or without a byte order mark."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the name and the permissions") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error


# checking


def known_split(name: str, where: str) -> str:
    """train, val or test, whichever the name stands for; DataError for any other."""
    split = SPLIT_ALIASES.get(name, name)
    if split not in SPLITS:
        raise DataError(f"{where}: unknown split {name!r}; use one of {', '.join(SPLITS)}")
    return split


def hash_split(key: str) -> str:
    """A split by the hash of a name, whatever else is there: 80 % train, 10 % val, 10 % test."""
    return {0: "val", 1: "test"}.get(zlib.crc32(key.encode()) % 10, "train")


def check_files(files: Iterable[tuple[Path, str]], kind: str) -> None:
    """Raises DataError for the first of (path, row) whose file does not exist. kind: what the message calls it."""
    # one listing of each folder: asking for every file takes minutes on a network disk
    listed: dict[Path, frozenset[str]] = {}
    for path, row in files:
        if path.parent not in listed:
            listed[path.parent] = frozenset(os.listdir(path.parent)) if path.parent.is_dir() else frozenset()
        if path.name not in listed[path.parent]:
            raise DataError(f"{row}: there is no {kind} {path}; add it or remove the row")
