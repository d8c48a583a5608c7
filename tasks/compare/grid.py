"""The picture of a comparison: a row for each mechanism, a column for each token of one sentence that all had to write.

A cell shows where the mechanism looked at that token, as the sense draws it: `Sense.maps`.
"""

from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw

from multimodal_attn.checkpoint import load_checkpoint
from multimodal_attn.errors import ConfigError
from multimodal_attn.figures.sheet import EDGE, FAINT, GAP, INK, MARGIN, NUMBER_SIZE, PAPER, WORD_SIZE, draw_sheet
from multimodal_attn.figures.text import load_font, printable, shorten
from multimodal_attn.files import whole_file
from multimodal_attn.model import Model, trace_sentences
from multimodal_attn.search import Hypotheses
from multimodal_attn.senses import sense_of
from multimodal_attn.tokens import UNKNOWN, text_to_ids
from multimodal_attn.trace import AttentionTrace, Origin
from tasks.cli import look_up

NAMES = 230  # pixels for the mechanisms' names
NARROWEST = 34  # pixels of a column


def draw_comparison(plan: Any, rows: Sequence[tuple[str, Path, str]], shown: str | None, sentence: str | None) -> None:
    """comparison.png in the plan's folder. rows: name, checkpoint folder, and a caption."""
    example, text = choose_input(plan, shown, sentence)
    models = [load_checkpoint(model)[0] for _, model, _ in rows]
    traces = [force_sentence(model, example.input, text) for model in models]
    labels = [(name, caption) for name, _, caption in rows]
    sense = sense_of(plan.base.encoder_config.sense)
    original = sense.original(sense.read(example.input, models[0]))
    beside, cells = look_up(sense.maps)(traces, original)
    figure = draw_grid(traces, labels, cells, beside)
    with whole_file(plan.out / "comparison.png") as file:
        figure.save(file, "PNG")


def check_shown(shown: str | None, sentence: str | None) -> None:
    """Raises ConfigError before anything is trained."""
    if shown and not shown.isdecimal():
        if not Path(shown).is_file():
            raise ConfigError(f"--shown: no file {shown}; name a photograph or sound, or count a validation example")
        if not sentence:
            raise ConfigError(f"--sentence: say what all are to write about {shown}")


def choose_input(plan: Any, shown: str | None, sentence: str | None) -> tuple[Any, str]:
    """What is shown, and what all must write about it: a file, or a validation example by number and its first
    sentence; else the first whose sentence is neither short nor long, and all known."""
    examples, tokenizer = plan.data.examples["val"], plan.shared.tokenizer
    if shown and not shown.isdecimal():
        return plan.data.example(Path(shown)), sentence
    if shown:
        example = examples[int(shown) % len(examples)]
        return example, sentence or example.texts[0]
    for example in examples:
        for text in example.texts:
            ids = text_to_ids(tokenizer, text)[:-1]
            if len(ids) in plan.data.shown and UNKNOWN not in ids:
                return example, sentence or text
    return examples[0], sentence or examples[0].texts[0]


@torch.inference_mode()
def force_sentence(model: Model, source: Any, text: str) -> AttentionTrace:
    """The trace of a model that is made to write `text` about an input."""
    sense = sense_of(model.encoder.sense)
    batch, geometries = sense.batch([sense.read(source, model)], model)
    tokens = torch.tensor([[text_to_ids(model.tokenizer, text)]])
    sentences = Hypotheses(tokens, torch.zeros(1, 1))
    return trace_sentences(model, model.read(batch), sentences, geometries, Origin())[0]


# -- drawing ----------------------------------------------------------------------------------------------------------


def draw_grid(
    traces: Sequence[AttentionTrace],
    labels: Sequence[tuple[str, str]],
    cells: Sequence[list[Image.Image]],
    beside: Sequence[Image.Image],
) -> Image.Image:
    """Names, the input beside the first rows, then the cells; tokens head the columns of the rows that share them."""
    apart, head = GAP // 4, WORD_SIZE + GAP
    height, first = beside[0].height, NAMES + GAP + beside[0].width + GAP
    width = max([row[0].width for row in cells if row], default=NARROWEST)
    n_columns = max(map(len, cells), default=0)
    sheet, (left, top) = draw_sheet(
        traces[0].text, first + n_columns * (width + apart), head + len(cells) * (height + GAP // 2) + NUMBER_SIZE
    )
    draw = ImageDraw.Draw(sheet)
    tokens: tuple[str, ...] = ()
    y = top + head
    for trace, label, row, given in zip_longest(traces, labels, cells, beside):
        own = tuple(token.text for token in trace.tokens)
        if row and not tokens:
            tokens = own
            draw_tokens(draw, tokens, left + first, width, apart, top + WORD_SIZE)
        draw_label(draw, label, (left, y), height)
        if given:
            paste(sheet, given, (left + NAMES + GAP, y))
        for column, panel in enumerate(row if own == tokens else []):
            paste(sheet, panel, (left + first + column * (width + apart), y))
        if not row or own != tokens:
            reason = "looks nowhere" if not row else "has other tokens"
            draw.text((left + first, y + height / 2), reason, FAINT, load_font(NUMBER_SIZE, reason), anchor="lm")
        y += height + GAP // 2
    note = "each map in shades from none to its own largest weight"
    draw.text((left, sheet.height - MARGIN), note, FAINT, load_font(NUMBER_SIZE, note), anchor="lb")
    return sheet


def draw_tokens(
    draw: ImageDraw.ImageDraw, tokens: Sequence[str], left: int, width: int, apart: int, baseline: int
) -> None:
    size = WORD_SIZE if width > 60 else NUMBER_SIZE
    for column, token in enumerate(map(printable, tokens)):
        font = load_font(size, token)
        draw.text((left + column * (width + apart), baseline), shorten(token, font, width), INK, font, anchor="ls")


def draw_label(draw: ImageDraw.ImageDraw, label: tuple[str, str], corner: tuple[int, int], height: int) -> None:
    """Name and caption of a row, in the middle of its height; options of a mechanism stand on lines of their own."""
    (name, *options), caption = label[0].split(" "), label[1]
    x, y = corner[0], corner[1] + height / 2 - WORD_SIZE * (1 + len(options)) / 2
    for line, (part, colour) in enumerate([(name, INK), *((option, INK) for option in options), (caption, FAINT)]):
        font = load_font(WORD_SIZE if not line else NUMBER_SIZE, part)
        draw.text((x, y + line * WORD_SIZE * 1.15), shorten(printable(part), font, NAMES), colour, font, anchor="lm")


def paste(sheet: Image.Image, panel: Image.Image, corner: tuple[int, int]) -> None:
    x, y = corner
    ImageDraw.Draw(sheet).rectangle((x - 1, y - 1, x + panel.width, y + panel.height), PAPER, EDGE)
    sheet.paste(panel, corner)
