"""From data sets as they lie on a disk to the items of each split, of any task whose inputs are files."""

import os
import unicodedata
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from multimodal_attn.errors import DataError, MediaError
from tasks.training.faults import Fault
from tasks.training.layouts import Format, Found, Row, Source, find_texts
from tasks.training.tables import SPLITS, split_named

N_OPENED = 8  # files at once
Roots = str | Path | Sequence[str | Path]


@dataclass(frozen=True, slots=True)
class Item:
    """A file and the row that tells of it, whose text is not empty and whose split is one of ours."""

    path: Path
    row: Row


@dataclass(frozen=True)
class Kind:
    """What a task's items are called, and how they are read.

    item, file, text: its words for an example, for a file and for its text. option: of the file of texts.
    clean: what becomes of a text. clash: why a second row cannot stand beside the first of the same key, if so.
    check: raises MediaError for a file that is seen to be damaged when it is opened.
    """

    formats: Mapping[str, Format]
    item: str
    file: str
    text: str
    option: str
    extensions: Collection[str]
    clean: Callable[[str], str]
    key: Callable[[Item], Hashable]
    clash: Callable[[Item, Item], str | None]
    check: Callable[[Path], None]


@dataclass(frozen=True)
class Place:
    """Where data sets are: `--data.root`, `format`, and the file of texts and the folder of files below each root."""

    roots: tuple[Path, ...]
    format: str = "auto"
    texts: str | None = None
    files: str | None = None


def as_paths(roots: Roots) -> tuple[Path, ...]:
    return (Path(roots),) if isinstance(roots, str | Path) else tuple(map(Path, roots))


@dataclass(frozen=True)
class Collected:
    """The items of each split that was asked for, in the order of the files; everything that cannot be used; the splits
    in which each speaker is heard, by set and name; and the files of texts, for messages."""

    items: dict[str, list[Item]]
    faults: list[Fault]
    heard: dict[tuple[str, str], set[str]]
    files: str


def collect(place: Place, splits: Collection[str], kind: Kind, opened: bool = False) -> Collected:
    """What there is in data sets. All rows of a file are looked at, whatever their split; files are looked for, and
    opened if so wished, in the splits that are asked for. Raises DataError where a file of texts cannot be found or
    read."""
    read: dict[Found, list[Row | Fault]] = {}
    items: dict[str, list[Item]] = {}
    faults: dict[Fault, None] = {}  # a file of all splits is looked at once for each
    heard: dict[tuple[str, str], set[str]] = {}
    disk = Disk(kind.extensions)
    for split in splits:
        rows: list[Item | Fault] = []
        for root in place.roots:
            found = find_texts(root, split, kind.formats, place.format, place.texts, kind.option)
            if found not in read:
                folder = found.folder(place.files, split)
                read[found] = list(found.format.read(Source(found.file, folder, found.split)))
            folders = {each: found.folder(place.files, each) for each in SPLITS}
            rows += [_to_item(row, folders, kind) for row in read[found]]
        chosen = list(_present(_chosen(rows, split, kind), disk, kind, opened))
        items[split] = [item for item in chosen if isinstance(item, Item)]
        faults |= dict.fromkeys(fault for fault in (*rows, *chosen) if isinstance(fault, Fault))
        for row in (item.row for item in rows if isinstance(item, Item) and item.row.speaker):
            heard.setdefault((row.set, row.speaker), set()).add(row.split)
    return Collected(items, list(faults), heard, ", ".join(dict.fromkeys(str(found.file) for found in read)))


def check_not_empty(splits: Mapping[str, Collection[Any]], where: str, kind: Kind) -> None:
    for split, each in splits.items():
        if not each:
            raise DataError(f"{where}: no {kind.item} of the split {split}; add rows for it or name another file")


def _to_item(row: Row | Fault, folders: Mapping[str, Path], kind: Kind) -> Item | Fault:
    if isinstance(row, Fault):
        return row
    split, text = split_named(row.split), kind.clean(row.text)
    if not row.name:
        return Fault("empty", row.where, f"the {kind.file}'s name is empty; fill it in or remove the row")
    if not text:
        return Fault("empty", row.where, f"the {kind.text} of {row.name} is empty; fill it in or remove the row")
    if not split:
        return Fault("unclear", row.where, f"unknown split {row.split!r}; use one of {', '.join(SPLITS)}")
    return Item(folders[split] / row.name, replace(row, text=text, split=split))


