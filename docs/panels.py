"""A sheet of titled panels, in the paper and ink of the project's other figures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from multimodal_attn.figures.alignment import paste_framed, shade_to_ink
from multimodal_attn.figures.sheet import FAINT, GAP, INK, MARGIN, NUMBER_SIZE, draw_sheet
from multimodal_attn.figures.text import load_font

TITLE, LABELS = 24, 20  # pixels above a panel, and below one with labels


@dataclass(frozen=True)
class Panel:
    """A picture with a title above, and with labels beside its rows and below its columns where it has any."""

    title: str
    picture: Image.Image
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()


def shade(numbers: Tensor, cell: tuple[int, int]) -> Image.Image:
    """Grey cells of (width, height) pixels for numbers (rows, columns) from 0, white, to 1, black."""
    return shade_to_ink(np.kron(numbers.numpy(), np.ones(cell[::-1])))


def shade_weights(weights: Tensor, cell: tuple[int, int] = (7, 8)) -> Image.Image:
    """A map of weights (T, S); by the square root, so that small weights are seen beside large ones."""
    return shade(weights.clamp(0, 1).sqrt(), cell)


def arrange(panels: Sequence[Panel], n_columns: int) -> Image.Image:
    """Panels of one size, row by row."""
    width, height = panels[0].picture.size
    font = load_font(NUMBER_SIZE, "a")
    beside = max((round(font.getlength(label)) + 8 for panel in panels for label in panel.rows), default=0)
    below = LABELS if any(panel.columns for panel in panels) else 0
    step_x, step_y = beside + width + GAP, TITLE + height + below + GAP // 2
    n_rows = -(-len(panels) // n_columns)
    sheet, (left, top) = draw_sheet("", n_columns * step_x - GAP, n_rows * step_y - GAP // 2)
    for number, panel in enumerate(panels):
        row, column = divmod(number, n_columns)
        draw_panel(sheet, panel, (left + column * step_x + beside, top + row * step_y + TITLE))
    return sheet.crop((MARGIN // 2, MARGIN // 2, sheet.width - MARGIN // 2, sheet.height - MARGIN // 2))


def draw_panel(sheet: Image.Image, panel: Panel, corner: tuple[int, int]) -> None:
    draw, font, (x, y) = ImageDraw.Draw(sheet), load_font(NUMBER_SIZE, "a"), corner
    width, height = panel.picture.size
    paste_framed(sheet, panel.picture, corner)
    draw.text((x, y - 7), panel.title, INK, font, anchor="ls")
    for number, label in enumerate(panel.rows):
        draw.text((x - 6, y + (number + 0.5) * height / len(panel.rows)), label, FAINT, font, anchor="rm")
    for number, label in enumerate(panel.columns):
        draw.text((x + (number + 0.5) * width / len(panel.columns), y + height + 3), label, FAINT, font, anchor="ma")
