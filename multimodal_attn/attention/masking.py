"""Normalising under a mask, once, in one place."""

import torch
from torch import Tensor


def masked_softmax(energies: Tensor, mask: Tensor | None) -> Tensor:
    """Softmax over the last axis of energies (..., S); masked places get exactly 0, a row without a real place zeros.

    mask broadcasts to energies, True = keep; None keeps all.
    """
    if mask is None:
        return energies.softmax(-1)
    lowest = torch.finfo(energies.dtype).min
    return energies.masked_fill(~mask, lowest).softmax(-1).masked_fill(~mask, 0.0)


def masked_uniform(energies: Tensor, mask: Tensor | None) -> Tensor:
    """The same weight for every real place, whatever the energies (..., S)."""
    keep = torch.ones_like(energies) if mask is None else mask.to(energies.dtype).expand_as(energies)
    return keep / keep.sum(-1, keepdim=True).clamp_min(1)