def _chosen(items: Iterable[Item | Fault], split: str, kind: Kind) -> Iterator[Item | Fault]:
    """The items of one split, after a look at all of them: what clashes with an earlier one is a fault."""
    first: dict[Hashable, Item] = {}
    for item in items:
        if isinstance(item, Fault):
            continue
        if problem := kind.clash(first.setdefault(kind.key(item), item), item):
            yield Fault("doubled", item.row.where, problem)
        elif item.row.split == split:
            yield item


def _present(items: Iterable[Item | Fault], disk: "Disk", kind: Kind, opened: bool) -> Iterator[Item | Fault]:
    """The items with the paths of their files, each of which is looked for, and opened, once; where that fails the
    first item of the file is a fault, and the others are left out."""
    items = list(items)
    firsts: dict[Path, Item] = {}
    for item in items:
        if isinstance(item, Item):
            firsts.setdefault(item.path, item)
    found = {path: _find(item, disk, kind) for path, item in firsts.items()}
    if opened:
        with ThreadPoolExecutor(N_OPENED) as pool:  # a file on a network disk is mostly waited for
            found = dict(zip(found, pool.map(partial(_open, kind=kind), found.values()), strict=True))
    for item in items:
        if isinstance(item, Fault):
            yield item
        elif isinstance(found[item.path], Item):
            yield replace(item, path=found[item.path].path)
        elif firsts[item.path] is item:
            yield found[item.path]


def _find(item: Item, disk: "Disk", kind: Kind) -> Item | Fault:
    matches = disk.find(item.path)
    if len(matches) == 1:
        return replace(item, path=matches[0])
    if matches:
        names = " and ".join(path.name for path in matches[:2])
        problem = f"both {names} may be the {kind.file} {item.path}; rename one of them"
    else:
        problem = f"there is no {kind.file} {item.path}; add it or remove the row"
    return Fault("missing" if not matches else "unclear", item.row.where, problem)


def _open(item: Item | Fault, kind: Kind) -> Item | Fault:
    try:
        if isinstance(item, Item):
            kind.check(item.path)
    except MediaError as error:
        return Fault("damaged", item.row.where, str(error))
    return item


class Disk:
    """Files found by the names that people write for them, other forms of accents, other case, backslashes and missing
    extensions included. Each folder is listed once: asking for every file takes minutes on a network disk."""

    def __init__(self, extensions: Collection[str]) -> None:
        self.extensions = extensions
        self.names: dict[Path, frozenset[str]] = {}
        self.alike: dict[Path, dict[str, list[str]]] = {}

    def find(self, path: Path) -> list[Path]:
        """The file of that name, or else those that the name may mean."""
        if path.name in self._listed(path.parent):
            return [path]
        path = Path(str(path).replace("\\", "/"))
        folders = [Path(path.anchor)]
        for part in path.relative_to(path.anchor).parts:
            folders = [folder / name for folder in folders for name in self._meant(folder, part)]
        return folders

    def _meant(self, folder: Path, name: str) -> list[str]:
        if name == ".." or name in self._listed(folder):
            return [name]
        if folder not in self.alike:
            self.alike[folder] = self._index(folder)
        return self.alike[folder].get(plain(name), [])

    def _index(self, folder: Path) -> dict[str, list[str]]:
        index: dict[str, list[str]] = {}
        for name in sorted(self._listed(folder)):
            index.setdefault(plain(name), []).append(name)
        for name in sorted(self._listed(folder)):
            stem, dot, extension = name.rpartition(".")
            if dot + extension.lower() in self.extensions and plain(stem) not in index:
                index[plain(stem)] = [name]
        return index

    def _listed(self, folder: Path) -> frozenset[str]:
        if folder not in self.names:
            try:
                self.names[folder] = frozenset(os.listdir(folder))
            except OSError:
                self.names[folder] = frozenset()
        return self.names[folder]


def plain(name: str) -> str:
    """A name without regard to case and to how its accents are composed."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
