"""Maps of a sound small enough to stand side by side: strips of time, downwards, beside the spectrogram."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from multimodal_attn.figures.alignment import shade_to_ink
from multimodal_attn.figures.overlay import pixels_to_cells, spread
from multimodal_attn.figures.spectrogram import spectrogram
from multimodal_attn.senses.sound.media import RATE, Sound
from multimodal_attn.trace import AttentionTrace

STRIP = (34, 132)  # pixels
PITCHES = 60  # pixels of the spectrogram across


def draw_maps(traces: Sequence[AttentionTrace], sound: Sound) -> tuple[list[Image.Image], list[list[Image.Image]]]:
    """The spectrogram, to be shown beside every trace, and for every trace a strip of each of its tokens."""
    levels = spectrogram(sound.samples, RATE, max_frames=2 * STRIP[1]).T / 255  # time downwards, low pitches left
    beside = shade_to_ink(levels**1.25).convert("RGB").resize((PITCHES, STRIP[1]), Image.Resampling.BILINEAR)
    return [beside] * len(traces), [draw_strips(trace) for trace in traces]


def draw_strips(trace: AttentionTrace) -> list[Image.Image]:
    """The weights of each token along time, downwards, its largest weight in full ink."""
    if not trace.weights.shape[1]:
        return []
    geometry, (width, height) = trace.geometry, STRIP
    end = geometry.start + geometry.n_places * geometry.step
    places = pixels_to_cells(height, geometry.seconds, geometry.start, end, geometry.n_places)
    weights = trace.weights.mean(1)  # (T, S)
    shade = weights / np.maximum(weights.max(1, keepdims=True), np.finfo(np.float32).tiny)
    columns = np.clip(spread(places, geometry.n_places, False) @ shade.T, 0, 1)  # (height, T)
    return [shade_to_ink(np.repeat(column[:, None], width, axis=1)).convert("RGB") for column in columns.T]
