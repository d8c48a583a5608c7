"""`multimodal-attn caption PATH...` and `multimodal-attn transcribe PATH...`: files and folders in, rows out."""

import argparse
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from multimodal_attn.errors import MediaError, UserError
from multimodal_attn.files import path_text, printable
from multimodal_attn.media import picture_files
from multimodal_attn.predictor import Item, Predictor, Segment, load, search_with
from multimodal_attn.render import figure_to_png, is_figure, render_figure
from multimodal_attn.senses import sense_of
from multimodal_attn.sound import sound_files
from multimodal_attn.trace import AttentionTrace, Token, join_traces
from tasks.batch_options import build_caption_parser, build_transcribe_parser
from tasks.outputs import Choice, Outputs, check_not_read, has_ending
from tasks.record import Maker
from tasks.rows import Row, RowFile, standard_output, write_all
from tasks.writers import ROWS, check_ending, check_folder, choose_formats, is_file, make_folder, row_to_document

FIRST_FIGURES = (".png", ".001.png")  # of a file: one of them is there when it was drawn
FORGOTTEN = Token("", 0.0)  # in the place of a token of which only the number is wanted


@dataclass(frozen=True)
class Batch:
    """The work of one command. files: to be read. sense: what they hold. done: what is to be done with them. rows,
    documents, figures: where the results go. formats: of the documents, with the endings of their names. folders: to be
    made, by their options. parts: what is read in place of each file, where files are but parts of one."""

    files: list[Path]
    sense: str
    done: str
    rows: RowFile | None
    documents: Outputs | None
    formats: dict[str, str]
    figures: Outputs | None
    folders: dict[str, Path]
    parts: Mapping[Path, Any] = field(default_factory=dict)

    def is_done(self, path: Path) -> bool:
        """Whether an earlier run has left everything that is wanted of a file; an error row is all there is to have."""
        if self.has_failed(path):
            return self.rows.is_done(path_text(path))
        found = [self.rows.is_done(path_text(path))] if self.rows else []
        found += [bool(self.documents) and self.documents.has_one(path, [ending]) for ending in self.formats.values()]
        found += [self.figures.has_one(path, FIRST_FIGURES)] if self.figures else []
        return all(found)

    def has_failed(self, path: Path) -> bool:
        """Whether an earlier run could not use a file."""
        return bool(self.rows) and path_text(path) in self.rows.found.failed

    def problems(self) -> list[str]:
        return [line for outputs in (self.documents, self.figures) if outputs for line in outputs.problems]


def caption_main(argv: list[str]) -> int:
    """Exit status 0, or 2 when a file could not be captioned; the others are, all the same."""
    args = build_caption_parser().parse_args(argv)
    files = find_files(args, picture_files, "picture")
    if args.out:
        check_ending(args.out, ["jsonl"], "")
        check_folder(args.out)
    rows = RowFile(args.out, "picture", args.choice, files)
    figures = place_figures(args, files)
    batch = Batch(files, "picture", "captioned", rows, None, {}, figures, folders_of(args, None))
    return run_batch(batch, args, {"beam": args.beam})


def transcribe_main(argv: list[str]) -> int:
    """Exit status 0, or 2 when a file could not be transcribed; the others are, all the same."""
    args = build_transcribe_parser().parse_args(argv)
    files = find_files(args, sound_files, "sound")
    formats = choose_formats(args.out, args.format, len(files))
    folder = None if args.out is None or is_file(args.out) else args.out
    place = folder / ROWS if folder else args.out
    rows = RowFile(place, "sound", args.choice, files) if "jsonl" in formats else None
    ending = place.suffix if place else ""
    endings = {format: f".{format}" if folder else ending for format in formats if format != "jsonl"}
    documents, figures = place_documents(args, files, folder, endings.values()), place_figures(args, files)
    batch = Batch(files, "sound", "transcribed", rows, documents, endings, figures, folders_of(args, folder))
    options = {name: getattr(args, name) for name in ("beam", "ctc", "lm", "words", "speeds", "consensus")}
    return run_batch(batch, args, options)


