"""People's own translations, read and checked in full before training starts.

    load_pairs("multi30k", "train", "en", "de")              train.en and train.de: the format is found by the names
    load_pairs("tatoeba-en-zh.tsv", "val", "en", "zh")       a table with a column for each language
    load_pairs("deu.txt", "test", "en", "de")                sentence, tab, translation

Where nothing says which split a pair belongs to, the hash of its sentence does: 80 % train, 10 % val, 10 % test.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from multimodal_attn.errors import DataError
from multimodal_attn.senses.text.media import Text, one_line
from tasks.training.collection import Roots, as_paths
from tasks.training.faults import Fault, settle
from tasks.training.layouts import Source, find_texts
from tasks.training.tables import SPLITS, split_named
from tasks.translation.formats import Row, build_formats

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pair:
    """A sentence and its translation, neither empty; `row` says where they were read."""

    source: str
    target: str
    row: str

    @property
    def input(self) -> Text:
        return Text(self.source, self.row)

    @property
    def name(self) -> str:
        return self.row

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.target,)


def load_pairs(
    root: Roots,
    split: str,
    source: str,
    target: str,
    format: str = "auto",
    texts: str | None = None,
    skip_bad: bool = False,
) -> list[Pair]:
    """The pairs of one split, in the order of the files.

    root: the data set's folder, or its file; or several of them.
    split: train, val or test.
    source, target: the languages, as endings of files and columns of tables name them.
    format: lines, table, tatoeba, anki, or auto: by the files' names and first lines.
    texts: the file below root, where it has another name than the format's own; `{split}` in it stands for the split.
    skip_bad: leave out, with a warning, what cannot be used.

    Raises DataError that names file and row of empty sentences and translations, unknown splits and lines that cannot
    be parsed, all of them at once; or says that files are of unequal length, that a column is not there, or that there
    is no pair. Raises ConfigError for an unknown format or split. Sentences of val or test that are in train too are
    logged as a warning.
    """
    rows = [row for each in as_paths(root) for row in read_rows(each, split, source, target, format, texts)]
    read = [row if isinstance(row, Fault) else to_pair(row) for row in rows]
    settle([each for each in read if isinstance(each, Fault)], skip_bad)
    splits = {named: [] for named in SPLITS}
    for row, pair in zip(rows, read, strict=True):
        if isinstance(row, Row) and isinstance(pair, Pair):
            splits[split_named(row.split)].append(pair)
    if not splits[split]:
        where = ", ".join(map(str, as_paths(root)))
        raise DataError(f"{where}: no pair of the split {split}; add rows for it or name another file")
    if split != "train":
        warn_of_shared(splits["train"], splits[split], split)
    return splits[split]


def read_rows(
    root: Path, split: str, source: str, target: str, format: str, texts: str | None
) -> Iterator[Row | Fault]:
    """All that the files of a split hold, whatever their split."""
    if root.is_file() and root.suffix == f".{source}" and format == "auto":
        format = "lines"
    found = find_texts(root, split, build_formats(source, target), format, texts, "texts")
    yield from found.format.read(Source(found.file, found.root, found.split))


def to_pair(row: Row) -> Pair | Fault:
    source, target = one_line(row.source), one_line(row.target)
    if not source or not target:
        problem = f"the {'translation' if source else 'sentence'} is empty; fill it in or remove the pair"
        return Fault("empty", row.where, problem)
    if not split_named(row.split):
        return Fault("unclear", row.where, f"unknown split {row.split!r}; use one of {', '.join(SPLITS)}")
    return Pair(source, target, row.where)


def warn_of_shared(train: list[Pair], pairs: list[Pair], split: str) -> None:
    known = {pair.source for pair in train}
    if shared := [pair for pair in pairs if pair.source in known]:
        LOG.warning(
            "%s: %d sentences of the split %s are in train too, this one first; scores on them say nothing of new ones",
            *(shared[0].row, len(shared), split),
        )
