"""Documents of a batch, one for each recording and format: what --out and --format mean, and what is written."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from multimodal_attn.errors import UserError
from multimodal_attn.files import printable
from tasks.commands.outputs import has_ending
from tasks.commands.rows import Row
from tasks.commands.subtitles import to_srt, to_tsv, to_vtt

ROWS = "transcripts"  # their name, without the ending, in a folder of documents
TABLES = ("csv", "parquet")
ROW_FORMATS = ("jsonl", *TABLES)  # of rows, of any number of inputs


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
FORMATS = (*ROW_FORMATS, *DOCUMENTS)


def row_to_document(format: str, row: Row) -> str | None:
    """A recording that could not be used has a JSON document, which says why, and no other."""
    return None if "error" in row and format != "json" else DOCUMENTS[format](row)


def is_file(out: Path) -> bool:
    """Whether --out means one file, by its name, rather than a folder."""
    return out.suffix.lower().removeprefix(".") in FORMATS and not out.is_dir()


def check_ending(out: Path, formats: Sequence[str], else_: str) -> None:
    """Raises UserError for a name that ends in what is no format of ours, unless there is such a folder, or a pipe."""
    if has_ending(out) and out.suffix.lower().removeprefix(".") not in formats and (out.is_file() or not out.exists()):
        known = ", ".join(f".{format}" for format in formats)
        raise UserError(f"--out {printable(out)}: no format of ours ends in {out.suffix}; end it in {known}{else_}")


def check_folder(out: Path) -> None:
    """Raises UserError for a file to write in a folder that is not there."""
    if not out.parent.is_dir():
        raise UserError(f"--out {printable(out)} cannot be written: no folder {printable(out.parent)}; make it first")


def choose_formats(out: Path | None, formats: Sequence[str], is_one: bool) -> list[str]:
    """The formats to write, in the order given. Raises UserError where they do not fit where they should go.

    One file, or the standard output, takes one format, and unless that is one of rows, one recording: is_one.
    """
    if out:
        check_ending(out, FORMATS, ", or name a folder; one with such a name has to be there already")
    implied = out.suffix.lower().removeprefix(".") if out and is_file(out) else None
    if implied:
        check_folder(out)
    chosen = list(dict.fromkeys(formats or [implied or "jsonl"]))
    rows = [format for format in chosen if format in ROW_FORMATS]
    if len(rows) > 1:
        raise UserError(f"rows are written in one format, not in {' and '.join(rows)}; choose one")
    if out and not implied:
        return chosen
    if not out and rows not in ([], ["jsonl"]):
        raise UserError(f"a {rows[0]} table is a file; name it with --out")
    place = f"--out {printable(out)} is one file" if out else "the standard output is one file"
    if implied and chosen != [implied]:
        raise UserError(f"{place} of format {implied}, not {', '.join(chosen)}; name a folder with --out")
    if len(chosen) > 1 or not (rows or is_one):
        what = f"formats {', '.join(chosen)}" if len(chosen) > 1 else f"{chosen[0]} of several recordings"
        raise UserError(f"{place}, too few for {what}; name a folder with --out")
    return chosen


def make_folder(path: Path, option: str) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{option} {printable(path)} cannot be made a folder: {error.strerror}") from error
