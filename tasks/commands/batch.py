"""`multimodal-attn caption PATH...` and `multimodal-attn transcribe PATH...`: files and folders in, rows out."""

import argparse
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from multimodal_attn.errors import MediaError, UserError
from multimodal_attn.predictor import Predictor, Segment, load, search_with
from multimodal_attn.senses import sense_of
from multimodal_attn.senses.picture import media
from multimodal_attn.senses.sound import media as sound
from multimodal_attn.trace import UNTOLD, AttentionTrace, join_traces
from tasks.commands.figures import FIRST_FIGURES, draw_figures, place_figures
from tasks.commands.found import MAX_TOLD, Found
from tasks.commands.inputs import Input, inputs_of
from tasks.commands.job import Job
from tasks.commands.outputs import Choice, Outputs, check_not_read
from tasks.commands.pages import ENDING, place_pages, save_pages
from tasks.commands.record import Maker
from tasks.commands.rows import Row, RowFile, standard_output, write_all
from tasks.commands.table_file import TableFile, place_rows
from tasks.commands.workers import read_in_workers
from tasks.commands.writers import (
    ROW_FORMATS,
    ROWS,
    check_ending,
    check_folder,
    choose_formats,
    is_file,
    make_folder,
    row_to_document,
)

Segments = Iterator[tuple[Input, Segment]]


@dataclass(frozen=True)
class Batch:
    """The work of one command. found: what is to be read. sense: what it holds. done: what is to be done with it. rows,
    documents, figures, pages: where results go. formats: of the documents, with the endings of their names. folders:
    to be made, by their options."""

    found: Found
    sense: str
    done: str
    rows: RowFile | TableFile | None
    documents: Outputs | None
    formats: dict[str, str]
    figures: Outputs | None
    pages: Outputs | None
    folders: dict[str, Path]

    def is_done(self, input: Input) -> bool:
        """Whether an earlier run has left everything that is wanted; an error row is all there is to have."""
        if self.rows and self.rows.has_failed(input.text):
            return True
        done = [self.rows.is_done(input.text)] if self.rows else []
        done += [bool(self.documents) and self.documents.has_one(input, [ending]) for ending in self.formats.values()]
        done += [self.figures.has_one(input, FIRST_FIGURES)] if self.figures else []
        done += [self.pages.has_one(input, [ENDING])] if self.pages else []
        return all(done)

    def left(self, choice: Choice) -> Iterator[Input]:
        """What is to be read, but for what earlier runs have done."""
        for input in self.found:
            if choice is Choice.OVERWRITE or not self.is_done(input):
                yield input
            else:
                self.found.n_done += 1
                self.found.n_failed += bool(self.rows) and self.rows.has_failed(input.text)
                self.found.n_cut += bool(self.rows) and self.rows.was_cut(input.text)

    def problems(self) -> list[str]:
        places = (self.documents, self.figures, self.pages)
        return [line for outputs in places if outputs for line in outputs.problems]


def caption(args: argparse.Namespace) -> int:
    """Exit status 0, or 2 when a file could not be captioned; the others are, all the same."""
    found = find(args, media.EXTENSIONS, "picture")
    if args.out:
        check_ending(args.out, ROW_FORMATS, "")
        check_folder(args.out)
    rows = place_rows(args.out, "picture", args.choice, args.paths)
    figures = place_figures(args.pictures, args.choice, args.paths)
    pages = place_pages(args.html, args.choice, args.paths)
    batch = Batch(found, "picture", "captioned", rows, None, {}, figures, pages, folders_of(args, None))
    return run_batch(batch, args, {"beam": args.beam, "looks": args.looks})


def transcribe(args: argparse.Namespace) -> int:
    """Exit status 0, or 2 when a file could not be transcribed; the others are, all the same."""
    found = find(args, sound.EXTENSIONS, "sound")
    formats = choose_formats(args.out, args.format, found.is_one)
    folder = None if args.out is None or is_file(args.out) else args.out
    kinds = [format for format in formats if format in ROW_FORMATS]
    place = folder / f"{ROWS}.{kinds[0]}" if folder and kinds else args.out
    rows = place_rows(place, "sound", args.choice, args.paths) if kinds else None
    ending = place.suffix if place else ""
    endings = {format: f".{format}" if folder else ending for format in formats if format not in ROW_FORMATS}
    documents = place_documents(args, found.first, folder, endings.values())
    figures = place_figures(args.pictures, args.choice, args.paths)
    pages = place_pages(args.html, args.choice, args.paths)
    batch = Batch(found, "sound", "transcribed", rows, documents, endings, figures, pages, folders_of(args, folder))
    options = {name: getattr(args, name) for name in ("beam", "ctc", "lm", "words", "speeds", "consensus")}
    return run_batch(batch, args, options)


def find(args: argparse.Namespace, extensions: Collection[str], sense: str) -> Found:
    """Raises UserError where there is nothing."""
    return Found(args.paths, lambda left_out: inputs_of(args.paths, extensions, left_out), sense)


def wants_attention(args: argparse.Namespace) -> bool:
    """Whether rows hold weights: the encoder's self-attention goes beside the decoder's."""
    return args.attention or args.self_attention is not None


def folders_of(args: argparse.Namespace, out: Path | None) -> dict[str, Path]:
    given = {"--out": out, "--pictures": args.pictures, "--html": args.html}
    return {option: path for option, path in given.items() if path}


def place_documents(
    args: argparse.Namespace, first: Input, folder: Path | None, endings: Collection[str]
) -> Outputs | None:
    """Where documents go, None if nowhere or to the standard output. Raises UserError where they must not."""
    if args.out is None or not endings:
        return None
    if folder:
        return Outputs(folder, args.paths, args.choice)
    check_not_read("--out", args.out, [first.path])
    outputs = Outputs(args.out.parent, [first.path], args.choice, args.out.stem)
    for ending in endings:
        outputs.check(first, ending)
    return outputs


