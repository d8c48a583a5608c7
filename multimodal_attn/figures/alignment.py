"""The figure of Chorowski et al. 2015: tokens down, time across, the spectrogram above on the same axis. Grey on white,
so that it prints."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from multimodal_attn.figures.overlay import spread
from multimodal_attn.figures.sheet import EDGE, FAINT, GAP, INK, NUMBER_SIZE, FigureOptions, draw_sheet
from multimodal_attn.figures.spectrogram import frame_seconds, spectrogram
from multimodal_attn.figures.text import load_font, printable, shorten
from multimodal_attn.senses.sound.media import RATE, Sound
from multimodal_attn.trace import AttentionTrace, Word

PIXELS_PER_SECOND, NARROWEST, WIDEST = 120, 620, 1600  # of the time axis
PITCHES = 150  # pixels from the lowest to the highest
AXIS = 24  # pixels for the seconds below
TALLEST_ROW, TALLEST_ROWS = 24, 900  # pixels of one token, and of all together where that leaves each at least one
WORDS = 26  # pixels for the words above the spectrogram
GUTTER = 150  # pixels at most for the words beside the rows
STEPS = (0.001, 0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)  # seconds from tick to tick
NEAREST_TICKS = 56  # pixels


@dataclass(frozen=True)
class Axis:
    """Seconds from `start` on, `seconds` of them, over `width` pixels from `left` on."""

    start: float
    seconds: float
    left: int
    width: int

    def x(self, second: float) -> int:
        return self.left + round((second - self.start) / self.seconds * self.width)

    def centres(self) -> np.ndarray:
        """(width,) seconds at the middle of every pixel."""
        return self.start + (np.arange(self.width) + 0.5) * self.seconds / self.width


def render_sound(trace: AttentionTrace, sound: Sound, options: FigureOptions) -> Image.Image:
    """The figure as an RGB picture. The axis is that of `sound`, which may be a piece of a longer recording. A model
    without attention gives the spectrogram and the words."""
    seconds = max(sound.seconds, 1 / RATE)
    words = trace.words or tokens_as_words(trace)
    n_rows = len(trace.tokens) if trace.weights.shape[1] else 0
    row = max(min(TALLEST_ROW, TALLEST_ROWS // max(n_rows, 1)), 1)
    gutter = measure_gutter(words) if n_rows else 0
    width = round(min(max(seconds * PIXELS_PER_SECOND, NARROWEST), WIDEST))
    height = WORDS + PITCHES + (GAP // 2 + n_rows * row if n_rows else 0) + AXIS
    figure, (left, top) = draw_sheet(trace.text, gutter + width, height)
    axis = Axis(sound.start, seconds, left + gutter, width)
    paste_framed(figure, draw_pitches(sound, width), (axis.left, top + WORDS))
    draw_words(figure, trace.words, axis, top)
    bottom = top + WORDS + PITCHES
    if n_rows:
        rows = axis.left, bottom + GAP // 2
        paste_framed(figure, draw_rows(trace, axis, row, options.smooth), rows)
        draw_row_labels(figure, words, rows, row, gutter, width)
        bottom = rows[1] + n_rows * row
    draw_axis(figure, axis, bottom)
    return figure


def tokens_as_words(trace: AttentionTrace) -> tuple[Word, ...]:
    return tuple(Word(token.text, i, i + 1, 0.0, 0.0) for i, token in enumerate(trace.tokens))


def paste_framed(figure: Image.Image, panel: Image.Image, corner: tuple[int, int]) -> None:
    left, top = corner
    ImageDraw.Draw(figure).rectangle((left - 1, top - 1, left + panel.width, top + panel.height), outline=EDGE)
    figure.paste(panel, corner)


def shade_to_ink(shade: np.ndarray) -> Image.Image:
    """Grey picture of shades (height, width) from 0 for the paper to 1 for the ink."""
    return Image.fromarray(np.rint(255 - shade * (255 - 0x1B)).astype(np.uint8))


def draw_pitches(sound: Sound, width: int) -> Image.Image:
    """The spectrogram, louder is darker, `width` pixels for exactly the length of the sound."""
    levels = spectrogram(sound.samples, RATE, max_frames=2 * width)[::-1] / 255  # low pitches at the bottom
    n_shown = sound.seconds / frame_seconds(len(sound.samples), RATE, max_frames=2 * width)  # the last may reach beyond
    picture = shade_to_ink(levels**1.25)
    box = (0, 0, min(max(n_shown, 0.01), picture.width), picture.height)
    return picture.resize((width, PITCHES), Image.Resampling.BILINEAR, box=box)


def draw_rows(trace: AttentionTrace, axis: Axis, row: int, smooth: bool) -> Image.Image:
    """The weights of each token along time, its largest weight in full ink; rows of `row` pixels."""
    weights, step = trace.weights.mean(1), trace.geometry.step  # (T, S)
    join = math.ceil(axis.seconds / axis.width / step)  # places per pixel: no weight may fall between two
    weights = np.maximum.reduceat(weights, np.arange(0, weights.shape[1], join), axis=1)
    places = (axis.centres() - trace.geometry.start) / (step * join)
    shares = spread(places, weights.shape[1], smooth)  # (width, S)
    most = np.maximum(weights.max(1, keepdims=True), np.finfo(np.float32).tiny)
    shade = np.clip((weights / most) @ shares.T, 0, 1)  # (T, width)
    return shade_to_ink(np.repeat(shade, row, axis=0))


def measure_gutter(words: Sequence[Word]) -> int:
    """Pixels for the longest word beside the rows."""
    texts = [printable(word.text) for word in words]
    lengths = [load_font(NUMBER_SIZE, text).getlength(text) for text in texts]
    return min(math.ceil(max(lengths, default=0)), GUTTER) + GAP // 2


def draw_row_labels(
    figure: Image.Image, words: Sequence[Word], corner: tuple[int, int], row: int, gutter: int, width: int
) -> None:
    """Each word beside the rows of its tokens, where it has room, and hairlines between words."""
    draw, (left, top), free = ImageDraw.Draw(figure), corner, 0.0
    for word in words:
        first, middle = top + word.first * row, top + (word.first + word.last) * row / 2
        if word.first and (word.last - word.first) * row >= NUMBER_SIZE / 2:
            draw.line((left, first, left + width - 1, first), EDGE)
        if middle - NUMBER_SIZE / 2 < free:
            continue
        font = load_font(NUMBER_SIZE, word.text)
        text = shorten(printable(word.text), font, gutter - GAP // 2)
        draw.text((left - GAP // 2, middle), text, INK, font, anchor="rm")
        free = middle + NUMBER_SIZE / 2


def draw_words(figure: Image.Image, words: Sequence[Word], axis: Axis, top: int) -> None:
    """Each word above the spectrogram where it begins, if it has room, and a tick there in any case."""
    draw, free = ImageDraw.Draw(figure), 0.0
    for word in words:
        x, text = axis.x(word.start), printable(word.text)
        draw.line((x, top + WORDS - 6, x, top + WORDS - 2), FAINT)
        font = load_font(NUMBER_SIZE, text)
        if x >= free and x + font.getlength(text) <= axis.left + axis.width:
            draw.text((x, top + WORDS - 9), text, INK, font, anchor="ls")
            free = x + font.getlength(text) + GAP / 4


def draw_axis(figure: Image.Image, axis: Axis, top: int) -> None:
    """Ticks and seconds below `top`."""
    draw, font = ImageDraw.Draw(figure), load_font(NUMBER_SIZE, "0 s")
    for number, second in enumerate(ticks(axis)):
        x = min(axis.x(second), axis.left + axis.width - 1)
        draw.line((x, top + 1, x, top + 5), FAINT)
        draw.text((x, top + 9), f"{second:g}" + ("" if number else " s"), FAINT, font, anchor="mt")


def ticks(axis: Axis) -> list[float]:
    """Round seconds of the whole recording, far enough apart for their numbers."""
    apart = axis.seconds * NEAREST_TICKS / axis.width
    step = next((step for step in STEPS if step >= apart), STEPS[-1])
    first, last = math.ceil(axis.start / step - 1e-6), math.floor((axis.start + axis.seconds) / step + 1e-6)
    return [round(number * step, 3) for number in range(first, last + 1)]
