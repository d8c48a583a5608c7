"""The figure of Xu et al. 2015: the photograph, then one panel per word that shows where the model looked."""

import math
from dataclasses import dataclass

from PIL import Image, ImageDraw

from multimodal_attn.figures.overlay import heat_over_picture, weights_to_heat
from multimodal_attn.figures.sheet import EDGE, FAINT, GAP, INK, NUMBER_SIZE, WORD_SIZE, FigureOptions, draw_sheet
from multimodal_attn.figures.text import load_font, printable, shorten
from multimodal_attn.trace import AttentionTrace, Token

LABEL, BASELINE = 44, 24  # pixels from a panel to the next below it and to the foot of its word
SHORTEST_SIDE = 20  # a panorama of 20,000 x 20 is drawn stretched rather than as a hairline
NARROWEST_CELL = 120  # room for a word under a tall, thin picture
FEWEST_COLUMNS = 4  # a sentence of three words keeps to one row
ASPECT = 1.5  # width to height that the panels together come close to


@dataclass(frozen=True)
class Layout:
    """Panels of `panel` (width, height) pixels row by row, each at the top left of a cell of `cell` pixels."""

    n_panels: int
    n_columns: int
    cell: tuple[int, int]
    panel: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of all panels with their labels."""
        n_rows = math.ceil(self.n_panels / self.n_columns)
        return self.n_columns * (self.cell[0] + GAP) - GAP, n_rows * self.cell[1]

    def corner(self, index: int) -> tuple[int, int]:
        """Top left of a panel from the top left of the first."""
        row, column = divmod(index, self.n_columns)
        return column * (self.cell[0] + GAP), row * self.cell[1]


def plan_layout(width: int, height: int, n_panels: int, panel_side: int) -> Layout:
    """The grid for panels of a picture of (width, height); its size depends on nothing but shape and number."""
    scale = panel_side / max(width, height)
    panel = max(round(width * scale), SHORTEST_SIDE), max(round(height * scale), SHORTEST_SIDE)
    cell = max(panel[0], NARROWEST_CELL), panel[1] + LABEL
    n_columns = math.ceil(math.sqrt(n_panels * ASPECT * cell[1] / (cell[0] + GAP)))
    n_rows = math.ceil(n_panels / max(n_columns, FEWEST_COLUMNS))
    return Layout(n_panels, math.ceil(n_panels / n_rows), cell, panel)  # no more columns than so many rows need


def render_picture(trace: AttentionTrace, picture: Image.Image, options: FigureOptions) -> Image.Image:
    """The figure as an RGB picture. `picture` is the upright RGB original at any size. A model without attention gives
    the picture, twice as large, and the caption."""
    has_maps = trace.weights.shape[1] > 0
    n_panels, side = (len(trace.tokens) + 1, options.panel_side) if has_maps else (1, 2 * options.panel_side)
    layout = plan_layout(trace.geometry.width, trace.geometry.height, n_panels, side)
    figure, (left, top) = draw_frame(trace.text, layout)
    photo = picture.resize(layout.panel, Image.Resampling.LANCZOS, reducing_gap=3)
    # a white picture would float on the paper
    ImageDraw.Draw(figure).rectangle((left - 1, top - 1, left + photo.width, top + photo.height), outline=EDGE)
    figure.paste(photo, (left, top))
    for token in range(n_panels - 1):
        x, y = layout.corner(token + 1)
        heat = weights_to_heat(trace, token, layout.panel, smooth=options.smooth)
        figure.paste(heat_over_picture(photo, heat), (left + x, top + y))
        draw_label(figure, trace.tokens[token], (left + x, top + y), layout)
    return figure


def draw_frame(text: str, layout: Layout) -> tuple[Image.Image, tuple[int, int]]:
    """A sheet for the layout with the caption on it, and the top left of its first panel."""
    width, height = layout.size
    return draw_sheet(text, width, height - (LABEL - GAP))  # the last label needs no distance from a next panel


def draw_label(figure: Image.Image, token: Token, corner: tuple[int, int], layout: Layout) -> None:
    """The token below its panel, and its probability where there is room."""
    word, number = printable(token.text), f"{token.probability:.0%}"
    word_font, number_font = load_font(WORD_SIZE, word), load_font(NUMBER_SIZE, number)
    word = shorten(word, word_font, layout.cell[0])
    draw, (left, right) = ImageDraw.Draw(figure), (corner[0], corner[0] + layout.panel[0])
    baseline = corner[1] + layout.panel[1] + BASELINE
    draw.text((left, baseline), word, INK, word_font, anchor="ls")
    if word_font.getlength(word) + GAP + number_font.getlength(number) <= layout.panel[0]:
        draw.text((right, baseline), number, FAINT, number_font, anchor="rs")
