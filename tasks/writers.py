"""Where the rows of a batch go: lines of one file as they come, and documents, one for each recording."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from multimodal_attn.errors import UserError
from tasks.subtitles import to_srt, to_tsv, to_vtt

Row = dict[str, Any]  # path, and text, score, words, ... or error
Write = Callable[[Row], None]

ROWS = "transcripts.jsonl"  # in a folder of documents


def row_to_text(row: Row) -> str:
    return row["text"] + "\n"


def row_to_json(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False, indent=2) + "\n"


def timed(format: str, convert: Callable[[Sequence[dict[str, Any]]], str]) -> Callable[[Row], str]:
    """A document of word times. Raises UserError where the model gives none."""

    def row_to_document(row: Row) -> str:
        words = row.get("words", [])
        if row["text"] and not words:
            raise UserError(f"--format {format} needs the times of words, which this model does not give; choose jsonl")
        return convert(words)

    return row_to_document


DOCUMENTS: dict[str, Callable[[Row], str]] = {
    "txt": row_to_text,
    "json": row_to_json,
    "srt": timed("srt", to_srt),
    "vtt": timed("vtt", to_vtt),
    "tsv": timed("tsv", to_tsv),
}
FORMATS = ("jsonl", *DOCUMENTS)


def is_file(out: Path) -> bool:
    """Whether --out means one file, by its name, rather than a folder."""
    return out.suffix.lower().removeprefix(".") in FORMATS and not out.is_dir()


def choose_formats(out: Path | None, formats: Sequence[str] | None, n_recordings: int) -> list[str]:
    """The formats to write, in the order given. Raises UserError where they do not fit where they should go.

    One file, or the standard output, takes one format, and unless that is jsonl, one recording.
    """
    implied = out.suffix.lower().removeprefix(".") if out and is_file(out) else None
    chosen = list(dict.fromkeys(formats or [implied or "jsonl"]))
    if out and not implied:
        return chosen
    place = f"--out {out} is one file" if out else "the standard output is one file"
    if implied and chosen != [implied]:
        raise UserError(f"{place} of format {implied}, not {', '.join(chosen)}; name a folder with --out")
    if len(chosen) > 1 or (chosen != ["jsonl"] and n_recordings > 1):
        what = f"formats {', '.join(chosen)}" if len(chosen) > 1 else f"{chosen[0]} of {n_recordings} recordings"
        raise UserError(f"{place}, too few for {what}; name a folder with --out")
    return chosen


@contextmanager
def open_writers(out: Path | None, formats: Sequence[str], names: Mapping[str, str]) -> Iterator[Write]:
    """What takes each row to all its places.

    out: None is the standard output; a name ending in a format is one file; any other a folder, which is made.
    names: of the document of every path, without its extension.
    """
    if out and not is_file(out):
        make_folder(out, "--out")
    writers: list[Write] = []

    def write(row: Row) -> None:
        for each in writers:
            each(row)

    with ExitStack() as stack:
        for format in formats:
            if format == "jsonl":
                file = out if out is None or is_file(out) else out / ROWS
                writers.append(stack.enter_context(open_lines(file)))
            else:
                writers.append(partial(write_document, format, out, names))
        yield write


@contextmanager
def open_lines(path: Path | None) -> Iterator[Write]:
    """What writes each row as a line of JSON, at once, so that a batch that is stopped keeps what it has done."""

    def write(row: Row) -> None:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")
        file.flush()

    if path is None:
        file = sys.stdout
        yield write
        return
    try:
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise UserError(f"--out {path} cannot be written: {error.strerror}") from error
    with file:
        yield write


def write_document(format: str, out: Path | None, names: Mapping[str, str], row: Row) -> None:
    """A recording that could not be used has a JSON document, which says why, and no other."""
    if "error" in row and format != "json":
        return
    text = DOCUMENTS[format](row)
    if out is None:
        sys.stdout.write(text)
        return
    path = out if is_file(out) else out / f"{names[row['path']]}.{format}"
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        os.replace(part, path)  # whole or not there at all
    except OSError as error:
        part.unlink(missing_ok=True)
        raise UserError(f"{path} cannot be written: {error.strerror}") from error


def make_folder(path: Path, option: str) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{option} {path} cannot be made a folder: {error.strerror}") from error


def unique_names(files: Sequence[Path]) -> dict[str, str]:
    """A name without extension for every file; equal names of different folders are numbered."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for path in dict.fromkeys(files):
        name, n = path.stem, 1
        while name in taken:
            n += 1
            name = f"{path.stem}-{n}"
        taken.add(name)
        names[str(path)] = name
    return names
