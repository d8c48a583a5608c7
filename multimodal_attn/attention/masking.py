"""Normalising under a mask, once, in one place."""

import torch
from torch import Tensor
from torch.nn.functional import pad


def masked_softmax(energies: Tensor, mask: Tensor | None) -> Tensor:
    """Softmax over the last axis of energies (..., S); masked places get exactly 0, a row without a real place zeros.

    mask broadcasts to energies, True = keep; None keeps all.
    """
    if mask is None:
        return energies.softmax(-1)
    return hide(energies, mask).softmax(-1).masked_fill(~mask, 0.0)


def masked_log_softmax(energies: Tensor, mask: Tensor | None) -> Tensor:
    """The logarithm of masked_softmax at the real places, and 0 at the masked ones."""
    if mask is None:
        return energies.log_softmax(-1)
    return hide(energies, mask).log_softmax(-1).masked_fill(~mask, 0.0)


def masked_uniform(energies: Tensor, mask: Tensor | None) -> Tensor:
    """The same weight for every real place, whatever the energies (..., S)."""
    keep = torch.ones_like(energies) if mask is None else mask.to(energies.dtype).expand_as(energies)
    return keep / keep.sum(-1, keepdim=True).clamp_min(1)


def masked_one_hot(index: Tensor, like: Tensor, mask: Tensor | None) -> Tensor:
    """All weight to one place of `like` (..., S), index (...); none where that place is masked."""
    places = torch.zeros_like(like).scatter(-1, index.unsqueeze(-1), 1.0)
    return places if mask is None else places.masked_fill(~mask, 0.0)


def first_place(like: Tensor) -> Tensor:
    """All weight to the first place of `like` (..., S)."""
    return pad(torch.ones_like(like[..., :1]), (0, like.shape[-1] - 1))


def hide(energies: Tensor, mask: Tensor | None) -> Tensor:
    """The energies with the lowest number at masked places; finite, so that a row of nothing else has no NaN."""
    return energies if mask is None else energies.masked_fill(~mask, torch.finfo(energies.dtype).min)


def widen(x: Tensor) -> Tensor:
    """In single precision at least, for sums and products over many places or steps."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
