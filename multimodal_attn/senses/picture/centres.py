"""Where the places of a feature map look: the arithmetic of the convolutions and poolings that made it."""

from typing import NamedTuple

import torch
from timm.layers import Conv2dSame
from timm.layers.pool2d_same import AvgPool2dSame, MaxPool2dSame
from torch import Tensor, nn
from torch.func import functional_call

WINDOWS = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
TENSORFLOW = (Conv2dSame, MaxPool2dSame, AvgPool2dSame)  # padded by need, the odd pixel on the right and below


class Centre(NamedTuple):
    """Place i of the n along an axis is centred on pixel position start + i * stride of the input."""

    start: float
    stride: int
    n: int


class Seen(NamedTuple):
    """A window as it ran: the module, and the places along a side before and after it."""

    window: nn.Module
    before: int
    after: int


def map_centres(trunk: nn.Module, size: int) -> list[tuple[int, Centre]]:
    """(channels, centre) of every map that `trunk` gives for size x size pixels, without computing them.

    A stride-2 convolution padded by 1 on both sides is centred on even pixels, so after five of them the grid sits half
    a cell to the left and above the tiling that one would draw without looking; with TensorFlow's padding it sits as
    far to the right and below. Where something else than a window changes the grid, the tiling is taken.
    Raises ValueError where the maps are not square grids of channels (B, D, n, n).
    """
    seen, maps = _run(trunk, size)
    if any(each.dim() != 4 or each.shape[2] != each.shape[3] for each in maps):
        raise ValueError("its features are no square grid")
    known = _centres(seen, size)
    sides = [each.shape[3] for each in maps]
    tiled = [Centre(size / n / 2, round(size / n), n) for n in sides]
    centres = [known.get(n, even) for n, even in zip(sides, tiled, strict=True)]
    return [(each.shape[1], centre) for each, centre in zip(maps, centres, strict=True)]


def resampling(fine: Centre, coarse: Centre) -> Tensor:
    """What each place of a fine axis takes from those of a coarse one: linear between their centres. (n, n')"""
    at = (fine.start + torch.arange(fine.n, device="cpu") * fine.stride - coarse.start) / coarse.stride
    at = at.clamp(0, coarse.n - 1)
    return (1 - (at.unsqueeze(1) - torch.arange(coarse.n, device="cpu")).abs()).clamp_min(0)


def _run(trunk: nn.Module, size: int) -> tuple[list[Seen], list[Tensor]]:
    """The windows in the order in which they ran, and the maps, all on the meta device: shapes without numbers."""
    seen: list[Seen] = []

    def note(window: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.append(Seen(window, inputs[0].shape[-1], output.shape[-1]))

    handles = [module.register_forward_hook(note) for module in trunk.modules() if isinstance(module, WINDOWS)]
    try:
        state = {name: tensor.to("meta") for name, tensor in trunk.state_dict().items()}
        return seen, functional_call(trunk, state, (torch.empty(1, 3, size, size, device="meta"),))
    finally:
        for handle in handles:
            handle.remove()


def _centres(seen: list[Seen], size: int) -> dict[int, Centre]:
    """The centre of the last map with n places along a side, for every n on the way from the pixels.

    Shortcuts, and the averages of squeeze-and-excitation, start from a map that the path has left or not come to.
    """
    centre = Centre(0.5, 1, size)
    centres = {size: centre}
    for window, before, after in seen:
        if before == centre.n:
            reach = _first(getattr(window, "dilation", 1)) * (_first(window.kernel_size) - 1)
            step = _first(window.stride)
            shift = centre.stride * (reach / 2 - _padding(window, reach, step, before, after))
            centre = Centre(centre.start + shift, centre.stride * step, after)
            centres[after] = centre
    return centres


def _padding(window: nn.Module, reach: int, step: int, before: int, after: int) -> int:
    """Places that are added on the left."""
    if isinstance(window, TENSORFLOW):
        return max((after - 1) * step + reach + 1 - before, 0) // 2
    return reach // 2 if window.padding == "same" else _first(window.padding)


def _first(value: int | tuple[int, ...]) -> int:
    return value[0] if isinstance(value, tuple | list) else value
