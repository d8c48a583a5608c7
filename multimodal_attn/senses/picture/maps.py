"""Maps of a picture small enough to stand side by side: the picture under every token's heat."""

from collections.abc import Sequence

from PIL import Image

from multimodal_attn.figures.overlay import heat_over_picture, weights_to_heat
from multimodal_attn.trace import AttentionTrace

SIDE = 132  # pixels of the longer side
NARROWEST = 40


def draw_maps(
    traces: Sequence[AttentionTrace], picture: Image.Image
) -> tuple[list[Image.Image], list[list[Image.Image]]]:
    """The picture, to be shown once, and for every trace a map of each of its tokens."""
    scale = SIDE / max(picture.size)
    cell = max(round(picture.width * scale), NARROWEST), max(round(picture.height * scale), NARROWEST)
    photo = picture.resize(cell, Image.Resampling.LANCZOS)
    maps = [
        [heat_over_picture(photo, weights_to_heat(trace, token, cell)) for token in range(len(trace.tokens))]
        if trace.weights.shape[1]
        else []
        for trace in traces
    ]
    return [photo], maps
