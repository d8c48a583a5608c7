"""The layouts of people's data sets: where their texts lie, what reads them, and where the pictures or sounds are."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from glob import escape
from pathlib import Path
from typing import Any
from zlib import crc32

from multimodal_attn.errors import ConfigError, DataError
from tasks.training.faults import Fault
from tasks.training.tables import SPLIT_ALIASES, SPLITS, Columns, hash_split, parse_rows, read_lines, split_named

PATH_NAMES = (
    *("path", "file", "file_name", "filename", "filepath", "file_path"),
    *("image", "image_name", "image_path", "image_file", "image_filename", "img", "picture", "photo"),
    *("audio", "audio_filepath", "audio_path", "audio_file", "audio_name", "audio_filename"),
    *("wav", "wav_path", "wav_file", "wav_filename", "sound", "recording", "clip"),
)
TEXT_NAMES = ("caption", "text", "transcript", "transcription", "sentence", "captions", "comment", "description")
OTHER_NAMES = {
    "partition": "split",
    "client_id": "speaker",
    "speaker_id": "speaker",
    "spk": "speaker",
    "utterance_id": "id",
    "utt_id": "id",
    "duration": "seconds",
    "duration_seconds": "seconds",
}
SHEETS = (".xlsx", ".xls", ".ods", ".numbers")
ENDINGS = ("csv", "tsv", "jsonl", "json")
# one for each split, as most tools and Hugging Face's folders have them, or one of all
TABLES = (
    *(f"{name}.{ending}" for name in ("{split}", "{split}_manifest", "{split}/metadata") for ending in ENDINGS),
    *(f"*.{ending}" for ending in ENDINGS),
)


def file_columns(text: str, optional: tuple[str, ...] = ("split",), **options: Any) -> Columns:
    """The columns of a table of files and texts, under the names that people give them. text: our own name for one."""
    aliases = dict.fromkeys(PATH_NAMES, "path") | dict.fromkeys(TEXT_NAMES, text) | OTHER_NAMES
    return Columns(("path", text), optional, aliases, numbers=("seconds", "id", "speaker"), **options)


@dataclass(frozen=True)
class Source:
    """A file of texts, the folder that the names in it are relative to, and its split if it holds but one."""

    file: Path
    folder: Path
    split: str | None = None

    @property
    def own_split(self) -> str | None:
        """By its name, if it is train.csv or the like."""
        return self.split or split_named(self.file.stem)

    def split_of(self, key: str) -> str:
        """The file's own split, or one by the hash of `key`."""
        return self.own_split or hash_split(key)


@dataclass(frozen=True, slots=True)
class Row:
    """A file and its text as the data set has them.

    name: relative to the folder of the files; a missing extension is found. where: the file and the line (or the JSON
    item). id: unique within its set. speaker: empty where unknown. seconds: as it is written.
    """

    name: str
    text: str
    split: str
    where: str
    id: str = ""
    speaker: str = ""
    set: str = ""
    seconds: str = ""


@dataclass(frozen=True)
class Format:
    """A reader, which turns a source into rows and faults, with the names under which its files are usually found.

    `{split}` in a pattern stands for train, val or test. folders: where the pictures or sounds usually lie.
    many: the texts lie in many files; the reader is given the data set's folder as its source's file.
    fits: whether a file of that name has that form, where names do not tell.
    """

    read: Callable[[Source], Iterator[Any]]
    patterns: tuple[str, ...]
    folders: tuple[str, ...] = ()
    many: bool = False
    fits: Callable[[Path], bool] = field(default=lambda path: True, compare=False)


def read_table(source: Source, columns: Columns) -> Iterator[Row | Fault]:
    """A table of files and texts; where there are several texts of a file, a row for each."""
    return shared_out(_table_rows(source, columns))


def _table_rows(source: Source, columns: Columns) -> Iterator[Row | Fault]:
    set_name = source.file.absolute().parent.name
    for row in parse_rows(source.file, columns):
        if isinstance(row, Fault):
            yield row
            continue
        where, values = row[0], {name: value.strip() for name, value in row[1].items()}
        name, speaker = values["path"], values.get("speaker", "")
        split = values.get("split") or source.own_split or ""
        id = values.get("id") or (str(Path(name).with_suffix("")) if name else "")
        text, seconds = values[columns.required[1]], values.get("seconds", "")
        yield Row(name, text, split, where, id, speaker, values.get("set") or set_name, seconds)


def shared_out(rows: Iterable[Row | Fault]) -> Iterator[Row | Fault]:
    """Gives rows without a split one by the hash of the speaker, or of the file where all are of one speaker. Few of
    them may leave validation without any: then the one whose hash is the lowest goes there."""
    rows = list(rows)
    good = [row for row in rows if isinstance(row, Row)]
    one = len({row.speaker for row in good}) == 1
    keys = {row: (row.name if one else row.speaker or row.name) for row in good if not row.split}
    splits = {key: hash_split(key) for key in keys.values() if key}
    if len(splits) > 1 and "val" not in {*splits.values(), *(split_named(row.split) for row in good)}:
        splits[min(splits, key=lambda key: crc32(key.encode()))] = "val"
    return (replace(row, split=splits.get(keys[row], "train")) if row in keys else row for row in rows)


