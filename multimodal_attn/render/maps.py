"""Maps of any input small enough to stand side by side: a column of cells for every token, the first place on top."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from multimodal_attn.render.alignment import shade_to_ink
from multimodal_attn.trace import AttentionTrace

CELL = 20  # pixels
TALLEST = 600


def draw_maps(traces: Sequence[AttentionTrace], original: Any) -> tuple[list[Image.Image], list[list[Image.Image]]]:
    """(what is shown beside them: nothing, for every trace a map of each of its tokens), see `Sense.maps`."""
    maps = [list(map(draw_column, trace.weights.mean(1))) if trace.weights.shape[1] else [] for trace in traces]
    height = next((column[0].height for column in maps if column), CELL)
    return [Image.new("RGB", (1, height), "white")], maps


def draw_column(weights: np.ndarray) -> Image.Image:
    """Of weights (S,), the largest in full ink."""
    cell = max(min(CELL, TALLEST // len(weights)), 1)
    shade = weights / max(weights.max(), np.finfo(np.float32).tiny)
    return shade_to_ink(np.kron(shade[:, None], np.ones((cell, CELL)))).convert("RGB")
