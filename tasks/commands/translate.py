"""`multimodal-attn translate FILE...`: a sentence a line in, its translation out."""

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from multimodal_attn.errors import UserError
from multimodal_attn.files import open_file, printable
from multimodal_attn.predictor import search_with
from multimodal_attn.senses.text.media import STANDARD_INPUT, Text, read_lines, text_files
from tasks.commands.batch import Batch, folders_of, load_for, read, run_batch, to_rows, wants_attention
from tasks.commands.figures import place_figures
from tasks.commands.found import Found, report
from tasks.commands.inputs import Input
from tasks.commands.options import LINE_FORMATS
from tasks.commands.outputs import Choice, Outputs, check_not_read
from tasks.commands.pages import place_pages
from tasks.commands.rows import Row, standard_output, write_all
from tasks.commands.table_file import place_rows
from tasks.commands.writers import ROW_FORMATS, TABLES, check_ending, check_folder

LINES: dict[str, Callable[[Text, Row], str]] = {
    "txt": lambda source, row: row.get("text", ""),
    "tsv": lambda source, row: f"{source.text}\t{row.get('text', '')}",
}


def translate(args: argparse.Namespace) -> int:
    """Exit status 0, or 2 when a line could not be translated; the others are, all the same."""
    files = list(dict.fromkeys(text_files(args.paths)))
    found = find_lines(args.paths, files)
    format = choose_format(args)
    figures = place_figures(args.pictures, args.choice, files)
    pages = place_pages(args.html, args.choice, files)
    if format in ROW_FORMATS:
        if STANDARD_INPUT in files:
            check_anew(args)
        rows = place_rows(args.out, "text", args.choice, files)
        batch = Batch(found, "text", "translated", rows, None, {}, figures, pages, folders_of(args, None))
        return run_batch(batch, args, {"beam": args.beam})
    if wants_attention(args) or args.needed or figures or pages:
        told = f"{format} has a line for each sentence and no more"
        raise UserError(f"--attention, --self-attention, --needed, --pictures and --html go with jsonl; {told}")
    return write_lines(args, files, found, LINES[format])


def find_lines(paths: Sequence[Path], files: Sequence[Path]) -> Found:
    """The lines of all files, each under its file and number, one file after the other.

    Raises MediaError for a file that is not there, and, when its turn comes, for one that is no text.
    """
    for path in files:
        if path != STANDARD_INPUT:
            open_file(path, printable(path), "text").close()
    return Found(paths, lambda left_out: (line_input(line) for path in files for line in read_lines(path)), "text")


def line_input(line: Text) -> Input:
    path = Path(line.name)
    return Input(path, path.name.replace(":", "-"), open=lambda: line)


def choose_format(args: argparse.Namespace) -> str:
    """What --format says, or the ending of --out. Raises UserError where they differ."""
    if args.format in TABLES and not (args.out and args.out.suffix.lower() == f".{args.format}"):
        raise UserError(f"a {args.format} table is a file; name it with --out NAME.{args.format}")
    if args.out is None:
        return args.format or "jsonl"
    check_ending(args.out, LINE_FORMATS, "")
    check_folder(args.out)
    implied = args.out.suffix.lower().removeprefix(".")
    if implied in LINE_FORMATS and args.format not in (None, implied):
        raise UserError(f"--out {printable(args.out)} is of format {implied}, not {args.format}; name another file")
    return args.format or (implied if implied in LINE_FORMATS else "jsonl")


def write_lines(args: argparse.Namespace, files: list[Path], found: Found, to_line: Callable[[Text, Row], str]) -> int:
    """A line for every line, empty where it was or where it could not be translated. A file is written in the end."""
    outputs = place_lines(args, files)
    predictor = load_for("text", args, {"beam": args.beam})
    segments = read(predictor, found, args, {"beam": args.beam}, False)
    failed: list[str] = []
    translated = to_lines(found.show_progress(to_rows(segments, False)), to_line, failed)
    if outputs is None:
        for line in translated:
            write_all(standard_output(), line, "the standard output")
    else:
        origin = asdict(predictor.origin(search_with(predictor.search, {"beam": args.beam})))
        with outputs.open({"sense": "text", **origin, "attention": False}, [args.out.suffix]):
            outputs.put(whole_input(files), args.out.suffix, b"".join(translated))
    report(failed, f"{len(failed)} of {found.n} lines could not be translated:")
    problems = outputs.problems if outputs else []
    report(problems, f"results that could not be written: {len(problems)}")
    return 2 if failed or problems else 0


def place_lines(args: argparse.Namespace, files: list[Path]) -> Outputs | None:
    """Where the lines go, None for the standard output. Raises UserError where they must not."""
    if args.out is None:
        return None
    check_not_read("--out", args.out, files)
    check_anew(args)
    outputs = Outputs(args.out.parent, files, args.choice, args.out.stem)
    outputs.check(whole_input(files), args.out.suffix)
    return outputs


def whole_input(files: list[Path]) -> Input:
    """All files as one."""
    return Input(files[0], files[0].stem)


def check_anew(args: argparse.Namespace) -> None:
    """Raises UserError for results that are there, where going on would not tell whether they are of the same text."""
    if args.out and args.out.is_file() and args.choice is not Choice.OVERWRITE:
        raise UserError(
            f"--out {printable(args.out)} is there already; begin anew with --overwrite, or name another file"
        )


def to_lines(
    rows: Iterable[tuple[Input, Row, str | None]], to_line: Callable[[Text, Row], str], failed: list[str]
) -> Iterator[bytes]:
    for input, row, problem in rows:
        failed += [problem] if problem else []
        yield f"{to_line(input.source, row)}\n".encode()
