"""Position codes: self-attention sees a set of places, so each place is told where it is.

x = positions(x)                   codes of the places 0, 1, ... added to x (..., L, D)
x = positions(x, start)            of the places from `start` on
x = GridPositions(...)(x)          codes of the cells of a grid added to x (..., rows * cols, D), row by row
"""

import math

import torch
from torch import Tensor, nn

from multimodal_attn.errors import ConfigError

LONGEST = 512  # places that learned codes can tell apart


def sinusoids(places: Tensor, dim: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Sine and cosine in turn, with wavelengths from 2 pi to 10000 * 2 pi (Vaswani et al. 2017, section 3.5).

    places (...), any numbers -> (..., dim). In single precision at least, and only then rounded to `dtype`.
    """
    wide = torch.promote_types(dtype, torch.float32)
    pairs = torch.arange(0, dim, 2, device=places.device, dtype=wide)
    angles = places.to(wide).unsqueeze(-1) * torch.exp(pairs * (-math.log(10_000) / dim))
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(-2)[..., :dim].to(dtype)


class Sinusoidal(nn.Module):
    """Fixed codes for sequences of any length, without parameters."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        places = torch.arange(start, start + x.shape[-2], device=x.device)
        return x + sinusoids(places, self.dim, x.dtype)


class Learned(nn.Module):
    """One vector per place, learned (Gehring et al. 2017, section 3.1). Raises ConfigError past the last one."""

    def __init__(self, dim: int, n_places: int = LONGEST) -> None:
        super().__init__()
        self.codes = nn.Parameter(torch.empty(n_places, dim))
        nn.init.normal_(self.codes, std=0.5**0.5)  # as loud as sinusoids

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        end = start + x.shape[-2]
        if end > len(self.codes):
            raise ConfigError(f"positions: learned ones end at {len(self.codes)}; for more take sinusoidal ones")
        return x + self.codes[start:end].to(x.dtype)


POSITIONS: dict[str, type[nn.Module]] = {"sinusoidal": Sinusoidal, "learned": Learned}


def build_positions(kind: str, dim: int) -> nn.Module:
    """Codes for a sequence. Raises ConfigError for an unknown kind."""
    return _find(kind)(dim)


class GridPositions(nn.Module):
    """A cell's code is the sum of its row's and its column's.

    Sinusoids fill one half of the features each, or the sum would not tell row 2, column 3 from row 3, column 2.
    Learned codes differ by themselves, and have the whole width.
    """

    def __init__(self, kind: str, dim: int, rows: int, cols: int) -> None:
        super().__init__()
        self.grid = rows, cols
        if _find(kind) is Learned:
            self.rows, self.cols = Learned(dim, rows), Learned(dim, cols)
            self.widths = dim, dim
        else:
            self.rows, self.cols = Sinusoidal(dim // 2), Sinusoidal(dim - dim // 2)
            self.widths = dim // 2, dim - dim // 2
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """x (..., rows * cols, D)"""
        by_row, by_col = (
            positions(x.new_zeros(n, width))
            for positions, n, width in zip((self.rows, self.cols), self.grid, self.widths, strict=True)
        )
        by_row = nn.functional.pad(by_row, (0, self.dim - self.widths[0]))
        by_col = nn.functional.pad(by_col, (self.dim - self.widths[1], 0))
        return x + (by_row.unsqueeze(1) + by_col).flatten(0, 1)


def _find(kind: str) -> type[nn.Module]:
    if kind not in POSITIONS:
        raise ConfigError(f"positions: none are called {kind!r}; choose one of {', '.join(POSITIONS)}")
    return POSITIONS[kind]
