"""Where the places of a memory lie in the original picture."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np


@dataclass(frozen=True)
class PictureGeometry:
    """A grid of `rows` x `cols` equal cells laid over a picture.

    width, height: size of the upright original picture (EXIF rotation applied), in pixels.
    box: (left, top, right, bottom) of the rectangle that the grid tiles, in pixels of that picture. It is the crop that
        the encoder saw, moved by the offset of its receptive fields; so it may reach past the picture's edges.
    """

    width: int
    height: int
    box: tuple[float, float, float, float]
    rows: int
    cols: int

    kind, ordered = "picture", False

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows, self.cols

    @property
    def n_places(self) -> int:
        return self.rows * self.cols

    @property
    def parts(self) -> Sequence[int]:
        return range(self.n_places)

    def cell(self, place: int) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) of one place in pixels; places count row by row from the top left."""
        if not 0 <= place < self.n_places:
            raise IndexError(f"place {place} is not on a {self.rows} x {self.cols} grid")
        left, top, right, bottom = self.box
        row, col = divmod(place, self.cols)
        width, height = (right - left) / self.cols, (bottom - top) / self.rows
        return left + col * width, top + row * height, left + (col + 1) * width, top + (row + 1) * height

    def place_at(self, x: float, y: float) -> int:
        """The place whose cell holds the pixel position (x, y); positions outside the box go to the nearest cell."""
        left, top, right, bottom = self.box
        col = int(np.clip((x - left) / (right - left) * self.cols, 0, self.cols - 1))
        row = int(np.clip((y - top) / (bottom - top) * self.rows, 0, self.rows - 1))
        return row * self.cols + col

    def centre(self, weights: np.ndarray) -> tuple[float, float]:
        """Centre of mass (x, y) in pixels of weights (S,) over the places."""
        cells = np.array([self.cell(place) for place in range(self.n_places)])  # (S, 4)
        share = np.asarray(weights, float) / np.sum(weights)
        return float(share @ (cells[:, 0] + cells[:, 2]) / 2), float(share @ (cells[:, 1] + cells[:, 3]) / 2)

    def to_dict(self) -> dict:
        return {"kind": self.kind, **asdict(self), "box": list(self.box)}

    @classmethod
    def from_dict(cls, data: dict) -> "PictureGeometry":
        return cls(data["width"], data["height"], tuple(data["box"]), data["rows"], data["cols"])

    def left_out(self, first: int, last: int) -> str:
        return ""  # a sentence need not tell everything that a picture shows

    @classmethod
    def join(cls, parts: Sequence["PictureGeometry"]) -> tuple["PictureGeometry", list[int]]:
        raise ValueError("a picture is read whole and has no pieces to join")


GEOMETRY = PictureGeometry
