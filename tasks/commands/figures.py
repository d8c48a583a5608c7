"""Figures of a batch: the attention of each input drawn into a PNG as it passes."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from multimodal_attn.errors import MediaError, UserError
from multimodal_attn.figures import figure_to_png, render_figure
from multimodal_attn.files import printable
from multimodal_attn.predictor import Item, Predictor, Segment
from multimodal_attn.senses import sense_of
from multimodal_attn.trace import AttentionTrace
from tasks.commands.inputs import Input
from tasks.commands.outputs import Choice, Outputs, has_ending

FIRST_FIGURES = (".png", ".001.png")  # of an input: one of them is there when it was drawn


def place_figures(folder: Path | None, choice: Choice, named: Sequence[Path]) -> Outputs | None:
    """Where figures go, None if nowhere. Raises UserError where they must not."""
    return place_folder("--pictures", folder, choice, named)


def place_folder(option: str, folder: Path | None, choice: Choice, named: Sequence[Path]) -> Outputs | None:
    if folder is None:
        return None
    if has_ending(folder) and not folder.is_dir():
        raise UserError(f"{option} {printable(folder)} is named like a file; name a folder")
    return Outputs(folder, named, choice)


def draw_figures(
    figures: Outputs, predictor: Predictor, segments: Iterable[tuple[Input, Segment]]
) -> Iterator[tuple[Input, Segment]]:
    """The segments, each drawn into a PNG as it passes: talk.png, or talk.001.png and so on where there are several."""
    items, n_drawn = None, 0
    for input, segment in segments:
        if isinstance(segment.result, AttentionTrace):
            # read once more: to keep the pictures or sounds of a whole batch would take more memory than the model
            items, n_drawn = items or predictor.pieces(segment.source), n_drawn + 1
            number = "" if segment.last and n_drawn == 1 else f".{n_drawn:03}"
            try:
                figures.put(input, f"{number}.png", draw(segment, next(items)))
            except MediaError as error:  # the file has gone meanwhile
                figures.problems.append(f"no figure of {error}")
        if segment.last:
            items, n_drawn = None, 0
        yield input, segment


def draw(segment: Segment, item: Item) -> bytes:
    original = sense_of(segment.result.geometry.kind).original(item)
    return figure_to_png(render_figure(segment.result, original))
