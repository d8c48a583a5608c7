"""Framing: a picture of any size becomes the square that a CNN reads, and the part of it that was read is known."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from multimodal_attn.errors import ConfigError
from multimodal_attn.senses.picture.geometry import PictureGeometry

Box = tuple[float, float, float, float]
Fit = Literal["squash", "crop"]


@dataclass(frozen=True)
class Framing:
    """How a picture is brought to size x size pixels.

    Args:
        size: side of the square that the encoder reads, in pixels.
        fit: squash keeps the whole picture and gives up its aspect; crop keeps the aspect and reads the centre square.
    """

    size: int = 224
    fit: Fit = "squash"

    def __post_init__(self) -> None:
        if self.size < 1 or self.fit not in get_args(Fit):
            raise ConfigError(f"encoder: size starts at 1 and fit is one of {', '.join(get_args(Fit))}: {self}")

    def box(self, width: int, height: int) -> Box:
        """(left, top, right, bottom) of the part that is read, in pixels of a picture of width x height."""
        if self.fit == "squash":
            return 0.0, 0.0, float(width), float(height)
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        return left, top, left + side, top + side

    def frame(self, image: Image.Image) -> Tensor:
        """uint8 (3, size, size) of an RGB picture."""
        box = self.box(*image.size)
        if image.size != (self.size, self.size):
            image = image.resize((self.size, self.size), Image.Resampling.BILINEAR, box=box)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def at_look(frames: Tensor, look: float) -> Tensor:
    """uint8 frames (B, 3, size, size) as seen from nearer: the middle `look` of their sides, at the same size; below 0
    in a mirror."""
    size = frames.shape[-1]
    edge = round(size * (1 - abs(look)) / 2)
    seen = frames[..., edge : size - edge, edge : size - edge]
    if edge:
        seen = interpolate(seen.float(), (size, size), mode="bilinear", antialias=True).round().to(torch.uint8)
    return seen.flip(-1) if look < 0 else seen


def view_box(read: Box, size: int, view: Box) -> Box:
    """A rectangle `view` in pixels of the size x size input, in pixels of the picture whose part `read` was framed."""
    left, top, right, bottom = read
    across, down = (right - left) / size, (bottom - top) / size
    return left + view[0] * across, top + view[1] * down, left + view[2] * across, top + view[3] * down


@dataclass(frozen=True)
class PicturePlaces:
    """Where an encoder's places lie in any picture: rows x cols cells of stride x stride pixels of the framed square,
    the first centred on pixel position `start`, across and down. Small, so that processes which read pictures need no
    network."""

    framing: Framing
    rows: int
    cols: int
    start: tuple[float, float]
    stride: int

    @property
    def cells(self) -> tuple[np.ndarray, np.ndarray]:
        """The row, and the column, whose cells are nearest to each pixel of the square. (size,) each"""
        pixels = np.arange(self.framing.size) + 0.5
        across, down = ((pixels - first) / self.stride + 0.5 for first in self.start)
        return np.clip(down, 0, self.rows - 1).astype(int), np.clip(across, 0, self.cols - 1).astype(int)

    def geometry(self, width: int, height: int) -> PictureGeometry:
        """Of an upright picture of width x height pixels."""
        left, top = (first - self.stride / 2 for first in self.start)  # of the first cell
        view: Box = (left, top, left + self.cols * self.stride, top + self.rows * self.stride)
        box = view_box(self.framing.box(width, height), self.framing.size, view)
        return PictureGeometry(width, height, box, self.rows, self.cols)
