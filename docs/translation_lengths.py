"""Draws BLEU against the length of the sentence for several translators: docs/figures/translation-lengths.png.

    python -m docs.translation_lengths 'attention=runs/a/model' 'summary=runs/b/model' --root multi30k

The validation sentences, in groups of like length; prints the numbers that it draws.
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from docs.learning_curves import Axes, Points, draw_curves
from multimodal_attn.errors import UserError
from multimodal_attn.files import whole_file
from multimodal_attn.predictor import load
from tasks.translation.datasets import Pair, load_pairs
from tasks.translation.metrics import translation_scores

EDGES = (1, 8, 10, 12, 14, 17, 21, 1000)  # words of a sentence
BATCH = 64


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw BLEU against the length of the sentence.")
    parser.add_argument("models", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--root", required=True)
    parser.add_argument("--source", default="en")
    parser.add_argument("--target", default="de")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "figures" / "translation-lengths.png")
    options = parser.parse_args()
    groups = by_length(load_pairs(options.root, "val", options.source, options.target))
    named = (model.split("=", 1) for model in options.models)
    curves = {name: measure(Path(folder), groups, options.target) for name, folder in named}
    for name, points in curves.items():
        told = ", ".join(f"{bleu:.1f} of {length:.1f} words" for length, bleu in points)
        print(f"{name}: {told}")
    most = 5 * (1 + max(bleu for points in curves.values() for _, bleu in points) // 5)
    lines = {float(y): str(y) for y in range(0, int(most) + 1, 5)}
    with whole_file(options.out) as file:
        draw_curves(curves, Axes("words of the sentence", "BLEU", most, lines, 5)).save(file, "PNG", optimize=True)


def n_words(pair: Pair) -> int:
    return len(pair.source.split())


def by_length(pairs: Sequence[Pair]) -> list[list[Pair]]:
    groups = [[pair for pair in pairs if low <= n_words(pair) < high] for low, high in pairwise(EDGES)]
    return [group for group in groups if group]


def measure(folder: Path, groups: Sequence[Sequence[Pair]], language: str) -> Points:
    """(mean number of words, BLEU) of each group."""
    predictor = load(folder)
    points = []
    for group in groups:
        texts = []
        for start in range(0, len(group), BATCH):
            items = [pair.input for pair in group[start : start + BATCH]]
            texts += [trace.text for trace in predictor.batch(items, weights=False)]
        scores = translation_scores(texts, [pair.target for pair in group], language)
        points.append((sum(map(n_words, group)) / len(group), scores["bleu"]))
    return points


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"translation_lengths: {error}")
