"""The figure of Bahdanau et al. 2015: the source across, what was made of it down, a cell as dark as its weight."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from multimodal_attn.figures.alignment import paste_framed, shade_to_ink
from multimodal_attn.figures.sheet import EDGE, FAINT, GAP, INK, NUMBER_SIZE, PAPER, FigureOptions, draw_sheet
from multimodal_attn.figures.text import lacking_letters, load_font, printable, shorten
from multimodal_attn.senses.text.geometry import TextGeometry
from multimodal_attn.senses.text.media import Text
from multimodal_attn.trace import AttentionTrace
from multimodal_attn.trace.times import WORD_MARKS

CELL, WIDEST = 26, 2400  # pixels of a cell, and of all of a row together where that leaves each at least one
GUTTER = 150  # pixels at most for the words beside the cells and above them
NO_FONT = "Some letters have no font here; install Noto Sans CJK, or one that has them."


def render_text(trace: AttentionTrace, source: Text, options: FigureOptions) -> Image.Image:
    """The figure as an RGB picture, below it a matrix of the source by itself for each map of self-attention that the
    trace holds. A model without attention gives the two sentences."""
    across, down = source_names(trace.geometry), [token.text.strip(WORD_MARKS) for token in trace.tokens]
    maps = trace.weights.mean(1) if trace.weights.shape[1] else np.zeros((0, len(across)), np.float32)
    figure = draw_matrix(trace.text, source.text, across, down, maps)
    own = [
        draw_matrix(f"self-attention {layer}.{head}", source.text, across, across, weights)
        for look in trace.self_attention
        for (layer, head), weights in zip(look.heads, look.weights, strict=True)
    ]
    return stack([figure, *own])


def stack(figures: Sequence[Image.Image]) -> Image.Image:
    """One below the other."""
    sheet = Image.new("RGB", (max(each.width for each in figures), sum(each.height for each in figures)), PAPER)
    for n, figure in enumerate(figures):
        sheet.paste(figure, (0, sum(each.height for each in figures[:n])))
    return sheet


def draw_matrix(
    title: str, source: str, across: Sequence[str], down: Sequence[str], weights: np.ndarray
) -> Image.Image:
    """Weights (T, S) between the names of their rows and of their columns, the pieces of `source`."""
    if not (len(weights) and down and across):
        return draw_sheet(f"{source} \u2192 {title}", 1, 1)[0]
    cell = max(min(CELL, WIDEST // max(len(across), len(down))), 1)
    left, head = gutter_of(down), gutter_of(across)
    lacks = any(lacking_letters(load_font(NUMBER_SIZE, text), text) for text in map(printable, (source, title)))
    width, height = left + len(across) * cell, head + len(down) * cell + (GAP + NUMBER_SIZE) * lacks
    figure, (x, y) = draw_sheet(title, width, height)
    corner = x + left, y + head
    paste_framed(figure, draw_cells(weights, cell), corner)
    if cell >= NUMBER_SIZE:
        draw_beside(figure, down, corner, cell)
        draw_above(figure, across, corner, cell, head)
    if lacks:
        ImageDraw.Draw(figure).text((x, y + height), NO_FONT, FAINT, load_font(NUMBER_SIZE, NO_FONT), anchor="ls")
    return figure


def source_names(geometry: TextGeometry) -> list[str]:
    """What stands at every place; the bytes of one letter show it once."""
    spans = [None, *geometry.spans]
    return ["" if spans[n] == spans[n + 1] else geometry.piece(n) for n in range(geometry.n_places)]


def gutter_of(names: Sequence[str]) -> int:
    """Pixels for the longest of the names and the gap behind it."""
    lengths = (load_font(NUMBER_SIZE, name).getlength(printable(name)) for name in names)
    return min(math.ceil(max(lengths, default=0)), GUTTER) + GAP // 2


def draw_cells(weights: np.ndarray, cell: int) -> Image.Image:
    """weights (T, S), each row's largest in full ink, a square of `cell` pixels each."""
    most = np.maximum(weights.max(1, keepdims=True), np.finfo(np.float32).tiny)
    picture = shade_to_ink(np.kron(weights / most, np.ones((cell, cell)))).convert("RGB")
    if cell >= NUMBER_SIZE:
        draw = ImageDraw.Draw(picture)
        for x in range(cell, picture.width, cell):
            draw.line((x, 0, x, picture.height), EDGE)
        for y in range(cell, picture.height, cell):
            draw.line((0, y, picture.width, y), EDGE)
    return picture


def draw_beside(figure: Image.Image, names: Sequence[str], corner: tuple[int, int], cell: int) -> None:
    draw, (left, top) = ImageDraw.Draw(figure), corner
    for row, name in enumerate(map(printable, names)):
        font = load_font(NUMBER_SIZE, name)
        place = left - GAP // 2, top + (row + 0.5) * cell
        draw.text(place, shorten(name, font, GUTTER), INK, font, anchor="rm")


def draw_above(figure: Image.Image, names: Sequence[str], corner: tuple[int, int], cell: int, head: int) -> None:
    """Each name above its column, read from below."""
    for column, name in enumerate(map(printable, names)):
        font = load_font(NUMBER_SIZE, name)
        strip = Image.new("RGB", (head, cell), "white")
        ImageDraw.Draw(strip).text((GAP // 4, cell / 2), shorten(name, font, head - GAP // 2), INK, font, anchor="lm")
        figure.paste(strip.rotate(90, expand=True), (corner[0] + column * cell, corner[1] - head - 1))
