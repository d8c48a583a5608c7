"""The files in which people keep captions. A reader turns a file of one format into rows, one for each caption."""

import csv
import re
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from multimodal_attn.errors import DataError
from multimodal_attn.senses.picture.media import EXTENSIONS
from tasks.training.faults import Fault
from tasks.training.layouts import (
    TABLES,
    Format,
    Row,
    Source,
    file_columns,
    files_of,
    read_beside,
    read_table,
    shared_out,
)
from tasks.training.tables import is_table, parse_json, read_lines, read_text

FLICKR8K_LISTS = {
    "train": "Flickr_8k.trainImages.txt",
    "val": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
TABLE = file_columns("caption")
# a bar is missing in one row of the published file
FLICKR30K_ROW = re.compile(r"(?P<name>[^|]+?)\s*\|\s*\d+\s*\|?\s*(?P<caption>.*)")


def read_flickr8k(source: Source) -> Iterator[Row | Fault]:
    """Flickr8k.token.txt, lines of `picture.jpg#0<TAB>caption`. Pictures that no split list names are left out."""
    listed, splits = _read_split_lists(source.file.parent)
    captioned = set()
    for where, line in read_lines(source.file):
        key, tab, caption = line.partition("\t")
        name, mark, _ = key.rpartition("#")
        if not (tab and mark):
            yield Fault("unclear", where, "not a caption; write picture.jpg#0, a tab and the caption")
        elif name in splits or not listed:
            captioned.add(name)
            yield Row(name, caption, splits.get(name) or source.split_of(name), where)
    yield from _without_caption(splits, captioned, source.file)


def read_captions_txt(source: Source) -> Iterator[Row | Fault]:
    """captions.txt with the header `image,caption`; split by Flickr8k's lists if they lie beside it."""
    listed, splits = _read_split_lists(source.file.parent)
    captioned = set()
    lines = read_lines(source.file)
    where, header = next(lines, (f"{source.file}:1", ""))
    if not _is_captions_header(header):
        raise DataError(f"{where}: the header is {header!r}; it has to be image,caption")
    for where, line in lines:
        # line by line, so that one quote without its partner does not swallow the rest of the file
        name, *texts = next(csv.reader([line]))
        if name in splits or not listed:
            captioned.add(name)
            yield Row(name, ",".join(texts), splits.get(name) or source.split_of(name), where)
    yield from _without_caption(splits, captioned, source.file)


def read_flickr30k(source: Source) -> Iterator[Row | Fault]:
    """results.csv, lines of `picture.jpg| 0| caption` below a header; quotes in it are not paired."""
    lines = read_lines(source.file)
    next(lines, None)
    for where, line in lines:
        if found := FLICKR30K_ROW.fullmatch(line.strip()):
            yield Row(found["name"].strip(), found["caption"], source.split_of(found["name"]), where)
        else:
            yield Fault("unclear", where, "not a caption; write picture.jpg| 0| and the caption")


def read_karpathy(source: Source) -> Iterator[Row | Fault]:
    """dataset_*.json of Karpathy and Li (2015); its fourth split, restval, is training data."""
    for where, picture in _items(parse_json(read_text(source.file), source.file), "images", source.file):
        name = _field(picture, "filename", str, where)
        folder = str(picture.get("filepath") or "")
        split = _field(picture, "split", str, where)
        sentences = _field(picture, "sentences", list, where)
        if not sentences:
            yield Fault("empty", where, f"{name} has no caption; give it one or remove it")
        for sentence in sentences:
            yield Row(str(Path(folder, name)), _field(sentence, "raw", str, where), split, where)


def read_coco(source: Source) -> Iterator[Row | Fault]:
    """COCO's captions_*.json. Pictures without an annotation are left out."""
    data = parse_json(read_text(source.file), source.file)
    names = {
        _field(picture, "id", (int, str), where): _field(picture, "file_name", str, where)
        for where, picture in _items(data, "images", source.file)
    }
    for where, annotation in _items(data, "annotations", source.file):
        picture = _field(annotation, "image_id", (int, str), where)
        if picture in names:
            name = names[picture]
            yield Row(name, _field(annotation, "caption", str, where), source.split_of(name), where)
        else:
            problem = f"image_id {picture} is not in `images`; add the picture or remove the caption"
            yield Fault("missing", where, problem)


def _read_split_lists(folder: Path) -> tuple[bool, dict[str, str]]:
    """Whether one of Flickr8k's three lists lies in the folder, and the split of each picture that they name."""
    splits: dict[str, str] = {}
    if not any((folder / name).exists() for name in FLICKR8K_LISTS.values()):
        return False, splits
    for split, list_name in FLICKR8K_LISTS.items():
        for where, line in read_lines(folder / list_name):
            name = line.strip()
            if splits.setdefault(name, split) != split:
                raise DataError(f"{where}: {name} is already in the {splits[name]} list; remove it from one of them")
    return True, splits


def _without_caption(splits: Collection[str], captioned: Collection[str], path: Path) -> Iterator[Fault]:
    for name in splits:
        if name not in captioned:
            problem = f"no caption of {name}, which is in a split list; add one or take it off the list"
            yield Fault("empty", str(path), problem)


def _items(data: Any, key: str, path: Path) -> Iterator[tuple[str, Any]]:
    """Each item of the list `data[key]`, with its place in the file."""
    for i, item in enumerate(_field(data, key, list, str(path))):
        yield f"{path}:{key}[{i}]", item


def _field(item: Any, key: str, kind: type | tuple[type, ...], where: str) -> Any:
    value = item.get(key) if isinstance(item, dict) else None
    if not isinstance(value, kind):
        expected = {str: "text", list: "a list"}.get(kind, "a number or text")
        raise DataError(f"{where}: {key!r} is missing or is not {expected}; is this a file of the format asked for?")
    return value


def _is_captions_header(line: str) -> bool:
    return line.replace(" ", "").casefold() == "image,caption"


def _first_line(path: Path) -> str:
    return read_text(path).partition("\n")[0]


FLICKR8K_FOLDERS = ("Images", "images", "Flicker8k_Dataset")  # the last is the archive's own spelling

FORMATS = {
    "flickr8k": Format(read_flickr8k, ("Flickr8k.token.txt",), FLICKR8K_FOLDERS),
    "captions_txt": Format(
        read_captions_txt,
        ("captions.txt",),
        FLICKR8K_FOLDERS,
        fits=lambda path: _is_captions_header(_first_line(path)),
    ),
    "flickr30k": Format(
        read_flickr30k,
        ("results.csv", "results*.csv"),
        ("flickr30k_images/flickr30k_images", "flickr30k_images", "flickr30k-images", *FLICKR8K_FOLDERS),
        fits=lambda path: bool(re.match(r"\s*image_name\s*\|", _first_line(path))),
    ),
    "flickr30k_token": Format(read_flickr8k, ("results*.token",), ("flickr30k-images", *FLICKR8K_FOLDERS)),
    "karpathy": Format(read_karpathy, ("dataset*.json",), FLICKR8K_FOLDERS),
    "coco": Format(
        read_coco,
        ("captions_{split}*.json", "annotations/captions_{split}*.json"),
        ("{set}", "images/{set}", "images"),
    ),
    "table": Format(
        partial(read_table, columns=TABLE), ("captions.txt", *TABLES), fits=lambda path: is_table(path, TABLE)
    ),
    "beside": Format(
        lambda source: shared_out(read_beside(source, EXTENSIONS, each_line=True)),
        ("*.txt", "*/*.txt"),
        many=True,
        fits=lambda path: bool(files_of(path, EXTENSIONS)),
    ),
}
