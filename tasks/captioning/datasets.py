"""People's own pictures and captions, read and checked in full before training starts.

    load_examples("flickr8k", "train")                               finds the format by the files in the folder
    load_examples("mine/table.csv", "val")                           one file of any format
    load_examples("coco", "val", captions="annotations/captions_{split}2017.json", images="{split}2017")

Where nothing says which split a picture belongs to, the hash of its name does: 80 % train, 10 % val, 10 % test.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from multimodal_attn.errors import ConfigError, DataError
from tasks.captioning.formats import FORMATS, Format, Row, Source

SPLITS = ("train", "val", "test")
SPLIT_ALIASES = {"restval": "train", "dev": "val", "valid": "val", "validation": "val"}


@dataclass(frozen=True)
class Example:
    """A picture that exists and its captions, none of them empty; `row` says where the first was read, for messages."""

    path: Path
    captions: tuple[str, ...]
    row: str


def load_examples(
    root: str | Path, split: str, format: str = "auto", captions: str | None = None, images: str | None = None
) -> list[Example]:
    """The pictures of one split with their captions, in the order of the file.

    root: the data set's folder, or the file of captions itself.
    split: train, val or test.
    format: flickr8k, captions_txt, karpathy, coco, table, or auto: by the names of the files.
    captions, images: the file of captions and the folder of pictures, relative to `root`, where they are not where the
        format usually has them; `{split}` in them stands for the split.

    Raises DataError, naming file and row, for a picture that is missing or in two splits, an empty caption, an unknown
    split or column, a line that cannot be parsed, or no example at all; ConfigError for an unknown format or `split`.
    """
    if split not in SPLITS:
        raise ConfigError(f"split {split!r} does not exist; choose one of {', '.join(SPLITS)}")
    kind, source = find_source(Path(root), split, format, captions, images)
    rows = _rows_of_split(kind.read(source), split)
    examples = _group_by_picture(rows, source.images)
    if not examples:
        raise DataError(f"{source.captions}: no example of the split {split}; add rows for it or name another file")
    _check_pictures(examples)
    return examples


def find_source(
    root: Path, split: str, format: str = "auto", captions: str | None = None, images: str | None = None
) -> tuple[Format, Source]:
    """The format, and where its captions and pictures are; the arguments are those of `load_examples`."""
    if format != "auto" and format not in FORMATS:
        raise ConfigError(f"format {format!r} does not exist; choose one of auto, {', '.join(FORMATS)}")
    if root.is_file():
        root, captions = root.parent, root.name
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; set `root` to the folder of the data set")
    kinds = FORMATS if format == "auto" else {format: FORMATS[format]}
    kind, pattern, path = _named(root, split, kinds, captions) if captions else _search(root, split, kinds)
    folder = root / images.replace("{split}", split) if images else _images_folder(root, kind, path)
    return kind, Source(path, folder, split if "{split}" in pattern else None)


def _named(root: Path, split: str, kinds: dict[str, Format], captions: str) -> tuple[Format, str, Path]:
    """The file that the user names, which may have any name if the format is named too."""
    name = Path(captions).name
    for kind in kinds.values():
        patterns = (Path(pattern.replace("{split}", "*")).name for pattern in kind.patterns)
        if len(kinds) == 1 or any(fnmatch(name, pattern) for pattern in patterns):
            return kind, captions, root / captions.replace("{split}", split)
    raise DataError(f"{root / captions}: the name does not tell the format; set `format` to one of {', '.join(kinds)}")


def _search(root: Path, split: str, kinds: dict[str, Format]) -> tuple[Format, str, Path]:
    """The first format of which a file lies in the folder."""
    for kind in kinds.values():
        for pattern in kind.patterns:
            paths = sorted(root.glob(pattern.replace("{split}", split)))
            if len(paths) > 1:
                raise DataError(f"{root}: both {paths[0].name} and {paths[1].name}; set `captions` to one of them")
            if paths:
                return kind, pattern, paths[0]
    looked = ", ".join(pattern.replace("{split}", split) for kind in kinds.values() for pattern in kind.patterns)
    raise DataError(f"{root}: no captions of the split {split} (looked for {looked}); set `captions` to their file")


def _images_folder(root: Path, kind: Format, captions: Path) -> Path:
    coco_set = captions.stem.removeprefix("captions_")
    folders = (root / folder.replace("{set}", coco_set) for folder in kind.folders)
    return next((folder for folder in folders if folder.is_dir()), root if kind.folders else captions.parent)


def _rows_of_split(rows: Iterable[Row], split: str) -> list[Row]:
    """The rows of one split, after a look at all of them: no picture may be in two."""
    splits: dict[str, str] = {}
    chosen = []
    for row in rows:
        row_split = SPLIT_ALIASES.get(row.split, row.split)
        if row_split not in SPLITS:
            raise DataError(f"{row.where}: unknown split {row.split!r}; use one of {', '.join(SPLITS)}")
        if splits.setdefault(row.name, row_split) != row_split:
            raise DataError(f"{row.where}: {row.name} is in {splits[row.name]} and in {row_split}; choose one of them")
        if row_split == split:
            chosen.append(row)
    return chosen


def _group_by_picture(rows: Iterable[Row], images: Path) -> list[Example]:
    captions: dict[str, list[str]] = {}
    where: dict[str, str] = {}
    for row in rows:
        text = " ".join(row.caption.split())
        if not row.name:
            raise DataError(f"{row.where}: the picture's name is empty; fill it in or remove the row")
        if not text:
            raise DataError(f"{row.where}: the caption of {row.name} is empty; fill it in or remove the row")
        captions.setdefault(row.name, []).append(text)
        where.setdefault(row.name, row.where)
    return [Example(images / name, tuple(texts), where[name]) for name, texts in captions.items()]


def _check_pictures(examples: Iterable[Example]) -> None:
    # one listing of each folder: asking for every file takes minutes on a network disk
    files: dict[Path, frozenset[str]] = {}
    for example in examples:
        folder = example.path.parent
        if folder not in files:
            files[folder] = frozenset(os.listdir(folder)) if folder.is_dir() else frozenset()
        if example.path.name not in files[folder]:
            raise DataError(f"{example.row}: there is no picture {example.path}; add it or remove the row")
