"""People's own pictures and captions, read and checked in full before training starts.

    load_examples("flickr8k", "train")                               finds the format by the files in the folder
    load_examples("mine/table.csv", "val")                           one file of any format
    load_examples("coco", "val", captions="annotations/captions_{split}2017.json", images="{split}2017")

Where nothing says which split a picture belongs to, the hash of its name does: 80 % train, 10 % val, 10 % test.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from multimodal_attn.errors import DataError
from tasks.captioning.formats import FORMATS, Row
from tasks.tables import Found, Source, check_files, find_texts, known_split


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
    found = find_texts(Path(root), split, FORMATS, format, captions, "captions")
    folder = found.root / images.replace("{split}", split) if images else _images_folder(found)
    rows = _rows_of_split(found.format.read(Source(found.file, folder, found.split)), split)
    examples = _group_by_picture(rows, folder)
    if not examples:
        raise DataError(f"{found.file}: no example of the split {split}; add rows for it or name another file")
    check_files(((example.path, example.row) for example in examples), "picture")
    return examples


def _images_folder(found: Found) -> Path:
    coco_set = found.file.stem.removeprefix("captions_")
    folders = (found.root / folder.replace("{set}", coco_set) for folder in found.format.folders)
    default = found.root if found.format.folders else found.file.parent
    return next((folder for folder in folders if folder.is_dir()), default)


def _rows_of_split(rows: Iterable[Row], split: str) -> list[Row]:
    """The rows of one split, after a look at all of them: no picture may be in two."""
    splits: dict[str, str] = {}
    chosen = []
    for row in rows:
        row_split = known_split(row.split, row.where)
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
