"""The files in which people keep transcripts. A reader turns those of one format into rows, one for each utterance."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from tokenizers import Regex, normalizers

from multimodal_attn.senses.sound.media import EXTENSIONS
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
from tasks.training.tables import hash_split, is_table, read_lines, read_text, split_named

TABLE = file_columns("text", ("split", "speaker", "id", "set", "seconds"))
# Common Voice adds columns with every release; its TSV writes quotation marks as they are, its first CSV pairs them
COMMON_VOICE = file_columns("text", ("speaker",), quoted=False, others=True)
COMMON_VOICE_CSV = replace(COMMON_VOICE, quoted=True)
COMMON_VOICE_FILES = {
    "train": ("train.tsv", "cv-valid-train.csv"),
    "val": ("dev.tsv", "cv-valid-dev.csv"),
    "test": ("test.tsv", "cv-valid-test.csv"),
}

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


def normalize_text(text: str) -> str:
    """A transcript in the form in which models learn and scores compare.

    Lower case; the letters, marks and digits of any script; apostrophes inside words (a typographic one becomes ');
    every other sign parts words, which one space separates. "Don\u2019t\u2014STOP!" becomes "don't stop".
    """
    return " ".join(NORMALIZER.normalize_str(text).split())


def read_common_voice(source: Source) -> Iterator[Row | Fault]:
    """A language of Common Voice: its files for train, dev and test; or validated.tsv alone, split by speaker."""
    if source.file.is_file():
        yield from _read_common_voice_file(source)
        return
    files = {
        split: file
        for split, names in COMMON_VOICE_FILES.items()
        for file in (source.file / name for name in reversed(names))
        if file.is_file()
    }
    # validated.tsv has the sentences of the other three once more
    for split, file in (files or {None: source.file / "validated.tsv"}).items():
        yield from _read_common_voice_file(Source(file, source.folder, split))


def _read_common_voice_file(source: Source) -> Iterator[Row | Fault]:
    yield from read_table(source, COMMON_VOICE_CSV if source.file.suffix == ".csv" else COMMON_VOICE)


def read_librispeech(source: Source) -> Iterator[Row | Fault]:
    """LibriSpeech's folders, or one of its subsets: train-clean-5/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt, with
    sounds of any format beside."""
    paths = {path for pattern in LIBRISPEECH for path in source.file.glob(pattern)}
    for path in sorted(paths):
        chapter = path.absolute().parent
        speaker, subset = chapter.parent.name, chapter.parent.parent.name
        split = split_named(subset.split("-")[0]) or hash_split(speaker)
        for where, line in read_lines(path):
            id, space, text = line.partition(" ")
            if space:
                name = str(path.with_name(id).relative_to(source.file))
                yield Row(name, text, split, where, id, speaker, subset)
            else:
                problem = "not a transcript; write the utterance's name, a space and its words"
                yield Fault("unclear", where, problem)


def read_ljspeech(source: Source) -> Iterator[Row | Fault]:
    """metadata.csv without a header, `LJ001-0001|text|text with numbers in words`, and the sounds in wavs/."""
    set_name = source.file.absolute().parent.name
    for where, line in read_lines(source.file):
        id, *texts = (part.strip() for part in line.split("|"))
        if texts:
            yield Row(id, texts[-1] or texts[0], source.split_of(id), where, id, "", set_name)
        else:
            yield Fault("unclear", where, "not a transcript; write the sound's name, a bar and its words")


def read_kaldi(source: Source) -> Iterator[Row | Fault]:
    """Kaldi's data folders: `text`, `wav.scp` and perhaps `utt2spk`; one of them, or one for each split."""
    for scp in sorted({path for pattern in KALDI for path in source.file.glob(pattern)}):
        folder = scp.absolute().parent
        if (folder / "segments").exists():
            yield Fault("unclear", str(scp), "a folder with `segments`; cut the recordings first (extract-segments)")
            continue
        sounds, speakers = _read_pairs(scp), _read_pairs(folder / "utt2spk")
        split = split_named(re.split(r"[_-]", folder.name)[0])
        for where, line in read_lines(folder / "text"):
            id, _, text = line.partition(" ")
            name = sounds.get(id, "").strip()
            if not name or name.endswith("|"):
                problem = "a command in wav.scp, which is not run" if name else "no sound in wav.scp"
                yield Fault("missing", where, f"{id} has {problem}; write the sound's path there")
                continue
            near = folder / name  # Kaldi's own paths begin where its script was started
            path = near if near.exists() or not Path(name).exists() else Path(name).absolute()
            speaker = speakers.get(id, "").strip()
            yield Row(str(path), text, split or hash_split(speaker or id), where, id, speaker, folder.name)


def _read_pairs(path: Path) -> dict[str, str]:
    """Kaldi's lines of a key and what belongs to it; none if there is no such file."""
    return (
        {key: value for key, _, value in (line.partition(" ") for _, line in read_lines(path))} if path.exists() else {}
    )


def is_ljspeech(path: Path) -> bool:
    first = read_text(path).partition("\n")[0].split("|")
    return len(first) in (2, 3) and " " not in first[0].strip()


LIBRISPEECH = ("*/*/*.trans.txt", "*/*/*/*.trans.txt")
KALDI = ("wav.scp", "*/wav.scp")

FORMATS = {
    "manifest": Format(partial(read_table, columns=TABLE), ("manifest.tsv", "manifest.csv", "manifest.jsonl")),
    "common_voice": Format(
        read_common_voice,
        (*(name for names in zip(*COMMON_VOICE_FILES.values(), strict=True) for name in names), "validated.tsv"),
        folders=("clips",),
        many=True,
    ),
    "table": Format(partial(read_table, columns=TABLE), TABLES, fits=lambda path: is_table(path, TABLE)),
    "ljspeech": Format(read_ljspeech, ("metadata.csv",), folders=("wavs",), fits=is_ljspeech),
    "librispeech": Format(read_librispeech, LIBRISPEECH, many=True),
    "kaldi": Format(read_kaldi, KALDI, many=True),
    "beside": Format(
        lambda source: shared_out(read_beside(source, EXTENSIONS, each_line=False)),
        ("*.txt", "*/*.txt"),
        many=True,
        fits=lambda path: bool(files_of(path, EXTENSIONS)),
    ),
}
