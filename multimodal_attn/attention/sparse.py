"""Alignments whose weights are exactly zero for places that match badly.

Both are max(z - threshold, 0) to a power, z the energies with the highest moved to 0, and the one threshold that makes
the weights sum to 1; it lies between -1 and 0. Which places stay above it is found by sorting, without a gradient; for
those that stay, the threshold is a smooth function of z.
"""

import torch
from torch import Tensor

from multimodal_attn.attention.alignments import Pointwise
from multimodal_attn.attention.masking import hide, widen


class Sparsemax(Pointwise):
    """The point of the simplex closest to the energies: max(e_s - threshold, 0)."""

    source = "Martins and Astudillo 2016, algorithm 1"
    takes_sentinel = True

    def weigh(self, energies: Tensor, mask: Tensor | None) -> Tensor:
        z = _lower(energies, 1, mask)
        with torch.no_grad():
            ranked = z.sort(-1, descending=True).values
            stays = z >= _last_above(ranked, (ranked.cumsum(-1) - 1) / _ranks(z))
        threshold = ((z * stays).sum(-1, keepdim=True) - 1) / stays.sum(-1, keepdim=True)
        return _drop(z - threshold, stays, mask)


class Entmax15(Pointwise):
    """Halfway between softmax and sparsemax: max(e_s / 2 - threshold, 0)^2."""

    source = "Peters, Niculae, Martins 2019, algorithm 2"
    takes_sentinel = True

    def weigh(self, energies: Tensor, mask: Tensor | None) -> Tensor:
        z = _lower(energies, 2, mask)
        with torch.no_grad():
            ranked, ranks = z.sort(-1, descending=True).values, _ranks(z)
            mean, square = ranked.cumsum(-1) / ranks, ranked.square().cumsum(-1) / ranks
            stays = z >= _last_above(ranked, mean - (1 / ranks - square + mean.square()).clamp_min(0).sqrt())
        n = stays.sum(-1, keepdim=True)
        mean = (z * stays).sum(-1, keepdim=True) / n
        spread = ((z - mean) * stays).square().sum(-1, keepdim=True)
        return _drop((z - mean + ((1 - spread) / n).sqrt()).square(), stays, mask)


def _lower(energies: Tensor, divisor: int, mask: Tensor | None) -> Tensor:
    """Energies / divisor, the highest moved to 0; what lies at -1 or lower, and what is masked, cannot stay: -1."""
    z = hide(widen(energies), mask)
    z = ((z - z.amax(-1, keepdim=True).detach()) / divisor).clamp_min(-1.0)
    return z if mask is None else z.masked_fill(~mask, -1.0)


def _ranks(z: Tensor) -> Tensor:
    return torch.arange(1, z.shape[-1] + 1, device=z.device, dtype=z.dtype)


def _last_above(ranked: Tensor, thresholds: Tensor) -> Tensor:
    """The lowest number that is above the threshold of those down to it. (..., S) -> (..., 1)"""
    n = (ranked > thresholds).sum(-1, keepdim=True).clamp_min(1)
    return ranked.gather(-1, n - 1)


def _drop(weights: Tensor, stays: Tensor, mask: Tensor | None) -> Tensor:
    weights = weights.masked_fill(~stays, 0.0)
    return weights if mask is None else weights.masked_fill(~mask, 0.0)
