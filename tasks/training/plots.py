"""The curves of a run in one picture: every column of metrics.csv against the step."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from multimodal_attn.figures.sheet import EDGE, FAINT, GAP, INK, MARGIN, NUMBER_SIZE, draw_sheet
from multimodal_attn.figures.text import load_font, shorten

Points = Sequence[tuple[float, float]]
WIDTH, HEIGHT, TITLE = 300, 130, 22  # pixels of a panel, and above it
N_COLUMNS = 3
LINE, FEW = "#3a5a8c", 20  # so few points are shown as such


def read_curves(path: Path) -> dict[str, Points]:
    """The curves of a metrics.csv: (step, value) under each column's name; columns without a number are left out."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = sorted(set(rows[0] if rows else ()) - {"step", "epoch"})
    curves = {name: [(float(row["step"]), float(row[name])) for row in rows if row[name]] for name in names}
    return {name: points for name, points in curves.items() if points}


def draw_curves(curves: Mapping[str, Points]) -> Image.Image:
    """A panel for each curve, all from step 0 to the last one, each from its lowest value to its highest."""
    last = max((step for points in curves.values() for step, _ in points), default=0) or 1
    n_rows = -(-len(curves) // N_COLUMNS)
    step_x, step_y = WIDTH + GAP, TITLE + HEIGHT + GAP
    sheet, (left, top) = draw_sheet("", N_COLUMNS * step_x - GAP, n_rows * step_y)
    for number, (name, points) in enumerate(curves.items()):
        row, column = divmod(number, N_COLUMNS)
        draw_panel(sheet, (left + column * step_x, top + row * step_y), name, points, last)
    draw = ImageDraw.Draw(sheet)
    draw.text((sheet.width - MARGIN, sheet.height - 10), f"to step {last:g}", FAINT, load_font(NUMBER_SIZE, "a"), "rb")
    return sheet


def draw_panel(sheet: Image.Image, corner: tuple[int, int], name: str, points: Points, last: float) -> None:
    draw, font, (x, y) = ImageDraw.Draw(sheet), load_font(NUMBER_SIZE, "a"), corner
    values = [value for _, value in points]
    low, high = min(values), max(values)
    span = high - low or 1.0
    draw.text((x, y + TITLE - 6), shorten(name, font, WIDTH - 60), INK, font, "ls")
    draw.text((x + WIDTH, y + TITLE - 6), f"{values[-1]:.4g}", LINE, font, "rs")
    draw.rectangle((x, y + TITLE, x + WIDTH, y + TITLE + HEIGHT), outline=EDGE)

    def spot(step: float, value: float) -> tuple[float, float]:
        return x + 4 + step / last * (WIDTH - 8), y + TITLE + HEIGHT - 4 - (value - low) / span * (HEIGHT - 8)

    spots = [spot(*point) for point in points]
    draw.line(spots, LINE, 2, "curve")
    for at in spots if len(spots) <= FEW else ():
        draw.ellipse((at[0] - 3, at[1] - 3, at[0] + 3, at[1] + 3), LINE)
    draw.text((x + 6, y + TITLE + 4), f"{high:.4g}", FAINT, font, "lt")
    draw.text((x + 6, y + TITLE + HEIGHT - 4), f"{low:.4g}", FAINT, font, "lb")
