"""The files in which people keep transcripts. A reader turns those of one format into rows, one for each utterance."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Regex, normalizers

from multimodal_attn.errors import DataError
from tasks.tables import SPLIT_ALIASES, SPLITS, Columns, Format, Source, hash_split, read_lines, read_rows

ALIASES = {"file": "path", "sentence": "text", "client_id": "speaker"}
TABLE = Columns(("path", "text"), ("split", "speaker", "id", "set", "seconds"), ALIASES, numbers=("seconds",))
# Common Voice adds columns with every release, and writes quotation marks as they are
COMMON_VOICE = Columns(("path", "text"), ("speaker",), ALIASES, quoted=False, others=True)
COMMON_VOICE_FILES = {"train": "train.tsv", "val": "dev.tsv", "test": "test.tsv"}

# whatever is no letter, mark or digit of any script, nor an apostrophe inside a word; joiners shape letters in some
APART = Regex(r"[^\p{L}\p{M}\p{N}'\u200c\u200d]+|(?<![\p{L}\p{M}\p{N}])'+|'+(?![\p{L}\p{M}\p{N}])")
NORMALIZER = normalizers.Sequence(
    [
        normalizers.NFC(),
        normalizers.Lowercase(),
        normalizers.Replace(Regex("[\u2019\u02bc\uff07]"), "'"),  # apostrophes of typesetters and of other keyboards
        normalizers.Replace(Regex("[\u00ad\u200b\u2060\ufeff]"), ""),  # soft hyphens and the like part no word
        normalizers.Replace(APART, " "),
    ]
)


@dataclass(frozen=True, slots=True)
class Row:
    """One utterance as its file has it; `name` is relative to the folder of the sounds, `seconds` is what is written
    there, and `where` is the file and the line."""

    name: str
    text: str
    split: str
    where: str
    id: str
    speaker: str
    set: str
    seconds: str = ""


def normalize_text(text: str) -> str:
    """A transcript in the form in which models learn and scores compare.

    Lower case; the letters, marks and digits of any script; apostrophes inside words (a typographic one becomes ');
    every other sign parts words, which one space separates. "Don\u2019t\u2014STOP!" becomes "don't stop".
    """
    return " ".join(NORMALIZER.normalize_str(text).split())


def read_table(source: Source, columns: Columns = TABLE) -> Iterator[Row]:
    """CSV, TSV or JSON Lines with a path (or file) and a text; perhaps split, speaker, id, set and seconds."""
    set_name = source.file.absolute().parent.name
    for where, row in read_rows(source.file, columns):
        row = {name: value.strip() for name, value in row.items() if name in columns.known}
        name, speaker = row["path"], row.get("speaker", "")
        split = row["split"] if "split" in row else _default_split(source, speaker or name)
        id = row.get("id") or str(Path(name).with_suffix("")) if name else ""
        yield Row(name, row["text"], split, where, id, speaker, row.get("set") or set_name, row.get("seconds", ""))


def read_common_voice(source: Source) -> Iterator[Row]:
    """A language of Common Voice: train.tsv, dev.tsv and test.tsv; or validated.tsv alone, split by speaker."""
    if source.file.is_file():
        yield from read_table(source, COMMON_VOICE)
        return
    files = {split: source.file / name for split, name in COMMON_VOICE_FILES.items() if (source.file / name).is_file()}
    # validated.tsv has the sentences of the other three once more
    for split, file in (files or {None: source.file / "validated.tsv"}).items():
        yield from read_table(Source(file, source.folder, split), COMMON_VOICE)


def read_librispeech(source: Source) -> Iterator[Row]:
    """LibriSpeech's folders, or one of its subsets: train-clean-5/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt."""
    paths = {path for pattern in LIBRISPEECH for path in source.file.glob(pattern)}
    for path in sorted(paths):
        chapter = path.absolute().parent
        speaker, subset = chapter.parent.name, chapter.parent.parent.name
        split = subset.split("-")[0]
        if split not in SPLITS and split not in SPLIT_ALIASES:
            split = hash_split(speaker)
        for where, line in read_lines(path):
            id, space, text = line.partition(" ")
            if not space:
                raise DataError(f"{where}: not a transcript; write the utterance's name, a space and its words")
            name = path.with_name(f"{id}.flac").relative_to(source.file)
            yield Row(str(name), text, split, where, id, speaker, subset)


def _default_split(source: Source, key: str) -> str:
    """The file's own split, by its name if it is train.csv or the like, or one by the hash of the speaker or file."""
    stem = source.file.stem.lower()
    return source.split or (stem if stem in SPLITS or stem in SPLIT_ALIASES else hash_split(key))


LIBRISPEECH = ("*/*/*.trans.txt", "*/*/*/*.trans.txt")

FORMATS = {
    "manifest": Format(read_table, ("manifest.tsv", "manifest.csv", "manifest.jsonl")),
    "common_voice": Format(
        read_common_voice, (*COMMON_VOICE_FILES.values(), "validated.tsv"), folders=("clips",), many=True
    ),
    "table": Format(read_table, ("*.csv", "*.tsv", "*.jsonl")),
    "librispeech": Format(read_librispeech, LIBRISPEECH, many=True),
}
