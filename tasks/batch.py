"""`multimodal-attn caption PATH...`: files and folders in, JSON Lines out."""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from multimodal_attn.errors import MediaError, UserError
from multimodal_attn.media import picture_files
from multimodal_attn.predictor import Predictor, load
from multimodal_attn.render import save_figure
from multimodal_attn.trace import AttentionTrace
from tasks.released import BUNDLED

EPILOG = """each line of the output is a JSON object with path, text and score (mean log-probability per token),
or path and error for a file that could not be used; --attention adds tokens and weights (docs/trace-format.md).

examples:
  multimodal-attn caption dog.jpg
  multimodal-attn caption photos/ --out captions.jsonl --pictures figures/
"""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "multimodal-attn caption",
        description="Caption pictures: JPEG, PNG, WEBP, GIF, BMP or TIFF files, and folders of them, recursively.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="a picture file, or a folder of them")
    parser.add_argument(
        "--checkpoint", type=Path, default=BUNDLED["captioning"], help="checkpoint folder (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, help="write the lines to this file instead of the standard output")
    parser.add_argument(
        "--beam", type=int, help="hypotheses kept while searching; 1 is greedy (default: the checkpoint's)"
    )
    parser.add_argument("--attention", action="store_true", help="put tokens and attention weights into every line")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="draw a PNG per picture here, one map per word")
    parser.add_argument("--batch-size", type=int, default=32, help="pictures captioned at once (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps (default: %(default)s)")
    return parser


def caption_main(argv: list[str]) -> int:
    """Exit status 0, or 2 when a file could not be captioned; the others are, all the same."""
    args = build_parser().parse_args(argv)
    if args.batch_size < 1:
        raise UserError("--batch-size starts at 1")
    predictor = load(args.checkpoint, args.device)
    files = list(picture_files(args.paths))
    if not files:
        raise UserError(
            f"no picture in {', '.join(map(str, args.paths))}; give picture files, or folders that hold some"
        )
    if args.pictures:
        args.pictures.mkdir(parents=True, exist_ok=True)
    with open_out(args.out) as out:
        failed = caption_files(predictor, files, out, args)
    if failed:
        print(f"{len(failed)} of {len(files)} files could not be captioned:", *failed, sep="\n  ", file=sys.stderr)
    return 2 if failed else 0


def caption_files(predictor: Predictor, files: list[Path], out: TextIO, args: argparse.Namespace) -> list[str]:
    """One line per file, in order; returns what failed, and why."""
    failed, names = [], figure_names(files)
    results = predictor.stream(files, args.batch_size, beam=args.beam)
    for path, result in tqdm(results, total=len(files), unit="picture", disable=None, file=sys.stderr):
        if isinstance(result, MediaError):
            failed.append(str(result))
        out.write(json.dumps(to_row(path, result, args.attention), ensure_ascii=False) + "\n")
        out.flush()
        if args.pictures and isinstance(result, AttentionTrace):
            save_figure(result, predictor.read(path).image, args.pictures / names[path])
    return failed


def to_row(path: Path, result: AttentionTrace | MediaError, attention: bool) -> dict[str, Any]:
    if isinstance(result, MediaError):
        return {"path": str(path), "error": str(result)}
    if attention:
        return {"path": str(path), **result.to_dict()}
    return {"path": str(path), "text": result.text, "score": result.score}


def figure_names(files: list[Path]) -> dict[Path, str]:
    """A PNG name for every file; equal names of different folders are numbered."""
    names: dict[Path, str] = {}
    taken: dict[str, int] = {}
    for path in files:
        taken[path.stem] = n = taken.get(path.stem, 0) + 1
        names[path] = f"{path.stem}.png" if n == 1 else f"{path.stem}-{n}.png"
    return names


@contextmanager
def open_out(path: Path | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    try:
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise UserError(f"--out {path} cannot be written: {error.strerror}") from error
    with file:
        yield file
