"""From a trace to pictures, without a browser."""

from multimodal_attn.render.figure import render_figure, save_figure
from multimodal_attn.render.overlay import heat_over_picture, weights_to_heat
from multimodal_attn.render.sheet import FigureOptions
from multimodal_attn.render.spectrogram import frame_seconds, spectrogram

__all__ = [
    "FigureOptions",
    "frame_seconds",
    "heat_over_picture",
    "render_figure",
    "save_figure",
    "spectrogram",
    "weights_to_heat",
]
