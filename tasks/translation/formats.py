"""The files in which people keep translations. A reader turns those of one format into rows, one for each pair."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from multimodal_attn.errors import DataError
from tasks.training.faults import Fault
from tasks.training.layouts import TABLES, Format, Source
from tasks.training.tables import Columns, hash_split, is_table, parse_rows, read_lines, read_text, split_named

NO_LETTERS = re.compile(r"[^a-z]+")


@dataclass(frozen=True, slots=True)
class Row:
    """A sentence and its translation; `where` is the file and the line."""

    source: str
    target: str
    split: str
    where: str


def build_formats(source: str, target: str) -> dict[str, Format]:
    """The formats of a pair of languages, which name files and columns."""
    columns = Columns((source, target), ("split",), {"source": source, "target": target}, others=True)
    fits = partial(is_table, columns=columns)
    return {
        "lines": Format(partial(read_parallel, source=source, target=target), (f"*.{source}",), many=True),
        "table": Format(partial(read_table, columns=columns), TABLES, fits=fits),
        "tatoeba": Format(read_tatoeba, ("*.tsv",), fits=partial(has_fields, numbers=(4,))),
        "anki": Format(read_anki, ("*.txt",), fits=partial(has_fields, numbers=(2, 3))),
    }


def read_parallel(place: Source, source: str, target: str) -> Iterator[Row]:
    """Moses' form: train.en and train.de, of which line n of one is a translation of line n of the other."""
    files = sorted(place.file.glob(f"*.{source}")) if place.file.is_dir() else [place.file]
    splits: dict[str, Path] = {}
    for file in files:
        split = place.split or split_of(file.stem) or ("" if len(files) == 1 else None)
        if split is None:
            continue  # a file beside the splits
        if split in splits:
            both = f"both {splits[split].name} and {file.name} are of the split {split}"
            raise DataError(f"{place.file}: {both}; set `texts` to the one to read, and `format` to lines")
        splits[split] = file
        yield from read_two(file, file.with_suffix(f".{target}"), split)


def read_two(file: Path, other: Path, split: str) -> Iterator[Row]:
    """split: empty for one by the hash of the sentence."""
    sides = [read_text(each).split("\n") for each in (file, other)]
    sides = [side[:-1] if side[-1] == "" else side for side in sides]
    n, m = map(len, sides)
    if n != m:
        raise DataError(f"{other}:{min(n, m) + 1}: {m} lines, but {file.name} has {n}; line n has to translate line n")
    for number, (sentence, translation) in enumerate(zip(*sides, strict=True), start=1):
        where = f"{file if translation.strip() else other}:{number}"
        yield Row(sentence, translation, split or hash_split(sentence.strip()), where)


def read_table(place: Source, columns: Columns) -> Iterator[Row | Fault]:
    """A table with a column for each language (or `source` and `target`), and perhaps a split."""
    source, target = columns.required
    quoted = place.file.suffix.lower() not in (".tsv", ".tab")  # where tabs part columns, quotation marks are text
    for row in parse_rows(place.file, replace(columns, quoted=quoted)):
        if isinstance(row, Fault):
            yield row
            continue
        where, values = row
        split = values.get("split") or default_split(place, values[source])
        yield Row(values[source], values[target], split, where)


def read_tatoeba(place: Source) -> Iterator[Row | Fault]:
    """Tatoeba's sentence pairs: number, sentence, number, translation, with tabs between them."""
    for where, line in read_lines(place.file):
        fields = line.split("\t")
        if len(fields) == 4:
            yield Row(fields[1], fields[3], default_split(place, fields[1]), where)
        else:
            problem = f"{len(fields)} fields; write number, sentence, number, translation, and tabs between them"
            yield Fault("unclear", where, problem)


def read_anki(place: Source) -> Iterator[Row | Fault]:
    """Anki's and manythings.org's form: sentence, tab, translation, and perhaps whom to credit, which is left out."""
    for where, line in read_lines(place.file):
        fields = line.split("\t")
        if len(fields) in (2, 3):
            yield Row(fields[0], fields[1], default_split(place, fields[0]), where)
        else:
            yield Fault("unclear", where, f"{len(fields)} fields; write the sentence, a tab and the translation")


def has_fields(path: Path, numbers: tuple[int, ...]) -> bool:
    """Whether the first line has one of these numbers of fields, with tabs between them."""
    return len(read_text(path).partition("\n")[0].split("\t")) in numbers


def split_of(stem: str) -> str | None:
    """The split that the beginning of a file's name tells: train, val (valid, dev), test_2016."""
    return split_named(NO_LETTERS.split(stem.lower())[0])


def default_split(place: Source, sentence: str) -> str:
    """The file's own split, by its name if it is train.tsv or the like, or one by the hash of the sentence, so that no
    sentence is in two."""
    return place.split or split_of(place.file.stem) or hash_split(sentence.strip())
