"""The paper that figures are drawn on: its colours and measures, and the sentence at its head."""

import math
from dataclasses import dataclass

from PIL import Image, ImageDraw

from multimodal_attn.figures.text import load_font, printable, wrap

PAPER, INK, FAINT, EDGE = "#ffffff", "#1b1b1f", "#85858e", "#e4e4e9"
MARGIN, GAP, LINE = 36, 20, 38  # pixels: around the figure, between its parts, from line to line of the sentence
SENTENCE_SIZE, WORD_SIZE, NUMBER_SIZE = 29, 20, 14
SENTENCE_WIDTH = 620  # a sentence may be wider than what is below it, up to here


@dataclass(frozen=True)
class FigureOptions:
    """panel_side: longer side of a picture's panels in pixels. smooth: interpolate between the places of the map."""

    panel_side: int = 256
    smooth: bool = True


def draw_sheet(text: str, width: int, height: int) -> tuple[Image.Image, tuple[int, int]]:
    """A sheet with the sentence on it and room for (width, height) pixels below, and the top left of that room."""
    text = printable(text)
    font = load_font(SENTENCE_SIZE, text)
    width = max(width, min(SENTENCE_WIDTH, math.ceil(font.getlength(text))))
    lines = wrap(text, font, width) if text else []
    top = MARGIN + len(lines) * LINE + (GAP if lines else 0)
    sheet = Image.new("RGB", (width + 2 * MARGIN, top + height + MARGIN), PAPER)
    for number, line in enumerate(lines):
        ImageDraw.Draw(sheet).text((MARGIN, MARGIN + number * LINE), line, INK, font)
    return sheet, (MARGIN, top)
