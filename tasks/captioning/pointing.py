"""`python -m tasks.captioning.pointing LIST`: how often a noun's attention lies where the noun is needed.

LIST: a file with the names of photographs, one on each line, such as Flickr_8k.testImages.txt. Each is captioned, its
cells are hidden one at a time, and the place where a noun loses most is held against the peak of the noun's attention,
of another word's attention, and the middle of the picture: the same cell or one beside it counts.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from multimodal_attn.errors import UserError
from multimodal_attn.predictor import Predictor, load
from multimodal_attn.trace import NEEDS, AttentionTrace, beside
from tasks.commands.bundled import BUNDLED

NOUNS = """man woman men women boy girl boys girls child children people person dog dogs ball player players bike
bicycle shirt hat water grass snow beach rock rocks street car tree trees field pool building slide swing stick
frisbee skateboard surfer wave horse motorcycle toy face hands mouth mountain sand bench fence table crowd camera"""
HINTS = ("its own map", "another word's map", "the middle")


def judge(trace: AttentionTrace) -> Iterator[tuple[bool, list[float]]]:
    """Of each noun, whether it clearly needs a place, and how often each of HINTS lies beside the one it needs most."""
    nouns = set(NOUNS.split())
    looked, needed = trace.weights.mean(1).argmax(1), trace.needed.argmax(1)
    middle = trace.geometry.place_at(trace.geometry.width / 2, trace.geometry.height / 2)
    needy = trace.needed.max(1) >= NEEDS * np.array([token.probability for token in trace.tokens])
    for t, token in enumerate(trace.tokens):
        if token.text in nouns:
            near = beside(trace.geometry, np.full_like(looked, needed[t]), looked)
            others = np.delete(near, t)
            at_middle = beside(trace.geometry, needed[t : t + 1], np.array([middle]))
            yield bool(needy[t]), [float(near[t]), float(others.mean()), float(at_middle[0])]


def judge_all(predictor: Predictor, photos: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """(n,) and (n, 3) of all nouns."""
    found = [each for photo in photos for each in judge(predictor(photo, needed=True))]
    if not found:
        raise UserError("no noun in any caption; name more photographs")
    return np.array([needy for needy, _ in found]), np.array([near for _, near in found])


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m tasks.captioning.pointing", description=__doc__)
    parser.add_argument("list", type=Path, help="names of photographs, one on each line")
    parser.add_argument("--folder", type=Path, help="where they are (default: Images beside the list)")
    parser.add_argument("--checkpoint", type=Path, default=BUNDLED["captioning"], help="(default: %(default)s)")
    parser.add_argument("--first", type=int, default=30, help="so many of the list (default: %(default)s)")
    args = parser.parse_args(argv)
    folder = args.folder or args.list.parent / "Images"
    photos = [folder / name for name in args.list.read_text("utf-8").split()[: args.first]]
    needy, near = judge_all(load(args.checkpoint), photos)
    for told, some in (("nouns", near), ("nouns that lose a tenth without some cell", near[needy])):
        print(f"{len(some)} {told}: " + ", ".join(f"{h} {v:.2f}" for h, v in zip(HINTS, some.mean(0), strict=True)))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(str(error))