def load_for(sense: str, args: argparse.Namespace, options: dict[str, float | None]) -> Predictor:
    if min(args.batch_size, args.workers) < 1:
        raise UserError("--batch-size and --workers start at 1")
    predictor = load(args.checkpoint, args.device)
    if predictor.sense != sense:
        raise UserError(f"{args.checkpoint} is a model for {predictor.sense}s; name one for {sense}s with --checkpoint")
    search_with(predictor.search, options)  # raises before any file is opened to be written
    if args.self_attention:
        predictor.looks(args.self_attention)
    return predictor


def run_batch(batch: Batch, args: argparse.Namespace, options: dict[str, float | None]) -> int:
    """Read what earlier runs have left to be done, write the results of each file as soon as its last piece is there,
    then say what failed."""
    if args.needed and not (wants_attention(args) or args.html):
        raise UserError("--needed goes with --attention or --html: rows without attention have no place for it")
    predictor = load_for(batch.sense, args, options)
    for option, folder in batch.folders.items():
        make_folder(folder, option)
    origin, attention = predictor.origin(search_with(predictor.search, options)), wants_attention(args)
    maker = {"sense": batch.sense, **asdict(origin), "attention": attention}
    if args.self_attention:
        maker["options"] |= {"self_attention": args.self_attention}
        options = options | {"self_attention": args.self_attention}
    if args.needed:
        maker["needed"], options = True, options | {"needed": True}
    failed, n_failed, cut = [], 0, []
    with open_writer(batch, maker) as write:
        weights = bool(attention or batch.figures or batch.pages)
        segments = read(predictor, batch.left(args.choice), args, options, weights)
        if batch.figures:
            segments = draw_figures(batch.figures, predictor, segments)
        if batch.pages:
            segments = save_pages(batch.pages, predictor, segments)
        for input, row, problem in batch.found.show_progress(to_rows(segments, attention)):
            if "error" in row:
                n_failed += 1
                failed += [problem] if n_failed <= MAX_TOLD else []
            elif problem:
                cut.append(problem)
            write(input, row)
    batch.found.tell(batch.done, failed, n_failed, cut, batch.problems())
    before = batch.found.n_failed or batch.found.n_cut
    return 2 if n_failed or cut or before or batch.problems() else 0


def read(
    predictor: Predictor, inputs: Iterable[Input], args: argparse.Namespace, options: dict[str, Any], weights: bool
) -> Segments:
    """In this process, or in as many others as the user wants."""
    job = Job(args.checkpoint, args.device, args.batch_size, weights, options)
    return read_in_workers(job, inputs, args.workers) if args.workers > 1 else job.read(predictor, inputs)


@contextmanager
def open_writer(batch: Batch, maker: Maker) -> Iterator[Callable[[Input, Row], None]]:
    """What takes each row, and the file that it is of, to all its places."""
    with ExitStack() as stack:
        write_row = stack.enter_context(batch.rows.open(maker)) if batch.rows else None
        if batch.documents:
            stack.enter_context(batch.documents.open(maker, list(batch.formats.values())))
        if batch.figures:
            stack.enter_context(batch.figures.open(maker, [".png"]))
        if batch.pages:
            stack.enter_context(batch.pages.open(maker, [ENDING]))

        def write(input: Input, row: Row) -> None:
            for format, ending in batch.formats.items():
                if (document := row_to_document(format, row)) is not None:
                    write_document(batch.documents, input, ending, document.encode())
            if write_row:
                write_row(row)  # last: a file that has its row has everything

        yield write


def write_document(documents: Outputs | None, input: Input, ending: str, content: bytes) -> None:
    if documents is None:
        write_all(standard_output(), content, "the standard output")
    else:
        documents.put(input, ending, content)


def to_rows(segments: Iterable[tuple[Input, Segment]], attention: bool) -> Iterator[tuple[Input, Row, str | None]]:
    """One row per input, and what is wrong with it. Of the pieces before only text and word times are kept, unless
    attention is wanted. Damage after some pieces leaves their words, and a note."""
    pieces: list[AttentionTrace] = []
    for input, (_, result, last) in segments:
        problem = str(result) if isinstance(result, MediaError) else None
        if problem is None:
            pieces.append(result if attention else forget_weights(result))
        if last:
            row = to_row(pieces, attention) if pieces else {}
            told = ({"note": problem, "cut": True} if pieces else {"error": problem}) if problem else {}
            yield input, {"path": input.text, **row, **told}, problem
            pieces = []


def forget_weights(trace: AttentionTrace) -> AttentionTrace:
    tokens = (UNTOLD,) * len(trace.tokens)
    # a view would keep all of them
    return replace(trace, tokens=tokens, weights=trace.weights[:, :0].copy(), self_attention=(), needed=None)


def to_row(pieces: Sequence[AttentionTrace], attention: bool) -> Row:
    """text, score, what else rows of the sense have, and a note if there is nothing in it; with attention the whole
    trace, or that of every piece under `pieces`."""
    if attention and len(pieces) == 1:
        return pieces[0].to_dict()
    whole = join_traces([forget_weights(piece) for piece in pieces])
    row: Row = {"text": whole.text, "score": whole.score}
    row |= {name: column(whole) for name, column in sense_of(whole.geometry.kind).columns.items()}
    if whole.note:
        row["note"] = whole.note
    return row | {"pieces": [piece.to_dict() for piece in pieces]} if attention else row
