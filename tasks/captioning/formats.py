"""The files in which people keep captions. A reader turns a file of one format into rows, one for each caption."""

import csv
import io
import json
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multimodal_attn.errors import DataError

FLICKR8K_LISTS = {
    "train": "Flickr_8k.trainImages.txt",
    "val": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
TABLE_COLUMNS = ("path", "caption", "split")


@dataclass(frozen=True)
class Source:
    """A file of captions, the folder its pictures' names are relative to, and its split if it holds but one."""

    captions: Path
    images: Path
    split: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One caption of the picture `name`; `where` is the file and the line (or the JSON item) it came from."""

    name: str
    caption: str
    split: str
    where: str


@dataclass(frozen=True)
class Format:
    """A reader with the names under which its captions and its pictures are usually found in a data set's folder.

    `{split}` in a pattern stands for train, val or test, `{set}` in a folder for COCO's train2017 and the like.
    """

    read: Callable[[Source], Iterator[Row]]
    patterns: tuple[str, ...]
    folders: tuple[str, ...] = ()


def read_flickr8k(source: Source) -> Iterator[Row]:
    """Flickr8k.token.txt, lines of `picture.jpg#0<TAB>caption`. Pictures that no split list names are left out."""
    splits = _read_split_lists(source.captions.parent)
    captioned = set()
    for where, line in _read_lines(source.captions):
        key, tab, caption = line.partition("\t")
        name, mark, _ = key.rpartition("#")
        if not (tab and mark):
            raise DataError(f"{where}: not a caption; write picture.jpg#0, a tab and the caption")
        if name in splits:
            captioned.add(name)
            yield Row(name, caption, splits[name], where)
    _check_captioned(splits, captioned, source.captions)


def read_captions_txt(source: Source) -> Iterator[Row]:
    """captions.txt with the header `image,caption`; split by Flickr8k's lists if they lie beside it."""
    folder = source.captions.parent
    listed = any((folder / name).exists() for name in FLICKR8K_LISTS.values())
    splits = _read_split_lists(folder) if listed else {}
    captioned = set()
    lines = _read_lines(source.captions)
    where, header = next(lines, (f"{source.captions}:1", ""))
    if header.replace(" ", "") != "image,caption":
        raise DataError(f"{where}: the header is {header!r}; it has to be image,caption")
    for where, line in lines:
        # line by line, so that one quote without its partner does not swallow the rest of the file
        name, *texts = next(csv.reader([line]))
        if name in splits or not listed:
            captioned.add(name)
            yield Row(name, ",".join(texts), splits.get(name) or _default_split(source, name), where)
    _check_captioned(splits, captioned, source.captions)


def read_karpathy(source: Source) -> Iterator[Row]:
    """dataset_*.json of Karpathy and Li (2015); its fourth split, restval, is training data."""
    for where, picture in _items(_read_json(source.captions), "images", source.captions):
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
    data = _read_json(source.captions)
    names = {
        _field(picture, "id", (int, str), where): _field(picture, "file_name", str, where)
        for where, picture in _items(data, "images", source.captions)
    }
    for where, annotation in _items(data, "annotations", source.captions):
        picture = _field(annotation, "image_id", (int, str), where)
        if picture not in names:
            raise DataError(f"{where}: image_id {picture} is not in `images`; add the picture or remove the caption")
        name = names[picture]
        yield Row(name, _field(annotation, "caption", str, where), _default_split(source, name), where)


def read_table(source: Source) -> Iterator[Row]:
    """CSV, TSV or JSON Lines with the columns path, caption and, if wanted, split; a row for each caption."""
    table = _read_json_lines if source.captions.suffix.lower() in (".jsonl", ".json") else _read_csv
    for where, columns in table(source.captions):
        name = columns["path"].strip()
        split = columns["split"].strip() if "split" in columns else _default_split(source, name)
        yield Row(name, columns["caption"], split, where)


def _default_split(source: Source, name: str) -> str:
    """The file's own split, or one by the hash of the picture's name: 80 % train, 10 % val, 10 % test."""
    return source.split or {0: "val", 1: "test"}.get(zlib.crc32(name.encode()) % 10, "train")


def _read_split_lists(folder: Path) -> dict[str, str]:
    """The split of each picture that Flickr8k's three lists name."""
    splits: dict[str, str] = {}
    for split, list_name in FLICKR8K_LISTS.items():
        for where, line in _read_lines(folder / list_name):
            name = line.strip()
            if splits.setdefault(name, split) != split:
                raise DataError(f"{where}: {name} is already in the {splits[name]} list; remove it from one of them")
    return splits


def _check_captioned(splits: Collection[str], captioned: Collection[str], path: Path) -> None:
    if missing := [name for name in splits if name not in captioned]:
        raise DataError(
            f"{path}: no caption of {missing[0]}, which is in a split list; add one or take it off the list"
        )


def _read_csv(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    delimiter = "\t" if path.suffix.lower() in (".tsv", ".tab") else ","
    text = io.StringIO(_read_text(path), newline="")
    reader = csv.DictReader(text, delimiter=delimiter, restval="", strict=True)
    n_read = 0
    try:
        _check_columns(reader.fieldnames or (), f"{path}:1")
        n_read = reader.line_num
        for row in reader:
            n_read = reader.line_num
            where = f"{path}:{n_read}"
            if None in row:
                raise DataError(f"{where}: more fields than the header has; quote a caption that has a comma in it")
            yield where, row
    except csv.Error as error:
        # the reader's own count is the line where it gave up; a quote left open began on the line after the last row
        raise DataError(f"{path}:{n_read + 1}: {error}; check the quotes") from error


def _read_json_lines(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    for where, line in _read_lines(path):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{where}: not JSON ({error.msg} at column {error.colno}); mend or remove it") from error
        if not (isinstance(row, dict) and all(isinstance(value, str) for value in row.values())):
            raise DataError(f'{where}: not a row; write {{"path": "...", "caption": "..."}}, with text for values')
        _check_columns(row, where)
        yield where, row


def _check_columns(columns: Collection[str], where: str) -> None:
    if unknown := [name for name in columns if name not in TABLE_COLUMNS]:
        raise DataError(f"{where}: unknown column {unknown[0]!r}; the columns are path, caption and, if wanted, split")
    if missing := [name for name in TABLE_COLUMNS[:2] if name not in columns]:
        raise DataError(f"{where}: no column {missing[0]!r}; the columns are path, caption and, if wanted, split")


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
        return json.loads(_read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not JSON ({error.msg}); is the download complete?") from error


def _read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """The lines that are not blank, each with `file:line`."""
    for n, line in enumerate(_read_text(path).split("\n"), start=1):
        if line.strip():
            yield f"{path}:{n}", line


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the name and the permissions") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error


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
