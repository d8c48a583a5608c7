"""Stage 2, align: how are the energies of the places turned into weights?

    aligned = align(energies, mask, state, query)    one step: energies and weights (B, N, M, S), query (B, M, Q)
    state   = align.follow(query, context, state)    for those that read the context (B, M, D) too
    aligned = align.unroll(energies, mask, queries)  all T steps at once: (B, N, M, T, S), queries (B, M, T, Q)

mask broadcasts to energies, True = keep. The state is a tuple of tensors (B, M, ...), empty before the first step.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from multimodal_attn.attention.masking import masked_softmax, masked_uniform
from multimodal_attn.attention.scores import State
from multimodal_attn.errors import ConfigError


class Choice(NamedTuple):
    """What was drawn at random: the log-probability of the drawn place, 0 where none was, and the entropy of what it
    was drawn from, both in nats: (B, N, M) or (B, N, M, T) as an alignment gives them, (B, M, N) or (B, M, T, N) later.
    """

    log_prob: Tensor
    entropy: Tensor


class Aligned(NamedTuple):
    """weights (B, N, M, S) or (B, N, M, T, S), the state for the next step, and the choice of those that draw.

    beside: what goes into each head's context besides the places, (B, N, M, D / N) or (B, N, M, T, D / N).
    """

    weights: Tensor
    state: State = ()
    choice: Choice | None = None
    beside: Tensor | None = None


class Alignment(nn.Module):
    """Base of all: `forward` is the definition, `unroll` repeats it from an empty state."""

    source = ""
    reads_energies = True
    reads_context = False
    takes_sentinel = False  # those without an order of the places, so that one more can stand anywhere
    n_scores = 1  # with 2, energies (2, B, N, M, S) of two scores, each with parameters of its own

    def __init__(self) -> None:  # so that an alignment without options shows none in its signature
        super().__init__()

    def forward(self, energies: Tensor, mask: Tensor | None, state: State, query: Tensor) -> Aligned:
        raise NotImplementedError

    def follow(self, query: Tensor, context: Tensor, state: State) -> State:
        return state

    def unroll(self, energies: Tensor, mask: Tensor | None, queries: Tensor) -> Aligned:
        state: State = ()
        steps = []
        for step, query in zip(energies.unbind(-2), queries.unbind(2), strict=True):
            steps.append(self(step, mask, state, query))
            state = steps[-1].state
        return stack_steps(steps)


class Pointwise(Alignment):
    """Base of those that remember nothing: the same function of each step's energies, for one step or for all."""

    def weigh(self, energies: Tensor, mask: Tensor | None) -> Tensor:
        raise NotImplementedError

    def forward(self, energies: Tensor, mask: Tensor | None, state: State, query: Tensor) -> Aligned:
        return Aligned(self.weigh(energies, mask))

    def unroll(self, energies: Tensor, mask: Tensor | None, queries: Tensor) -> Aligned:
        return Aligned(self.weigh(energies, for_all_steps(mask)))


class Softmax(Pointwise):
    """Soft, global attention: exp(e_s / temperature), normalised."""

    source = "Bahdanau, Cho, Bengio 2015, eq. 6; Xu et al. 2015, eq. 5"
    takes_sentinel = True

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = positive(temperature, "temperature")

    def weigh(self, energies: Tensor, mask: Tensor | None) -> Tensor:
        return masked_softmax(energies / self.temperature, mask)


class Uniform(Pointwise):
    """Average pooling: every real place gets the same weight, whatever the query."""

    source = "the average; a control without a choice of place"
    reads_energies = False

    def weigh(self, energies: Tensor, mask: Tensor | None) -> Tensor:
        return masked_uniform(energies, mask)


class Static(Alignment):
    """Softmax of the first step, kept for every later one."""

    source = "a control: content decides, but only once"

    def forward(self, energies: Tensor, mask: Tensor | None, state: State, query: Tensor) -> Aligned:
        weights = state[0].transpose(1, 2) if state else masked_softmax(energies, mask)
        return Aligned(weights, (weights.transpose(1, 2),))  # (B, M, N, S), so that a beam can reorder it

    def unroll(self, energies: Tensor, mask: Tensor | None, queries: Tensor) -> Aligned:
        return Aligned(masked_softmax(energies[:, :, :, 0], mask).unsqueeze(3).expand_as(energies))


def stack_steps(steps: Sequence[Aligned]) -> Aligned:
    """One step (B, N, M, ...) after the other as all T of them (B, N, M, T, ...), with the state after the last."""
    weights, states, choices, beside = zip(*steps, strict=True)
    choice = None if choices[0] is None else Choice(*(torch.stack(parts, 3) for parts in zip(*choices, strict=True)))
    return Aligned(torch.stack(weights, 3), states[-1], choice, None if beside[0] is None else torch.stack(beside, 3))


def for_all_steps(mask: Tensor | None) -> Tensor | None:
    """A mask for energies (B, N, M, S) made to fit (B, N, M, T, S)."""
    return None if mask is None else mask.unsqueeze(-2)


def positive(value: float, name: str) -> float:
    if not value > 0:
        raise ConfigError(f"attention: {name} must be positive, not {value}")
    return value
