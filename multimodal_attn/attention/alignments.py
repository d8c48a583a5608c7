"""Stage 2, align: how are the energies of the places turned into weights?

A pure function of the energies (B, N, M, S), the mask, and its own state, a tuple of tensors (B, M, ...):

    weights, state = alignment(energies, mask, state)       one step
    weights        = alignment.unroll(energies, mask)       all T steps at once, energies (B, N, M, T, S)
"""

import torch
from torch import Tensor

from multimodal_attn.attention.masking import masked_softmax, masked_uniform
from multimodal_attn.errors import ConfigError

State = tuple[Tensor, ...]


class Alignment:
    """Base of all: `step` is the definition, `unroll` repeats it from an empty state."""

    source = ""
    reads_energies = True

    def __call__(self, energies: Tensor, mask: Tensor | None, state: State) -> tuple[Tensor, State]:
        raise NotImplementedError

    def unroll(self, energies: Tensor, mask: Tensor | None) -> Tensor:
        state: State = ()
        steps = []
        for step in energies.unbind(3):  # (B, N, M, S)
            weights, state = self(step, mask, state)
            steps.append(weights)
        return torch.stack(steps, 3)


class Softmax(Alignment):
    """Soft, global attention: exp(e_s / temperature), normalised."""

    source = "Bahdanau, Cho, Bengio 2015, eq. 6; Xu et al. 2015, eq. 5"

    def __init__(self, temperature: float = 1.0) -> None:
        if not temperature > 0:
            raise ConfigError(f"attention: temperature must be positive, not {temperature}")
        self.temperature = temperature

    def __call__(self, energies: Tensor, mask: Tensor | None, state: State) -> tuple[Tensor, State]:
        return masked_softmax(energies / self.temperature, mask), state

    def unroll(self, energies: Tensor, mask: Tensor | None) -> Tensor:
        return masked_softmax(energies / self.temperature, None if mask is None else mask.unsqueeze(3))


class Uniform(Alignment):
    """Average pooling: every real place gets the same weight, whatever the query."""

    source = "the average; a control without a choice of place"
    reads_energies = False

    def __call__(self, energies: Tensor, mask: Tensor | None, state: State) -> tuple[Tensor, State]:
        return masked_uniform(energies, mask), state

    def unroll(self, energies: Tensor, mask: Tensor | None) -> Tensor:
        return masked_uniform(energies, None if mask is None else mask.unsqueeze(3))


class Static(Alignment):
    """Softmax of the first step, kept for every later one."""

    source = "a control: content decides, but only once"

    def __call__(self, energies: Tensor, mask: Tensor | None, state: State) -> tuple[Tensor, State]:
        if state:
            return state[0].transpose(1, 2), state
        weights = masked_softmax(energies, mask)
        return weights, (weights.transpose(1, 2),)  # (B, M, N, S), so that a beam can reorder it

    def unroll(self, energies: Tensor, mask: Tensor | None) -> Tensor:
        return masked_softmax(energies[:, :, :, 0], mask).unsqueeze(3).expand_as(energies)


ALIGNMENTS: dict[str, type[Alignment]] = {"softmax": Softmax, "uniform": Uniform, "static": Static}
