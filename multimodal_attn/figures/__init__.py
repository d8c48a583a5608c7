"""From a trace to pictures, without a browser."""

from multimodal_attn.figures.figure import figure_to_png, is_figure, render_figure, save_figure
from multimodal_attn.figures.overlay import heat_over_picture, weights_to_heat
from multimodal_attn.figures.sheet import FigureOptions
from multimodal_attn.figures.spectrogram import frame_seconds, spectrogram

__all__ = [
    "FigureOptions",
    "figure_to_png",
    "frame_seconds",
    "heat_over_picture",
    "is_figure",
    "render_figure",
    "save_figure",
    "spectrogram",
    "weights_to_heat",
]