def find_files(args: argparse.Namespace, find: Callable[[Sequence[Path]], Iterator[Path]], sense: str) -> list[Path]:
    """The files to read, each once; figures of ours only where they are named one by one."""
    if args.batch_size < 1:
        raise UserError("--batch-size starts at 1")
    given = set(args.paths)
    found = list(dict.fromkeys(find(args.paths)))
    files = [path for path in found if path in given or path.suffix.lower() != ".png" or not is_figure(path)]
    if len(files) < len(found):
        print(f"figures of earlier runs left out: {len(found) - len(files)}", file=sys.stderr)
    if not files:
        where = ", ".join(map(printable, args.paths))
        raise UserError(f"no {sense} in {where}; give {sense} files, or folders that hold some")
    return files


def folders_of(args: argparse.Namespace, out: Path | None) -> dict[str, Path]:
    return {option: path for option, path in (("--out", out), ("--pictures", args.pictures)) if path}


def place_documents(
    args: argparse.Namespace, files: Sequence[Path], folder: Path | None, endings: Collection[str]
) -> Outputs | None:
    """Where documents go, None if nowhere or to the standard output. Raises UserError where they must not."""
    if args.out is None or not endings:
        return None
    if not folder:
        check_not_read("--out", args.out, files)
    chosen = {} if folder else {files[0]: args.out.stem}
    outputs = Outputs(folder or args.out.parent, files, args.choice, chosen)
    outputs.check(endings)
    return outputs


def place_figures(args: argparse.Namespace, files: Sequence[Path]) -> Outputs | None:
    """Where figures go, None if nowhere. Raises UserError where they must not."""
    if args.pictures is None:
        return None
    if has_ending(args.pictures) and not args.pictures.is_dir():
        raise UserError(f"--pictures {printable(args.pictures)} is named like a file; name a folder")
    outputs = Outputs(args.pictures, files, args.choice)
    outputs.check(FIRST_FIGURES)
    return outputs


def load_for(sense: str, args: argparse.Namespace, options: dict[str, float | None]) -> Predictor:
    predictor = load(args.checkpoint, args.device)
    if predictor.sense != sense:
        raise UserError(f"{args.checkpoint} is a model for {predictor.sense}s; name one for {sense}s with --checkpoint")
    search_with(predictor.search, options)  # raises before any file is opened to be written
    return predictor


def run_batch(batch: Batch, args: argparse.Namespace, options: dict[str, float | None]) -> int:
    """Read what earlier runs have left to be done, write the results of each file as soon as its last piece is there,
    then say what failed."""
    predictor = load_for(batch.sense, args, options)
    for option, folder in batch.folders.items():
        make_folder(folder, option)
    origin = predictor.origin(search_with(predictor.search, options))
    maker = {"sense": batch.sense, **asdict(origin), "attention": args.attention}
    failed = []
    with open_writer(batch, maker) as write:
        done = [path for path in batch.files if args.choice is not Choice.OVERWRITE and batch.is_done(path)]
        files = [path for path in batch.files if path not in set(done)]
        segments = read_files(predictor, batch, files, args.batch_size, options)
        if batch.figures:
            segments = draw_figures(batch, predictor, segments)
        rows = to_rows(segments, args.attention)
        for source, row in tqdm(rows, total=len(files), unit=batch.sense, disable=None, file=sys.stderr):
            if "error" in row:
                failed.append(row["error"])
            write(source, row)
        if done:
            print(f"{batch.done} already: {len(done)} of {len(batch.files)} files", file=sys.stderr)
        if n_failed := sum(map(batch.has_failed, done)):
            told = f"{n_failed} of them could not be {batch.done}; --retry tries again"
            print(told, file=sys.stderr)
        report(failed, f"{len(failed)} of {len(files)} files could not be {batch.done}:")
        report(batch.problems(), f"results that could not be written: {len(batch.problems())}")
    return 2 if failed or n_failed or batch.problems() else 0


def read_files(
    predictor: Predictor, batch: Batch, files: Sequence[Path], batch_size: int, options: dict[str, float | None]
) -> Iterator[Segment]:
    """What comes of each file, or of the part that stands for it, by the file."""
    names = iter(files)
    name = next(names, None)
    for segment in predictor.segments((batch.parts.get(path, path) for path in files), batch_size, **options):
        yield segment._replace(source=name)
        name = next(names, None) if segment.last else name


