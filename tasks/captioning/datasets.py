"""People's own pictures and captions, read and checked in full before training starts.

    load_examples("flickr8k", "train")                               finds the format by the files in the folder
    load_examples("mine/table.csv", "val")                           one file of any format
    load_examples("coco", "val", captions="annotations/captions_{split}2017.json", images="{split}2017")

Where nothing says which split a picture belongs to, the hash of its name does: 80 % train, 10 % val, 10 % test.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from multimodal_attn.senses.picture.media import EXTENSIONS
from tasks.captioning.formats import FORMATS
from tasks.training.collection import Item, Kind, Place, Roots, as_paths, check_not_empty, collect
from tasks.training.damage import check_picture
from tasks.training.faults import settle


@dataclass(frozen=True)
class Example:
    """A picture that exists and its captions, none of them empty; `row` says where the first was read, for messages."""

    path: Path
    captions: tuple[str, ...]
    row: str

    @property
    def input(self) -> Path:
        return self.path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def texts(self) -> tuple[str, ...]:
        return self.captions


def load_examples(
    root: Roots,
    split: str,
    format: str = "auto",
    captions: str | None = None,
    images: str | None = None,
    skip_bad: bool = False,
) -> list[Example]:
    """The pictures of one split with their captions, see `load_splits`."""
    return load_splits(root, [split], format, captions, images, skip_bad)[split]


def load_splits(
    root: Roots,
    splits: Collection[str],
    format: str = "auto",
    captions: str | None = None,
    images: str | None = None,
    skip_bad: bool = False,
    opened: bool = False,
) -> dict[str, list[Example]]:
    """The pictures of splits with their captions, in the order of the files.

    root: the data set's folder, or the file of captions itself; or several of them.
    splits: of train, val and test.
    format: a key of FORMATS, or auto: by the files' names and first lines.
    captions, images: the file of captions and the folder of pictures, relative to `root`, where they are not where the
        format usually has them; `{split}` in them stands for the split.
    skip_bad: leave out, with a warning, what cannot be used. opened: every file is opened, to see whether it is whole.

    Raises DataError that names file and row of pictures that are missing, damaged or in two splits, empty captions,
    unknown splits, lines that cannot be parsed, all of them at once; or says that a column or all of a split is not
    there. Raises ConfigError for an unknown format or split.
    """
    found = collect(Place(as_paths(root), format, captions, images), splits, PICTURES, opened)
    settle(found.faults, skip_bad)
    check_not_empty(found.items, found.files, PICTURES)
    return {split: _group_by_picture(items) for split, items in found.items.items()}


def _clash(first: Item, item: Item) -> str | None:
    if first.row.split == item.row.split:
        return None
    return f"{item.row.name} is in {first.row.split} and in {item.row.split}; choose one of them"


def _group_by_picture(items: Collection[Item]) -> list[Example]:
    of_picture: dict[Path, list[Item]] = {}
    for item in items:
        of_picture.setdefault(item.path, []).append(item)
    return [
        Example(path, tuple(item.row.text for item in group), group[0].row.where) for path, group in of_picture.items()
    ]


PICTURES = Kind(
    FORMATS,
    item="example",
    file="picture",
    text="caption",
    option="captions",
    extensions=EXTENSIONS,
    clean=lambda text: " ".join(text.split()),
    key=lambda item: item.path,
    clash=_clash,
    check=check_picture,
)
