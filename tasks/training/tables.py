"""People's own tables: CSV with any delimiter, TSV, JSON Lines and JSON arrays, as spreadsheets and other projects
write them, read into rows under the columns' own names.

A row that cannot be used is a Fault, which the reader goes on after; a file that cannot be read is a DataError of one
line, which begins with the file and the row.
"""

import csv
import io
import json
import logging
import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multimodal_attn.errors import DataError
from tasks.training.faults import Fault

LOG = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")
SPLIT_ALIASES = {
    "training": "train",
    "restval": "train",
    "dev": "val",
    "development": "val",
    "valid": "val",
    "validation": "val",
    "testing": "test",
}
DELIMITERS = (",", ";", "\t", "|")
JSON = (".json", ".jsonl", ".ndjson")
BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")
SAID_DELIMITER = re.compile(r'"?sep=(.)"?\s*\n')  # Excel's own first line


@dataclass(frozen=True)
class Columns:
    """What a table may hold: required columns (of files: the path, then the text), and optional ones.

    Names count without regard to case, to spaces around them, and to what joins their words. aliases: other names of
    columns, the likelier first. numbers: columns that JSON may give as a number. quoted: fields may be in quotes.
    others: further columns are usual; without it they are passed over too, but named once.
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

    def pick(self, names: Iterable[str]) -> dict[str, str]:
        """Which of a table's names stands for each column that it has."""
        plain: dict[str, str] = {}
        for name in names:
            plain.setdefault(plain_name(name), name)
        options = [(column, column) for column in self.known]
        options += [(alias, column) for alias, column in (self.aliases or {}).items() if column in self.known]
        picked: dict[str, str] = {}
        for option, column in options:
            if plain_name(option) in plain:
                picked.setdefault(column, plain[plain_name(option)])
        return picked

    def lack(self, names: Iterable[str]) -> str | None:
        """What a table with these names lacks, if it lacks something."""
        names = list(names)
        picked = self.pick(names)
        missing = next((name for name in self.required if name not in picked), None)
        if missing is None:
            return None
        aliases = [alias for alias, column in (self.aliases or {}).items() if column == missing and alias != missing]
        also = f" (also called {', '.join(aliases[:4])})" if aliases else ""
        columns = f"the columns are {', '.join(self.required)} and, if wanted, {', '.join(self.optional)}"
        return f"no column {missing!r}{also}; {columns}; its first row is {shown(names)}"

    def is_value(self, name: str, value: Any) -> bool:
        if name == self.required[1] and isinstance(value, list):
            return all(isinstance(each, str) for each in value)
        number = name in self.numbers and isinstance(value, int | float) and not isinstance(value, bool)
        return number or isinstance(value, str | None)


def shown(names: Iterable[str]) -> str:
    """As much of a table's first row as a message has room for."""
    text = " ".join(", ".join(names).split())
    return repr(text[:60] + "..." if len(text) > 60 else text)


def plain_name(name: str) -> str:
    """`File Name`, `file-name` and ` FILE_NAME` are one: file_name."""
    return "_".join(re.split(r"[\s_-]+", name.strip().casefold()))


# reading


def read_rows(path: Path, columns: Columns) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a table, each with `file:line`, under the columns' names. Raises DataError for the first fault."""
    for row in parse_rows(path, columns):
        if isinstance(row, Fault):
            raise DataError(str(row))
        yield row


def parse_rows(path: Path, columns: Columns) -> Iterator[tuple[str, dict[str, str]] | Fault]:
    """The rows of a table, each with `file:line`, under the columns' names, and the faults between them."""
    return (_read_json if path.suffix.lower() in JSON else _read_delimited)(path, columns)


def is_table(path: Path, columns: Columns) -> bool:
    """Whether a file begins as a table with the required columns does."""
    try:
        if path.suffix.lower() in JSON:
            _, first = next(_json_items(path))
            return isinstance(first, dict) and not columns.lack(first)
        lines = read_text(path).splitlines()
        return not columns.lack(_fields(lines[0], _delimiter(lines[0], columns)))
    except (DataError, csv.Error, StopIteration, IndexError):
        return False


