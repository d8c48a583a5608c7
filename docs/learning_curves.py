"""Draws one score of several training runs against the passes over the data: docs/figures/learning.png.

    python -m docs.learning_curves 'at once=runs/a/metrics.csv' 'phones first+8.6=runs/b/metrics.csv' --score val/wer

A number behind + says how many passes the run had had before, in another run.
"""

import argparse
import csv
import sys
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw

from multimodal_attn.errors import UserError
from multimodal_attn.figures.sheet import EDGE, FAINT, INK, NUMBER_SIZE, PAPER
from multimodal_attn.figures.text import load_font
from multimodal_attn.files import whole_file
from tasks.commands.outputs import check_not_read

SIZE, MARGINS = (720, 400), (56, 24, 24, 44)  # pixels; left, top, right, bottom
Points = list[tuple[float, float]]
COLOURS = ("#a54a00", "#3a5a8c", "#4a7a3a", "#7a4a8c")


class Axes(NamedTuple):
    """What lies across and upwards; `lines` are drawn at values from 0 to `most`, numbers `every` so many below."""

    across: str
    up: str
    most: float
    lines: dict[float, str]
    every: int


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw learning curves.")
    parser.add_argument("runs", nargs="+", metavar="NAME[+PASSES]=METRICS.CSV")
    parser.add_argument("--score", default="val/wer")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "figures" / "learning.png")
    options = parser.parse_args()
    check_not_read("--out", options.out, [Path(run.partition("=")[2]) for run in options.runs])
    if options.out.suffix != ".png":
        raise UserError(f"--out {options.out}: the curves are a PNG; end it in .png")
    shares = {tenth / 10: f"{10 * tenth} %" for tenth in range(0, 11, 2)}
    axes = Axes("passes over the data", options.score.removeprefix("val/").upper(), 1.0, shares, 10)
    curves = draw_curves(dict(read_run(run, options.score) for run in options.runs), axes)
    with whole_file(options.out) as file:
        curves.save(file, "PNG", optimize=True)


def read_run(text: str, score: str) -> tuple[str, Points]:
    """Name, and (passes, score) of every validation."""
    name, path = text.split("=", 1)
    name, _, before = name.partition("+")
    with open(path, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row.get(score)]
    return name, [(float(before or 0) + int(row["epoch"]) + 1, float(row[score])) for row in rows]


def draw_curves(curves: dict[str, Points], axes: Axes) -> Image.Image:
    """All in one frame; their names stand where none of them comes."""
    picture = Image.new("RGB", (2 * SIZE[0], 2 * SIZE[1]), PAPER)  # to be halved, for smooth lines
    draw, font = ImageDraw.Draw(picture), load_font(2 * NUMBER_SIZE, "a")
    left, top, right, bottom = (2 * margin for margin in MARGINS)
    width, height = picture.width - left - right, picture.height - top - bottom
    longest = max(x for points in curves.values() for x, _ in points)

    def spot(x: float, y: float) -> tuple[float, float]:
        return left + x / longest * width, top + (1 - y / axes.most) * height

    for y, name in axes.lines.items():
        draw.line([spot(0, y), spot(longest, y)], EDGE, 2)
        draw.text((left - 12, spot(0, y)[1]), name, FAINT, font, anchor="rm")
    for x in range(0, int(longest) + 1, axes.every):
        draw.text((spot(x, 0)[0], top + height + 12), str(x), FAINT, font, anchor="ma")
    draw.text((left + width, picture.height - 8), axes.across, FAINT, font, anchor="rb")
    draw.text((left, picture.height - 8), axes.up, INK, font, anchor="lb")
    for n, ((name, points), colour) in enumerate(zip(curves.items(), COLOURS, strict=False)):
        draw.line([spot(*point) for point in points], colour, 6, joint="curve")
        for x, y in (spot(*point) for point in points):
            draw.ellipse((x - 7, y - 7, x + 7, y + 7), colour)
        draw.text((left + width, top + 16 + 2.4 * NUMBER_SIZE * n), name, colour, font, anchor="ra")
    return picture.resize(SIZE, Image.Resampling.LANCZOS)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"learning_curves: {error}")
