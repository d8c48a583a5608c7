"""Forward attention: content decides, but only among the places that a step forward can reach."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from multimodal_attn.attention.alignments import Aligned, Alignment, positive
from multimodal_attn.attention.masking import first_place, masked_softmax, widen
from multimodal_attn.attention.scores import State
from multimodal_attn.layers.linear import Linear

# Places this much less likely to be reached than the likeliest are not, so that no gradient passes 1 / REACHED.
REACHED = 1e-12


class Forward(Alignment):
    """Weights of a step: those of the step before, stayed or moved on, times exp(e_s), normalised.

    In other words the probability of each place over all paths that start at the first place, and at each step stay or
    move on to the next. reach: how many places a step may move on; 1 in the paper, which has a step for every frame.
    """

    source = "Zhang, Ling, Dai 2018, section 3, algorithm 1"

    def __init__(self, reach: int = 1) -> None:
        super().__init__()
        self.reach = positive(reach, "reach")

    def forward(self, energies: Tensor, mask: Tensor | None, state: State, query: Tensor) -> Aligned:
        energies = widen(energies)
        before = state[0].transpose(1, 2) if state else first_place(energies)
        prior = self.advance(before, state)
        reached = prior > REACHED * prior.amax(-1, keepdim=True)
        mask = reached if mask is None else reached & mask
        weights = masked_softmax(energies + prior.masked_fill(~reached, 1.0).log(), mask)
        return Aligned(weights, (weights.transpose(1, 2), *state[1:]))

    def advance(self, before: Tensor, state: State) -> Tensor:
        """How likely each place (B, N, M, S) is before its energy is known, up to a factor."""
        return before + self.moved(before)

    def moved(self, before: Tensor) -> Tensor:
        """The sum over all moves of 1 to `reach` places."""
        return functional.pad(before, (self.reach, -1)).unfold(-1, self.reach, 1).sum(-1)


class ForwardAgent(Forward):
    """Forward attention with a transition agent: a network that reads context and query says how likely it is to move
    on, u, at the next step; the step before counts (1 - u) where it stays and u where it moves on.

    The paper's agent reads the previous output as well, which an attention does not see; a query that has read the
    words, as a decoder's has, knows it.
    """

    source = "Zhang, Ling, Dai 2018, section 3, algorithm 2"
    reads_context = True

    def __init__(self, query_dim: int, memory_dim: int, dim: int, heads: int, reach: int = 1) -> None:
        super().__init__(reach)
        self.agent = nn.Sequential(Linear(memory_dim + query_dim, dim), nn.Tanh(), Linear(dim, heads))

    def advance(self, before: Tensor, state: State) -> Tensor:
        leaning = state[1].transpose(1, 2).unsqueeze(-1) if state else before.new_zeros(1)  # at first u = 1 / 2
        # sigmoid(-x) instead of 1 - sigmoid(x), which would be zero too early
        return (-leaning).sigmoid() * before + leaning.sigmoid() * self.moved(before)

    def follow(self, query: Tensor, context: Tensor, state: State) -> State:
        return state[0], widen(self.agent(torch.cat([context, query], -1)))  # (B, M, N)
