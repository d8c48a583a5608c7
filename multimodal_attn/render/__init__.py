"""From a trace to pictures, without a browser."""

from multimodal_attn.render.figure import FigureOptions, render_figure, save_figure
from multimodal_attn.render.overlay import heat_over_picture, weights_to_heat

__all__ = ["FigureOptions", "heat_over_picture", "render_figure", "save_figure", "weights_to_heat"]