def report(lines: Sequence[str], heading: str) -> None:
    if lines:
        print(heading, *lines, sep="\n  ", file=sys.stderr)


@contextmanager
def open_writer(batch: Batch, maker: Maker) -> Iterator[Callable[[Path, Row], None]]:
    """What takes each row, and the file that it is of, to all its places."""
    with ExitStack() as stack:
        write_row = stack.enter_context(batch.rows.open(maker)) if batch.rows else None
        if batch.documents:
            stack.enter_context(batch.documents.open(maker, list(batch.formats.values())))
        if batch.figures:
            stack.enter_context(batch.figures.open(maker, [".png"]))

        def write(source: Path, row: Row) -> None:
            for format, ending in batch.formats.items():
                if (document := row_to_document(format, row)) is not None:
                    write_document(batch.documents, source, ending, document.encode())
            if write_row:
                write_row(row)  # last: a file that has its row has everything

        yield write


def write_document(documents: Outputs | None, source: Path, ending: str, content: bytes) -> None:
    if documents is None:
        write_all(standard_output(), content, "the standard output")
    else:
        documents.put(source, ending, content)


def to_rows(segments: Iterable[Segment], attention: bool) -> Iterator[tuple[Path, Row]]:
    """One row per file. Of the pieces before only text and word times are kept, unless attention is wanted."""
    pieces: list[AttentionTrace] = []
    for source, result, last in segments:
        if isinstance(result, MediaError):
            yield source, {"path": path_text(source), "error": str(result)}
            pieces = []
            continue
        pieces.append(result if attention else forget_weights(result))
        if last:
            yield source, {"path": path_text(source), **to_row(pieces, attention)}
            pieces = []


def forget_weights(trace: AttentionTrace) -> AttentionTrace:
    tokens = (FORGOTTEN,) * len(trace.tokens)
    return replace(trace, tokens=tokens, weights=trace.weights[:, :0].copy())  # a view would keep all of them


def to_row(pieces: Sequence[AttentionTrace], attention: bool) -> Row:
    """text, score, words where they have times, and a note if there is nothing in it; with attention the whole trace,
    or that of every piece under `pieces`."""
    if attention and len(pieces) == 1:
        return pieces[0].to_dict()
    whole = join_traces([forget_weights(piece) for piece in pieces])
    row: Row = {**sense_of(whole.geometry.kind).columns(whole), "text": whole.text, "score": whole.score}
    if sense_of(whole.geometry.kind).timed:
        row["words"] = [
            {"text": word.text, "start": round(word.start, 3), "end": round(word.end, 3)} for word in whole.words
        ]
    if whole.note:
        row["note"] = whole.note
    return row | {"pieces": [piece.to_dict() for piece in pieces]} if attention else row


def draw_figures(batch: Batch, predictor: Predictor, segments: Iterable[Segment]) -> Iterator[Segment]:
    """The segments, each drawn into a PNG as it passes: talk.png, or talk.001.png and so on where there are several."""
    items, n_drawn = None, 0
    for segment in segments:
        if isinstance(segment.result, AttentionTrace):
            # read once more: to keep the pictures or sounds of a whole batch would take more memory than the model
            source = batch.parts.get(segment.source, segment.source)
            items, n_drawn = items or predictor.pieces(source), n_drawn + 1
            number = "" if segment.last and n_drawn == 1 else f".{n_drawn:03}"
            try:
                draw_figure(batch.figures, segment, next(items), f"{number}.png")
            except MediaError as error:  # the file has gone meanwhile
                batch.figures.problems.append(f"no figure of {error}")
        if segment.last:
            items, n_drawn = None, 0
        yield segment


def draw_figure(figures: Outputs, segment: Segment, item: Item, ending: str) -> None:
    figure = render_figure(segment.result, sense_of(segment.result.geometry.kind).original(item))
    figures.put(segment.source, ending, figure_to_png(figure))
