"""The map of one token over the photograph: what was looked at keeps its light and colour, the rest steps back."""

import numpy as np
from PIL import Image

from multimodal_attn.trace import AttentionTrace

LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
SHADE = 0.45  # what is left of the light where no weight lies
GLOW = 0.3  # how far the highest weight is lifted towards white


def weights_to_heat(trace: AttentionTrace, token: int, size: tuple[int, int], *, smooth: bool = True) -> np.ndarray:
    """Weights of one token over a picture of `size` (width, height) that shows the whole upright original.

    Gives float32 (height, width) from 0 for no weight to 1 for the highest weight of this token; 0 beyond the part that
    was read. Smooth heat has the exact weight at the centre of each cell; otherwise cells are flat.
    """
    if not trace.weights.shape[1]:
        raise ValueError("a model without attention has no weights to show")
    geometry = trace.geometry
    left, top, right, bottom = geometry.box
    weights = trace.map(token)  # (rows, cols)
    across = pixels_to_cells(size[0], geometry.width, left, right, geometry.cols)
    down = pixels_to_cells(size[1], geometry.height, top, bottom, geometry.rows)
    heat = spread(down, geometry.rows, smooth) @ weights @ spread(across, geometry.cols, smooth).T
    return np.clip(heat / max(weights.max(), np.finfo(np.float32).tiny), 0, 1).astype(np.float32)


def pixels_to_cells(n_pixels: int, length: int, start: float, stop: float, n_cells: int) -> np.ndarray:
    """Where the centres of `n_pixels` equal pixels over `length` lie, counted in cells from `start`; (n_pixels,)."""
    centres = (np.arange(n_pixels) + 0.5) * length / n_pixels
    return (centres - start) / (stop - start) * n_cells


def spread(positions: np.ndarray, n_cells: int, smooth: bool) -> np.ndarray:
    """(P, n_cells) shares of each cell at P positions counted in cells; rows of zeros away from the cells."""
    # receptive fields can push the grid half a cell off the middle of what was read: the border cells reach that far
    inside = (positions >= -0.5) & (positions <= n_cells + 0.5)
    if smooth:
        between = np.clip(positions - 0.5, 0, n_cells - 1)  # counted from the centre of the first cell
        taps = np.arange(-1, n_cells + 1)
        edges = np.eye(n_cells)[np.clip(taps, 0, n_cells - 1)]  # the border cells stand in for those beyond
        shares = cubic(between[:, None] - taps) @ edges
    else:
        shares = np.eye(n_cells)[np.clip(np.floor(positions), 0, n_cells - 1).astype(int)]
    return shares * inside[:, None]


def cubic(distance: np.ndarray) -> np.ndarray:
    """Cubic convolution, eq. 15 of Keys 1981: 1 at distance 0, and 0 at every other whole distance."""
    t = np.abs(distance)
    near, far = (1.5 * t - 2.5) * t * t + 1, ((-0.5 * t + 2.5) * t - 4) * t + 2
    return np.where(t < 1, near, np.where(t < 2, far, 0.0))


def heat_over_picture(picture: Image.Image, heat: np.ndarray) -> Image.Image:
    """An RGB picture (width, height) under heat (height, width) from 0 to 1: a lamp over its darkened grey copy."""
    colour = np.asarray(picture, dtype=np.float32) / 255  # (h, w, 3)
    shaded = (colour @ LUMINANCE)[..., None] * SHADE
    lamp = heat[..., None]
    lit = colour + (1 - colour) * GLOW * lamp**2
    return Image.fromarray(np.rint((shaded + (lit - shaded) * lamp) * 255).astype(np.uint8))
