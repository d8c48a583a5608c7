"""Batch norms that only read become part of the convolutions before them: the same maps in less time."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import fuse_conv_bn_eval

TOLERANCE = 1e-3  # of the largest number of a map


@torch.no_grad()
def fold_batch_norms(network: nn.Module, maps: Callable[[], list[Tensor]]) -> None:
    """In place, for a network in evaluation mode that is not trained any more. maps: what it gives for some input.

    A norm is taken to follow the convolution that stands before it. Where that is not so, which shows in the maps,
    the network stays as it was.
    """
    before, places = maps(), list(pairs(network))
    kept = [(parent, name, getattr(parent, name)) for parent, *names in places for name in names]
    for parent, conv, norm in places:
        old = getattr(parent, norm)
        setattr(parent, conv, fuse_conv_bn_eval(getattr(parent, conv), old))
        setattr(parent, norm, activation_of(old))
    if not all(map(agree, before, maps())):
        for parent, name, module in kept:
            setattr(parent, name, module)


def pairs(network: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """(parent, name, name) of every convolution and the batch norm of its width that stands behind it."""
    for parent in network.modules():
        children = list(parent.named_children())
        for (conv_name, conv), (norm_name, norm) in zip(children, children[1:], strict=False):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, _BatchNorm) and norm.num_features == conv.out_channels:
                yield parent, conv_name, norm_name


def activation_of(norm: nn.Module) -> nn.Module:
    """What a norm of timm does besides."""
    parts = [getattr(norm, name) for name in ("drop", "act") if hasattr(norm, name)]
    return nn.Sequential(*parts) if parts else nn.Identity()


def agree(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() <= TOLERANCE * one.abs().max())
