"""`multimodal-attn caption PATH...` and `multimodal-attn transcribe PATH...`: files and folders in, rows out."""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from multimodal_attn.errors import MediaError, UserError
from multimodal_attn.media import Picture, picture_files
from multimodal_attn.predictor import Predictor, Segment, load, search_with
from multimodal_attn.render import save_figure
from multimodal_attn.sound import sound_files
from multimodal_attn.trace import AttentionTrace, Token, join_traces
from tasks.released import BUNDLED
from tasks.writers import FORMATS, Row, Write, choose_formats, make_folder, open_lines, open_writers, unique_names

CAPTION_EPILOG = """each line of the output is a JSON object with path, text and score (mean log-probability per token),
or path and error for a file that could not be used; --attention adds tokens and weights (docs/trace-format.md).

examples:
  multimodal-attn caption dog.jpg
  multimodal-attn caption photos/ --out captions.jsonl --pictures figures/
"""
TRANSCRIBE_EPILOG = """formats:
  jsonl   one line for each recording: path, text, score (of the search; higher is surer) and words with start and
          end in seconds; or path and error. --attention adds tokens and weights, under `pieces` where the recording is
          long and was split at pauses (docs/trace-format.md)
  json    the same, as a file for each recording
  txt     the text        srt, vtt   subtitles        tsv   every word with start and end in milliseconds

where they go:
  --out FOLDER           FOLDER/transcripts.jsonl, and FOLDER/talk.srt and so on for talk.mp3
  --out talk.srt         that file, in the format that its name ends in; jsonl takes any number of recordings
  no --out               the standard output

examples:
  multimodal-attn transcribe talk.mp3 --format srt
  multimodal-attn transcribe recordings/ --out transcripts/ --format jsonl txt vtt --pictures figures/
"""


FORGOTTEN = Token("", 0.0)  # in the place of a token of which only the number is wanted


@dataclass(frozen=True)
class Batch:
    """The work of one command. sense: what the files hold. done: what was to be done with them. attention, pictures: as
    on the command line."""

    predictor: Predictor
    files: list[Path]
    sense: str
    done: str
    attention: bool
    pictures: Path | None


def caption_main(argv: list[str]) -> int:
    """Exit status 0, or 2 when a file could not be captioned; the others are, all the same."""
    args = build_caption_parser().parse_args(argv)
    files = find_files(args, picture_files, "picture")
    options = {"beam": args.beam}
    batch = Batch(load_for("picture", args, options), files, "picture", "captioned", args.attention, args.pictures)
    segments = batch.predictor.segments(files, args.batch_size, **options)
    with open_lines(args.out) as write:
        return run_batch(batch, segments, write)


def transcribe_main(argv: list[str]) -> int:
    """Exit status 0, or 2 when a file could not be transcribed; the others are, all the same."""
    args = build_transcribe_parser().parse_args(argv)
    files = find_files(args, sound_files, "sound")
    formats = choose_formats(args.out, args.format, len(files))
    options = {name: getattr(args, name) for name in ("beam", "ctc", "lm", "words", "speeds", "consensus")}
    batch = Batch(load_for("sound", args, options), files, "sound", "transcribed", args.attention, args.pictures)
    segments = batch.predictor.segments(files, args.batch_size, **options)
    with open_writers(args.out, formats, unique_names(files)) as write:
        return run_batch(batch, segments, write)


def find_files(args: argparse.Namespace, find: Callable[[Sequence[Path]], Iterator[Path]], sense: str) -> list[Path]:
    if args.batch_size < 1:
        raise UserError("--batch-size starts at 1")
    files = list(find(args.paths))
    if not files:
        where = ", ".join(map(str, args.paths))
        raise UserError(f"no {sense} in {where}; give {sense} files, or folders that hold some")
    return files


def load_for(sense: str, args: argparse.Namespace, options: dict[str, float | None]) -> Predictor:
    predictor = load(args.checkpoint, args.device)
    if predictor.sense != sense:
        raise UserError(f"{args.checkpoint} is a model for {predictor.sense}s; name one for {sense}s with --checkpoint")
    search_with(predictor.search, options)  # raises before any file is opened to be written
    return predictor


def run_batch(batch: Batch, segments: Iterable[Segment], write: Write) -> int:
    """Write a row for every file as soon as its last piece is there, then say what failed."""
    if batch.pictures:
        make_folder(batch.pictures, "--pictures")
        segments = draw_figures(batch, segments)
    failed = []
    rows = to_rows(segments, batch.attention)
    for row in tqdm(rows, total=len(batch.files), unit=batch.sense, disable=None, file=sys.stderr):
        if "error" in row:
            failed.append(row["error"])
        write(row)
    if failed:
        line = f"{len(failed)} of {len(batch.files)} files could not be {batch.done}:"
        print(line, *failed, sep="\n  ", file=sys.stderr)
    return 2 if failed else 0