def _read_delimited(path: Path, columns: Columns) -> Iterator[tuple[str, dict[str, str]] | Fault]:
    whole = read_text(path)
    text = whole.lstrip("\n")
    said = SAID_DELIMITER.match(text)
    text = text[said.end() :] if said else text
    n_before, first = whole.count("\n") - text.count("\n"), text.partition("\n")[0]
    delimiter = said[1] if said else _delimiter(first, columns)
    quoting = csv.QUOTE_MINIMAL if columns.quoted else csv.QUOTE_NONE
    options = {"strict": True, "quoting": quoting, "skipinitialspace": f"{delimiter} " in first}
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, **options)
    n_read = n_before
    try:
        header = next(reader, [])
        n_read = n_before + reader.line_num
        if lack := columns.lack(header):
            raise DataError(f"{path}:{max(1, n_read)}: {lack}")
        picked = columns.pick(header)
        _name_others(path, header, picked, columns)
        places = {column: header.index(name) for column, name in picked.items()}
        for fields in reader:
            n_read = n_before + reader.line_num
            if not any(field.strip() for field in fields):
                continue
            if any(field.strip() for field in fields[len(header) :]):
                sign = {",": "a comma", "\t": "a tab"}.get(delimiter, repr(delimiter))
                hint = f"quote a {columns.required[1]} that has {sign} in it"
                yield Fault("unclear", f"{path}:{n_read}", f"more fields than the header has; {hint}")
                continue
            fields += [""] * (len(header) - len(fields))
            yield f"{path}:{n_read}", {column: fields[place] for column, place in places.items()}
    except csv.Error as error:
        # the reader's own count is the line where it gave up; a quote left open began on the line after the last row
        raise DataError(f"{path}:{n_read + 1}: {error}; check the quotes") from error


def _delimiter(header: str, columns: Columns) -> str:
    """The sign that parts the header into the columns wanted, or else into most."""
    parted = {sign: _fields(header, sign) for sign in DELIMITERS}
    fitting = (sign for sign, names in parted.items() if not columns.lack(names))
    return next(fitting, max(DELIMITERS, key=lambda sign: len(parted[sign])))


def _fields(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])


def _read_json(path: Path, columns: Columns) -> Iterator[tuple[str, dict[str, str]] | Fault]:
    example = json.dumps(dict.fromkeys(columns.required, "..."))
    kinds: dict[tuple[str, ...], dict[str, str]] = {}
    for where, row in _json_items(path):
        if isinstance(row, Fault):
            yield row
            continue
        names = tuple(row) if isinstance(row, dict) else ()
        if names not in kinds:
            kinds[names] = columns.pick(names)
            _name_others(path, names, kinds[names], columns)
        values = {column: row[name] for column, name in kinds[names].items()}
        if not isinstance(row, dict) or not all(columns.is_value(name, value) for name, value in values.items()):
            yield Fault("unclear", where, f"not a row; write {example}, with text for values")
        elif lack := columns.lack(names):
            yield Fault("unclear", where, lack)
        else:
            texts = values[columns.required[1]]
            for text in texts if isinstance(texts, list) else [texts]:
                values[columns.required[1]] = text
                yield where, {name: "" if value is None else str(value) for name, value in values.items()}


def _json_items(path: Path) -> Iterator[tuple[str, Any]]:
    """The values of an array, or of lines; a Fault for a line that is no JSON."""
    text = read_text(path)
    if text.lstrip().startswith("["):
        for n, item in enumerate(parse_json(text, path)):
            yield f"{path}:[{n}]", item
        return
    for n, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            where = f"{path}:{n}"
            try:
                yield where, json.loads(line)
            except json.JSONDecodeError as error:
                problem = f"not JSON ({error.msg} at column {error.colno}); mend or remove it"
                yield where, Fault("unclear", where, problem)


def parse_json(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not JSON ({error.msg}); is the download complete?") from error


def _name_others(path: Path, names: Collection[str], picked: Mapping[str, str], columns: Columns) -> None:
    others = [name.strip() or "one without a name" for name in names if name not in picked.values()]
    if others and not columns.others:
        LOG.warning("%s: passed over columns that are not known: %s", path, ", ".join(others))


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """The lines that are not blank, each with `file:line`."""
    for n, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            yield f"{path}:{n}", line


def read_text(path: Path) -> str:
    """A whole UTF-8 file, with or without a byte order mark, or a UTF-16 one with it."""
    try:
        with path.open("rb") as file:
            encoding = "utf-16" if file.read(2) in BYTE_ORDER_MARKS else "utf-8-sig"
        return path.read_text(encoding=encoding)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the name and the permissions") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error


# splits


def split_named(name: str) -> str | None:
    """train, val or test, whichever the name stands for in any case; None for any other name."""
    split = SPLIT_ALIASES.get(name.strip().casefold(), name.strip().casefold())
    return split if split in SPLITS else None


def known_split(name: str, where: str) -> str:
    """train, val or test, whichever the name stands for; DataError for any other."""
    if split := split_named(name):
        return split
    raise DataError(f"{where}: unknown split {name!r}; use one of {', '.join(SPLITS)}")


def hash_split(key: str) -> str:
    """A split by the hash of a name, whatever else is there: 80 % train, 10 % val, 10 % test."""
    return {0: "val", 1: "test"}.get(zlib.crc32(key.encode()) % 10, "train")
