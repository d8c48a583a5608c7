"""Draws the figures of docs/attention.md into docs/figures.

python -m docs.draw_attention
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from docs.attention_examples import (
    ALIGNMENTS,
    QUERY,
    SCORES,
    SENTENCE,
    SPAN,
    WORD,
    align_planted,
    estimate,
    list_things,
    look,
    look_at_itself,
    noisy_points,
    planted_energies,
    read_word,
    regressions,
    score_plane,
    target,
)
from docs.panels import Panel, arrange, shade, shade_weights
from multimodal_attn.figures.sheet import FAINT

FIGURES = Path(__file__).resolve().parent / "figures"
CURVE, DOT = "#b3261e", "#6f8fc4"
SIDE = 216  # pixels of a square panel


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the figures of docs/attention.md.")
    parser.add_argument("--out", type=Path, default=FIGURES)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name, draw in DRAWINGS.items():
        draw().save(options.out / f"{name}.png", optimize=True)


def draw_regression() -> Image.Image:
    """Estimates above, and below the weights of 36 queries over the points."""
    points, x = noisy_points(), torch.linspace(0, SPAN, SIDE + 1)
    fits = regressions(points)
    curves = [Panel(title, plot(points, x, estimate(fit, x, points))) for title, fit in fits.items()]
    queries = torch.linspace(0.1, SPAN - 0.1, 36).unsqueeze(1)
    maps = [shade_weights(look(fit, queries, points), (6, 6)) for fit in fits.values()]
    return arrange(curves + [Panel("weights", grey.resize((SIDE, SIDE))) for grey in maps], len(fits))


def plot(points: Tensor, x: Tensor, y: Tensor) -> Image.Image:
    """Points, the target as a faint curve, and the estimate."""
    side = 2 * SIDE  # to be halved, for smooth lines
    picture = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(picture)

    def spots(x: Tensor, y: Tensor) -> list[tuple[float, float]]:
        return list(zip((x / SPAN * side).tolist(), ((1.9 - y) / 2.9 * side).tolist(), strict=True))

    draw.line(spots(x, target(x)), FAINT, 3)
    for a, b in spots(*points.T):
        draw.ellipse((a - 5, b - 5, a + 5, b + 5), DOT)
    draw.line(spots(x, y), CURVE, 5, joint="curve")
    return picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def draw_scores() -> Image.Image:
    return arrange([draw_plane(name, score_plane(name, SIDE)) for name in SCORES], 4)


def draw_plane(name: str, energies: Tensor) -> Panel:
    """Bands from the lowest to the highest energy, their edges are lines of equal energy; the query is a ring."""
    low, high = energies.aminmax()
    bands = ((energies - low) / (high - low) * 9 + 0.5).floor() / 9
    picture = shade(0.85 * bands, (1, 1)).convert("RGB")
    x, y = (QUERY[0] + 2) / 4 * SIDE, (2 - QUERY[1]) / 4 * SIDE
    ImageDraw.Draw(picture).ellipse((x - 5, y - 5, x + 5, y + 5), outline=CURVE, width=3)
    return Panel(f"{name}: {low:z.1f} to {high:z.1f}", picture)


def draw_alignments() -> Image.Image:
    energies = planted_energies()
    low, high = energies.aminmax()
    first = Panel("the energies", shade((energies - low) / (high - low), (7, 8)))
    return arrange([first, *(Panel(title, shade_weights(align_planted(title))) for title in ALIGNMENTS)], 3)


def draw_history() -> Image.Image:
    words = {"additive: every such letter": "additive", "location: the next such letter": "location"}
    things = {"additive: the most striking, each time": "additive", "coverage: what is left": "coverage"}
    read = [Panel(title, shade_weights(read_word(score), (32, 16)), WORD, WORD) for title, score in words.items()]
    said = [Panel(title, shade_weights(list_things(score), (32, 24)), "1234") for title, score in things.items()]
    return arrange(read + said, 2)


def draw_self_attention() -> Image.Image:
    whole, causal = look_at_itself(False), look_at_itself(True)
    maps = {"head 1: equal words": whole[0], "head 2: the word before": whole[1], "head 1, causal": causal[0]}
    panels = [Panel(title, shade_weights(weights, (44, 26)), SENTENCE, SENTENCE) for title, weights in maps.items()]
    return arrange(panels, 3)


DRAWINGS: dict[str, Callable[[], Image.Image]] = {
    "regression": draw_regression,
    "scores": draw_scores,
    "alignments": draw_alignments,
    "history": draw_history,
    "self-attention": draw_self_attention,
}

if __name__ == "__main__":
    main()