def read_beside(source: Source, extensions: Collection[str], each_line: bool) -> Iterator[Row]:
    """Files with their texts beside them: dog.txt is about dog.jpg. each_line: every line is a text of its own."""
    for path in sorted(source.file.rglob("*.txt")):
        about = files_of(path, extensions)
        lines = [line.strip() for _, line in read_lines(path)] if about else []
        for text in lines if each_line else [" ".join(lines)][: len(about)]:
            name = str(about[0].relative_to(source.file))
            yield Row(name, text, "", str(path), str(Path(name).with_suffix("")))


def files_of(text: Path, extensions: Collection[str]) -> list[Path]:
    """The files that a text of the same name lies beside."""
    return sorted(path for path in text.parent.glob(f"{escape(text.stem)}.*") if path.suffix.lower() in extensions)


# finding


@dataclass(frozen=True)
class Found:
    """A format, the file of texts (of a `many` format: the folder), the data set's folder, and the file's split if it
    holds but one."""

    format: Format
    file: Path
    root: Path
    split: str | None

    def folder(self, named: str | None, split: str) -> Path:
        """Where the files of a split lie. named: as the user says, below the data set's folder."""
        if named:
            return self.root / named.replace("{split}", split)
        part = self.file.stem.removeprefix("captions_")  # of COCO
        usual = (self.root / folder.replace("{set}", part) for folder in self.format.folders)
        default = self.root if self.format.folders or self.format.many else self.file.parent
        return next((folder for folder in usual if folder.is_dir()), default)


def find_texts(
    root: Path, split: str, formats: Mapping[str, Format], format: str, file: str | None, option: str
) -> Found:
    """Where the texts of a data set are, and in which format.

    root: the data set's folder, or the file itself. format: a key of `formats`, or auto: by the names of the files.
    file: the file's name below root, where it is not a usual one. option: what the user calls that argument.
    Raises ConfigError for a split or format that does not exist, DataError where nothing is found, or too much.
    """
    if split not in SPLITS:
        raise ConfigError(f"split {split!r} does not exist; choose one of {', '.join(SPLITS)}")
    if format != "auto" and format not in formats:
        raise ConfigError(f"format {format!r} does not exist; choose one of auto, {', '.join(formats)}")
    if root.is_file():
        root, file = root.parent, root.name
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; set `root` to the folder of the data set")
    kinds = formats if format == "auto" else {format: formats[format]}
    kind, pattern, path = _named(root, split, kinds, file) if file else _search(root, split, kinds, option)
    return Found(kind, path, root, split if "{split}" in pattern else None)


def _named(root: Path, split: str, kinds: Mapping[str, Format], file: str) -> tuple[Format, str, Path]:
    """The file that the user names, which may have any name if the format is named too."""
    paths = [root / name for name in _spelled(file, split)]
    path = next((path for path in paths if path.is_file()), paths[0])
    if len(kinds) == 1:
        return next(iter(kinds.values())), file, path
    fitting = [
        kind
        for kind in kinds.values()
        if not kind.many and any(fnmatch(path.name, _any_split(pattern)) for pattern in kind.patterns)
    ]
    if kind := next((kind for kind in fitting if kind.fits(path)), None):
        return kind, file, path
    if not fitting and path.suffix in SHEETS:
        raise DataError(f"{path}: a spreadsheet; save it as CSV in UTF-8, and name that file")
    if not fitting and path.suffix[1:] not in (*ENDINGS, "txt"):
        raise DataError(f"{path}: no table; name a folder, or a file of the kinds {', '.join(ENDINGS)}")
    if not fitting or path.suffix == ".json":
        raise DataError(f"{path}: the name does not tell the format; set `format` to one of {', '.join(kinds)}")
    return fitting[-1], file, path


def _any_split(pattern: str) -> str:
    return Path(pattern.replace("{split}", "*")).name


def _spelled(pattern: str, split: str) -> list[str]:
    """The pattern for a split under each of its names."""
    names = [split, *(alias for alias, own in SPLIT_ALIASES.items() if own == split)] if "{split}" in pattern else [""]
    return [pattern.replace("{split}", name) for name in names]


def _search(root: Path, split: str, kinds: Mapping[str, Format], option: str) -> tuple[Format, str, Path]:
    """The first format of which a file lies in the folder and has its form; or one that only has the name."""
    named: tuple[Format, str, Path] | None = None
    for kind in kinds.values():
        for pattern in kind.patterns:
            paths = (path for spelled in _spelled(pattern, split) for path in root.glob(spelled))
            if kind.many and any(map(kind.fits, paths)):
                return kind, pattern, root
            paths = sorted(paths)
            fitting = [path for path in paths if kind.fits(path)]
            if len(fitting) > 1:
                raise DataError(f"{root}: both {fitting[0].name} and {fitting[1].name}; set `{option}` to one of them")
            if fitting:
                return kind, pattern, fitting[0]
            if paths and not named and paths[0].suffix != ".json":
                named = kind, pattern, paths[0]
    if named:
        return named
    if sheets := sorted(path.name for path in root.iterdir() if path.suffix in SHEETS):
        raise DataError(f"{root}: no {option}, only the spreadsheet {sheets[0]}; save it as CSV in UTF-8 beside it")
    looked = dict.fromkeys(pattern.replace("{split}", split) for kind in kinds.values() for pattern in kind.patterns)
    how = f"write a table such as metadata.csv with the columns file_name and text, or set `{option}` to their file"
    raise DataError(f"{root}: no {option} of the split {split}; {how} (looked for {', '.join(looked)})")
