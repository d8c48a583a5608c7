"""Scores that read the earlier weights: where has this sentence looked so far?

What they remember is a function of the weights (B, M, N, S) of earlier steps, so it is part of the state that a beam
reorders. Before the first step nothing has been looked at: all earlier weights are zero.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from multimodal_attn.attention.scores import Additive, State, add_pairs
from multimodal_attn.errors import ConfigError
from multimodal_attn.layers.linear import Linear


class LocationAware(Additive):
    """v . tanh(W_q q + W_k k + U f + b), f = F * (weights of the step before), a convolution along the places.

    So the score can prefer the places just behind the last one. The places of a picture are convolved in reading order.

    Args:
        filters: rows of F.
        width: places that one filter covers, odd, half of them on each side.
        cumulative: convolve also the sum of all earlier weights (Shen et al. 2018, Tacotron 2, section 2.2).
    """

    source = "Chorowski et al. 2015, eq. 8 and 9"
    reads_weights = True

    def __init__(
        self,
        query_dim: int,
        memory_dim: int,
        dim: int,
        heads: int = 1,
        filters: int = 10,
        width: int = 31,
        cumulative: bool = False,
    ) -> None:
        super().__init__(query_dim, memory_dim, dim, heads)
        if filters < 1 or width < 1 or width % 2 == 0:
            raise ConfigError(f"attention: filters must be positive and width odd, not {filters} and {width}")
        self.cumulative, self.width = cumulative, width
        n_channels = 2 if cumulative else 1
        self.filters = nn.Parameter(torch.empty(heads * filters, n_channels, width))
        self.location_map = nn.Parameter(torch.empty(heads, filters, dim // heads))
        nn.init.normal_(self.filters, std=(n_channels * width) ** -0.5)
        nn.init.normal_(self.location_map, std=filters**-0.5)

    def forward(self, queries: Tensor, keys: Tensor, state: State = ()) -> Tensor:
        return self.read(add_pairs(queries, keys) + self._locate(state)) if state else super().forward(queries, keys)

    def remember(self, weights: Tensor, state: State) -> State:
        if not self.cumulative:
            return (weights,)
        return weights, add_up(weights, state[1:])

    def _locate(self, state: State) -> Tensor:
        """U f of the earlier weights. (B, N, M, S, A)"""
        n_queries = state[0].shape[1]
        earlier = torch.stack([part.to(self.filters.dtype) for part in state], 3).flatten(0, 1)  # (B*M, N, C, S)
        found = functional.conv1d(earlier.flatten(1, 2), self.filters, padding=self.width // 2, groups=self.heads)
        found = found.unflatten(1, (self.heads, -1)).unflatten(0, (-1, n_queries))  # (B, M, N, F, S)
        return (found.permute(0, 2, 1, 4, 3).flatten(2, 3) @ self.location_map).unflatten(2, (n_queries, -1))


class Coverage(Additive):
    """v . tanh(W_q q + W_k k + u c + b), c the sum of the earlier weights of a place, over its fertility.

    So the score can avoid what has been said, and look for what has not. A place's fertility, how much attention it
    deserves in all, is most_fertile * sigmoid(w . value), read from the place itself; with most_fertile=0 it is 1 for
    every place, which is the score of See, Liu, Manning 2017, eq. 11.
    """

    source = "Tu et al. 2016, section 3.1.1, linguistic coverage"
    reads_weights = True

    def __init__(self, query_dim: int, memory_dim: int, dim: int, heads: int = 1, most_fertile: float = 2.0) -> None:
        super().__init__(query_dim, memory_dim, dim, heads)
        if most_fertile < 0:
            raise ConfigError(f"attention: most_fertile must not be negative, but is {most_fertile}")
        self.most_fertile = most_fertile
        self.fertility_map = Linear(memory_dim, heads, bias=False) if most_fertile else None
        self.u = nn.Parameter(torch.empty(heads, dim // heads))
        nn.init.normal_(self.u, std=(dim // heads) ** -0.5)

    def keys(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, S, A), and u / fertility (B, N, S, A): what a whole weight adds to a place's share."""
        per_weight = self.u[:, None].expand(len(values), -1, values.shape[1], -1)
        if self.fertility_map is not None:
            fertility = self.most_fertile * self.fertility_map(values).sigmoid()  # (B, S, N)
            per_weight = per_weight / fertility.transpose(1, 2).unsqueeze(-1)
        return super().keys(values), per_weight

    def forward(self, queries: Tensor, keys: tuple[Tensor, Tensor], state: State = ()) -> Tensor:
        keys, per_weight = keys
        if not state:
            return super().forward(queries, keys)
        covered = state[0].transpose(1, 2).unsqueeze(-1).to(keys.dtype)  # (B, N, M, S, 1)
        return self.read(torch.addcmul(add_pairs(queries, keys), covered, per_weight.unsqueeze(2)))

    def remember(self, weights: Tensor, state: State) -> State:
        return (add_up(weights, state),)


def add_up(weights: Tensor, earlier: State) -> Tensor:
    """The sum over steps, in single precision at least: bfloat16 would lose the small weights of a long sentence."""
    weights = weights.to(torch.promote_types(weights.dtype, torch.float32))
    return earlier[0] + weights if earlier else weights