def to_rows(segments: Iterable[Segment], attention: bool) -> Iterator[Row]:
    """One row per file. Of the pieces before only text and word times are kept, unless attention is wanted."""
    pieces: list[AttentionTrace] = []
    for source, result, last in segments:
        if isinstance(result, MediaError):
            yield {"path": str(source), "error": str(result)}
            pieces = []
            continue
        pieces.append(result if attention else forget_weights(result))
        if last:
            yield {"path": str(source), **to_row(pieces, attention)}
            pieces = []


def forget_weights(trace: AttentionTrace) -> AttentionTrace:
    tokens = (FORGOTTEN,) * len(trace.tokens)
    return replace(trace, tokens=tokens, weights=trace.weights[:, :0].copy())  # a view would keep all of them


def to_row(pieces: Sequence[AttentionTrace], attention: bool) -> Row:
    """text, score, of a sound words, and a note if there is nothing in it; with attention the whole trace, or that of
    every piece under `pieces`."""
    if attention and len(pieces) == 1:
        return pieces[0].to_dict()
    whole = join_traces([forget_weights(piece) for piece in pieces])
    row: Row = {"text": whole.text, "score": whole.score}
    if whole.geometry.kind == "sound":
        row["words"] = [
            {"text": word.text, "start": round(word.start, 3), "end": round(word.end, 3)} for word in whole.words
        ]
    if whole.note:
        row["note"] = whole.note
    return row | {"pieces": [piece.to_dict() for piece in pieces]} if attention else row


def draw_figures(batch: Batch, segments: Iterable[Segment]) -> Iterator[Segment]:
    """The segments, each drawn into a PNG as it passes: talk.png, or talk.001.png and so on where there are several."""
    names = unique_names(batch.files)
    items, n_drawn = None, 0
    for segment in segments:
        if isinstance(segment.result, AttentionTrace):
            # read once more: to keep the pictures or sounds of a whole batch would take more memory than the model
            items, n_drawn = items or batch.predictor.pieces(segment.source), n_drawn + 1
            item = next(items)
            number = "" if segment.last and n_drawn == 1 else f".{n_drawn:03}"
            path = batch.pictures / f"{names[str(segment.source)]}{number}.png"
            save_figure(segment.result, item.image if isinstance(item, Picture) else item, path)
        if segment.last:
            items, n_drawn = None, 0
        yield segment


def build_caption_parser() -> argparse.ArgumentParser:
    description = "Caption pictures: JPEG, PNG, WEBP, GIF, BMP or TIFF files, and folders of them, recursively."
    parser = build_parser("caption", description, CAPTION_EPILOG, "picture", "captioning", 32)
    parser.add_argument("--out", type=Path, help="write the lines to this file instead of the standard output")
    return parser


def build_transcribe_parser() -> argparse.ArgumentParser:
    description = (
        "Transcribe sounds of any length: WAV, FLAC, OGG, Opus or MP3 files, and folders of them, recursively."
    )
    parser = build_parser("transcribe", description, TRANSCRIBE_EPILOG, "sound", "speech", 16)
    parser.add_argument("--out", type=Path, help="write to this folder or file instead of the standard output")
    known = {"nargs": "+", "action": "extend", "choices": FORMATS, "metavar": "FORMAT"}
    parser.add_argument("--format", **known, help=f"one or several of {', '.join(FORMATS)} (default: jsonl)")
    parser.add_argument("--ctc", type=float, help="weight of the CTC head in the search, 0 to 1 (checkpoint's)")
    parser.add_argument("--lm", type=float, help="weight of the language model in the search (checkpoint's)")
    parser.add_argument("--words", type=float, help="weight of the word model in the search (checkpoint's)")
    parser.add_argument(
        "--speeds", type=float, nargs="+", help="hear each sound at all of these; 1 alone is fastest (checkpoint's)"
    )
    parser.add_argument(
        "--consensus",
        type=float,
        help="how far scores count when hypotheses agree; 0 says the best (checkpoint's)",
    )
    return parser


def build_parser(
    command: str, description: str, epilog: str, unit: str, task: str, batch_size: int
) -> argparse.ArgumentParser:
    """What both commands understand."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(f"multimodal-attn {command}", None, description, epilog, formatter_class=layout)
    add = parser.add_argument
    add("paths", nargs="+", type=Path, metavar="PATH", help=f"a {unit} file, or a folder of them")
    add("--checkpoint", type=Path, default=BUNDLED[task], help="checkpoint folder (default: %(default)s)")
    add("--beam", type=int, help="hypotheses kept while searching; 1 is greedy (default: the checkpoint's)")
    add("--attention", action="store_true", help="put tokens and attention weights into every row")
    add("--pictures", type=Path, metavar="DIR", help=f"draw the attention of each {unit} into a PNG here")
    add("--batch-size", type=int, default=batch_size, help=f"{unit}s read at once (default: %(default)s)")
    add("--device", default="cpu", help="cpu, cuda, cuda:1, mps (default: %(default)s)")
    return parser
