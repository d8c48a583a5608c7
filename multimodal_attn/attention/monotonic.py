"""Monotonic attention: walk along the places from where the last step stopped, and at each stop or go on.

In training the weights are the expectation over all walks; in evaluation there is one walk, which stops where stopping
is more likely than not, so that a sentence can be written while the sound still arrives. A walk that passes the last
place has stopped nowhere: that step and the later ones have no weights.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from multimodal_attn.attention.alignments import Aligned, Alignment, for_all_steps, positive
from multimodal_attn.attention.masking import first_place, hide, widen
from multimodal_attn.attention.scores import State
from multimodal_attn.errors import ConfigError


class Monotonic(Alignment):
    """Stop at a place with probability p = sigmoid(e + r + noise).

    Args:
        bias: r before training; negative, so that a walk at first expects to go on for about exp(-r) places.
        noise: standard deviation of the normal noise in training, which makes the network prefer clear decisions.

    Of the paper's changed energy (section 2.4) only the offset r is here; the score is not normalised to g v / |v|.
    """

    source = "Raffel et al. 2017, sections 2.2, 2.3, 2.5, and the offset of 2.4"

    def __init__(self, bias: float = -2.0, noise: float = 1.0) -> None:
        super().__init__()
        if noise < 0:
            raise ConfigError(f"attention: noise must not be negative, but is {noise}")
        self.bias = nn.Parameter(torch.tensor(bias))
        self.noise = noise

    def forward(self, energies: Tensor, mask: Tensor | None, state: State, query: Tensor) -> Aligned:
        stop = self.stop_probability(energies, mask)  # (B, N, M, S)
        start = state[0].transpose(1, 2) if state else first_place(stop)
        weights = stop * walk(start, passages(stop))
        return Aligned(weights, (weights.transpose(1, 2),))

    def unroll(self, energies: Tensor, mask: Tensor | None, queries: Tensor) -> Aligned:
        stops = self.stop_probability(energies, for_all_steps(mask))  # (B, N, M, T, S)
        by_step = zip(stops.unbind(3), zip(*(part.unbind(3) for part in passages(stops)), strict=True), strict=True)
        weights = [first_place(stops[:, :, :, 0])]
        for stop, passage in by_step:
            weights.append(stop * walk(weights[-1], passage))
        return Aligned(torch.stack(weights[1:], 3))

    def stop_probability(self, energies: Tensor, mask: Tensor | None) -> Tensor:
        energies = widen(energies) + self.bias
        if self.training:
            stop = (energies + self.noise * torch.randn_like(energies)).sigmoid()
        else:
            stop = (energies > 0).to(energies.dtype)
        return stop if mask is None else stop.masked_fill(~mask, 0.0)


class MoChA(Monotonic):
    """Monotonic chunkwise attention: a softmax over the `chunk` places that end where the walk stopped.

    A second score with parameters of its own gives the energies inside the chunk.
    """

    source = "Chiu and Raffel 2018, section 2.3"
    n_scores = 2

    def __init__(self, chunk: int = 4, bias: float = -2.0, noise: float = 1.0) -> None:
        super().__init__(bias, noise)
        self.chunk = positive(chunk, "chunk")

    def forward(self, energies: Tensor, mask: Tensor | None, state: State, query: Tensor) -> Aligned:
        stops = super().forward(energies[0], mask, state, query)
        return Aligned(self.spread(stops.weights, energies[1], mask), stops.state)

    def unroll(self, energies: Tensor, mask: Tensor | None, queries: Tensor) -> Aligned:
        stops = super().unroll(energies[0], mask, queries)
        return Aligned(self.spread(stops.weights, energies[1], for_all_steps(mask)))

    def spread(self, stops: Tensor, energies: Tensor, mask: Tensor | None) -> Tensor:
        """Each stop's weight over its chunk, summed over all stops. All (..., S)."""
        real = torch.ones_like(energies, dtype=torch.bool) if mask is None else mask.expand_as(energies)
        # the chunk comes first, since a softmax over a last axis of 4 takes twenty times as long
        windows, keep = self.windows(widen(energies)), self.windows(real)  # (chunk, ..., S)
        shares = hide(windows, keep).softmax(0).masked_fill(~keep, 0.0)
        parts = (stops * shares).unbind(0)
        # part i of a stop belongs to the place chunk - 1 - i before it
        moved = [functional.pad(part, (0, self.chunk))[..., self.chunk - 1 - i :] for i, part in enumerate(parts)]
        return torch.stack([part[..., : energies.shape[-1]] for part in moved]).sum(0)

    def windows(self, x: Tensor) -> Tensor:
        """For each of x (..., S) the `chunk` that end there, zeros before the first: (chunk, ..., S)"""
        n = x.shape[-1]
        padded = functional.pad(x, (self.chunk - 1, 0))
        return torch.stack([padded[..., i : i + n] for i in range(self.chunk)])


def passages(stop: Tensor) -> list[Tensor]:
    """The probability (..., S) to get past the 1, 2, 4, ... places before each place without a stop."""
    past = functional.pad(1 - stop[..., :-1], (1, 0))
    found = [past]
    while 2 ** len(found) < stop.shape[-1]:
        n = 2 ** (len(found) - 1)
        past = past * _move(past, n)
        found.append(past)
    return found


def walk(start: Tensor, passage: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
    """The probability (..., S) that a walk from the distribution `start` comes to each place at all.

    The recurrence q_s = (1 - p_{s-1}) q_{s-1} + start_s (Raffel, section 2.3), in log S steps instead of S, by doubling
    the distance that is covered; so no quotient of tiny products is taken, as it is in the paper's closed form.
    """
    for i, past in enumerate(passage):
        start = start + past * _move(start, 2**i)
    return start


def _move(x: Tensor, n: int) -> Tensor:
    """Every number n places on, zeros in front."""
    return functional.pad(x[..., :-n], (n, 0))
