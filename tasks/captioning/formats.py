"""The files in which people keep captions. A reader turns a file of one format into rows, one for each caption."""

import csv
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multimodal_attn.errors import DataError
from tasks.tables import Columns, Format, Source, hash_split, read_lines, read_rows, read_text

FLICKR8K_LISTS = {
    "train": "Flickr_8k.trainImages.txt",
    "val": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
TABLE = Columns(required=("path", "caption"), optional=("split",))


@dataclass(frozen=True, slots=True)
class Row:
    """One caption of the picture `name`; `where` is the file and the line (or the JSON item) it came from."""

    name: str
    caption: str
    split: str
    where: str


def read_flickr8k(source: Source) -> Iterator[Row]:
    """Flickr8k.token.txt, lines of `picture.jpg#0<TAB>caption`. Pictures that no split list names are left out."""
    splits = _read_split_lists(source.file.parent)
    captioned = set()
    for where, line in read_lines(source.file):
        key, tab, caption = line.partition("\t")
        name, mark, _ = key.rpartition("#")
        if not (tab and mark):
            raise DataError(f"{where}: not a caption; write picture.jpg#0, a tab and the caption")
        if name in splits:
            captioned.add(name)
            yield Row(name, caption, splits[name], where)
    _check_captioned(splits, captioned, source.file)


def read_captions_txt(source: Source) -> Iterator[Row]:
    """captions.txt with the header `image,caption`; split by Flickr8k's lists if they lie beside it."""
    folder = source.file.parent
    listed = any((folder / name).exists() for name in FLICKR8K_LISTS.values())
    splits = _read_split_lists(folder) if listed else {}
    captioned = set()
    lines = read_lines(source.file)
    where, header = next(lines, (f"{source.file}:1", ""))
    if header.replace(" ", "") != "image,caption":
        raise DataError(f"{where}: the header is {header!r}; it has to be image,caption")
    for where, line in lines:
        # line by line, so that one quote without its partner does not swallow the rest of the file
        name, *texts = next(csv.reader([line]))
        if name in splits or not listed:
            captioned.add(name)
            yield Row(name, ",".join(texts), splits.get(name) or _default_split(source, name), where)
    _check_captioned(splits, captioned, source.file)


def read_karpathy(source: Source) -> Iterator[Row]:
    """dataset_*.json of Karpathy and Li (2015); its fourth split, restval, is training data."""
    for where, picture in _items(_read_json(source.file), "images", source.file):
        name = _field(picture, "filename", str, where)
        folder = str(picture.get("filepath") or "")
        split = _field(picture, "split", str, where)
        sentences = _field(picture, "sentences", list, where)
        if not sentences:
            raise DataError(f"{where}: {name} has no caption; give it one or remove it")
        for sentence in sentences:
            yield Row(str(Path(folder, name)), _field(sentence, "raw", str, where), split, where)


def read_coco(source: Source) -> Iterator[Row]:
    """COCO's captions_*.json. Pictures without an annotation are left out."""
    data = _read_json(source.file)
    names = {
        _field(picture, "id", (int, str), where): _field(picture, "file_name", str, where)
        for where, picture in _items(data, "images", source.file)
    }
    for where, annotation in _items(data, "annotations", source.file):
        picture = _field(annotation, "image_id", (int, str), where)
        if picture not in names:
            raise DataError(f"{where}: image_id {picture} is not in `images`; add the picture or remove the caption")
        name = names[picture]
        yield Row(name, _field(annotation, "caption", str, where), _default_split(source, name), where)


def read_table(source: Source) -> Iterator[Row]:
    """CSV, TSV or JSON Lines with the columns path, caption and, if wanted, split; a row for each caption."""
    for where, columns in read_rows(source.file, TABLE):
        name = columns["path"].strip()
        split = columns["split"].strip() if "split" in columns else _default_split(source, name)
        yield Row(name, columns["caption"], split, where)


def _default_split(source: Source, name: str) -> str:
    """The file's own split, or one by the hash of the picture's name."""
    return source.split or hash_split(name)


def _read_split_lists(folder: Path) -> dict[str, str]:
    """The split of each picture that Flickr8k's three lists name."""
    splits: dict[str, str] = {}
    for split, list_name in FLICKR8K_LISTS.items():
        for where, line in read_lines(folder / list_name):
            name = line.strip()
            if splits.setdefault(name, split) != split:
                raise DataError(f"{where}: {name} is already in the {splits[name]} list; remove it from one of them")
    return splits


def _check_captioned(splits: Collection[str], captioned: Collection[str], path: Path) -> None:
    if missing := [name for name in splits if name not in captioned]:
        raise DataError(
            f"{path}: no caption of {missing[0]}, which is in a split list; add one or take it off the list"
        )


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


def _read_json(path: Path) -> Any:
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not JSON ({error.msg}); is the download complete?") from error


FLICKR8K_FOLDERS = ("Images", "images", "Flicker8k_Dataset")  # the last is the archive's own spelling

FORMATS = {
    "flickr8k": Format(read_flickr8k, ("Flickr8k.token.txt",), FLICKR8K_FOLDERS),
    "captions_txt": Format(read_captions_txt, ("captions.txt",), FLICKR8K_FOLDERS),
    "karpathy": Format(read_karpathy, ("dataset*.json",), FLICKR8K_FOLDERS),
    "coco": Format(
        read_coco,
        ("captions_{split}*.json", "annotations/captions_{split}*.json"),
        ("{set}", "images/{set}", "images"),
    ),
    "table": Format(read_table, ("*.csv", "*.tsv", "*.jsonl")),
}
