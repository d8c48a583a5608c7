"""What is drawn of a sense that has no figure of its own: a column of cells for every token, the first place on top."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from multimodal_attn.figures.alignment import paste_framed, shade_to_ink
from multimodal_attn.figures.sheet import GAP, INK, NUMBER_SIZE, FigureOptions, draw_sheet
from multimodal_attn.figures.text import load_font, printable, shorten
from multimodal_attn.trace import AttentionTrace

CELL = 20  # pixels
TALLEST = 600
WIDTH = 60  # pixels of a token in the figure


def draw_maps(traces: Sequence[AttentionTrace], original: Any) -> tuple[list[Image.Image], list[list[Image.Image]]]:
    """(what is shown beside them: nothing, for every trace a map of each of its tokens), see `Sense.maps`."""
    maps = [list(map(draw_column, trace.weights.mean(1))) if trace.weights.shape[1] else [] for trace in traces]
    height = next((column[0].height for column in maps if column), CELL)
    return [Image.new("RGB", (1, height), "white")], maps


def draw_column(weights: np.ndarray) -> Image.Image:
    """Of weights (S,), the largest in full ink."""
    cell = max(min(CELL, TALLEST // len(weights)), 1)
    shade = weights / max(weights.max(), np.finfo(np.float32).tiny)
    return shade_to_ink(np.kron(shade[:, None], np.ones((cell, CELL)))).convert("RGB")


def render_places(trace: AttentionTrace, original: Any, options: FigureOptions) -> Image.Image:
    """The figure as an RGB picture, see `Sense.figure`: the sentence, and the column of each token over its name."""
    [columns] = draw_maps([trace], original)[1]
    height = max((column.height for column in columns), default=0)
    sheet, (left, top) = draw_sheet(trace.text, WIDTH * len(columns), height + GAP if columns else 0)
    for number, (token, column) in enumerate(zip(trace.tokens, columns, strict=False)):
        x, name = left + number * WIDTH, printable(token.text)
        paste_framed(sheet, column, (x + (WIDTH - CELL) // 2, top))
        font = load_font(NUMBER_SIZE, name)
        place = x + WIDTH // 2, top + height + GAP
        ImageDraw.Draw(sheet).text(place, shorten(name, font, WIDTH), INK, font, anchor="ms")
    return sheet
