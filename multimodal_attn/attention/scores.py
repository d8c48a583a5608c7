"""Stage 1, score: how well does each place match the query?

A score maps queries (B, M, Q) and values (B, S, D) to its own spaces, the values once per input, and compares them:

    keys     = score.keys(values)                (B, N, S, A)    once per input
    queries  = score.queries(query)              (B, N, M, A)    for any number M of queries, all steps at once
    energies = score(queries, keys, state)       (B, N, M, S)
    state    = score.remember(weights, state)    tensors (B, M, N, S), for scores that read the earlier weights
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from multimodal_attn.errors import ConfigError
from multimodal_attn.layers.linear import Linear

State = tuple[Tensor, ...]

# Additive energies are computed in blocks of queries of about this many numbers, to stay in the processor's cache.
BLOCK = 1 << 20


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, L, N*A) -> (B, N, L, A)"""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


class Score(nn.Module):
    """Base of all: keys and queries as they are for every head, and a score that remembers nothing."""

    source = ""
    reads_weights = False

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def keys(self, values: Tensor) -> Any:
        return values.unsqueeze(1).expand(-1, self.heads, -1, -1)

    def queries(self, query: Tensor) -> Tensor:
        return query.unsqueeze(1).expand(-1, self.heads, -1, -1)

    def forward(self, queries: Tensor, keys: Any, state: State = ()) -> Tensor:
        raise NotImplementedError

    def remember(self, weights: Tensor, state: State) -> State:
        """The state for the next step, from the weights (B, M, N, S) of this one."""
        return ()


class Dot(Score):
    """(W_q q) . (W_k k), the dot score of Luong et al. 2015 between projections to a common width.

    project=False compares query and value themselves, as in the paper; it needs Q = D and one head. query_bias: one is
    added to the projected query, so that places can be preferred whatever the query is.
    """

    source = "Luong, Pham, Manning 2015, section 3.1, dot"
    scale = 1.0

    def __init__(
        self, query_dim: int, memory_dim: int, dim: int, heads: int = 1, project: bool = True, query_bias: bool = False
    ) -> None:
        super().__init__(heads)
        if query_bias and not project:
            raise ConfigError("attention: query_bias belongs to a projection; leave it out with project=False")
        if not project and (query_dim != memory_dim or heads != 1):
            raise ConfigError(
                f"attention: project=False needs equal widths and one head: {query_dim}, {memory_dim}, {heads} heads"
            )
        self.query_map = Linear(query_dim, dim, bias=query_bias) if project else nn.Identity()
        self.key_map = Linear(memory_dim, dim, bias=False) if project else nn.Identity()

    def keys(self, values: Tensor) -> Tensor:
        return split_heads(self.key_map(values), self.heads)

    def queries(self, query: Tensor) -> Tensor:
        return split_heads(self.query_map(query), self.heads) * self.scale

    def forward(self, queries: Tensor, keys: Tensor, state: State = ()) -> Tensor:
        return queries @ keys.transpose(-1, -2)  # (B, N, M, S)


class ScaledDot(Dot):
    """(W_q q) . (W_k k) / sqrt(A), A the width of one head."""

    source = "Vaswani et al. 2017, eq. 1"

    def __init__(
        self, query_dim: int, memory_dim: int, dim: int, heads: int = 1, project: bool = True, query_bias: bool = False
    ) -> None:
        super().__init__(query_dim, memory_dim, dim, heads, project, query_bias)
        self.scale = 1 / math.sqrt(dim // heads if project else query_dim)


class General(Score):
    """q . (W k), a bilinear form; W is applied to the values, so it costs nothing per query. `dim` is not used."""

    source = "Luong, Pham, Manning 2015, section 3.1, general"

    def __init__(self, query_dim: int, memory_dim: int, dim: int, heads: int = 1) -> None:
        super().__init__(heads)
        self.key_map = Linear(memory_dim, heads * query_dim, bias=False)

    def keys(self, values: Tensor) -> Tensor:
        return split_heads(self.key_map(values), self.heads)

    def forward(self, queries: Tensor, keys: Tensor, state: State = ()) -> Tensor:
        return queries @ keys.transpose(-1, -2)  # (B, N, M, S)


class Additive(Score):
    """v . tanh(W_q q + W_k k + b), a network with one hidden layer; Luong's concat score is the same function."""

    source = "Bahdanau, Cho, Bengio 2015, appendix A.1.2"

    def __init__(self, query_dim: int, memory_dim: int, dim: int, heads: int = 1) -> None:
        super().__init__(heads)
        self.query_map = Linear(query_dim, dim)
        self.key_map = Linear(memory_dim, dim, bias=False)
        self.v = nn.Parameter(torch.empty(heads, dim // heads))
        nn.init.normal_(self.v, std=(dim // heads) ** -0.5)

    def keys(self, values: Tensor) -> Any:
        return split_heads(self.key_map(values), self.heads)

    def queries(self, query: Tensor) -> Tensor:
        return split_heads(self.query_map(query), self.heads)

    def forward(self, queries: Tensor, keys: Tensor, state: State = ()) -> Tensor:
        rows = max(1, BLOCK // keys.numel())
        return torch.cat([self.read(add_pairs(block, keys)) for block in queries.split(rows, dim=2)], dim=2)

    def read(self, hidden: Tensor) -> Tensor:
        """v . tanh(hidden), (B, N, M, S, A) -> (B, N, M, S)"""
        v, shape = self.v.to(hidden.dtype).unsqueeze(-1), hidden.shape[:-1]  # (N, A, 1)
        if _is_coarse(hidden):
            return (hidden.tanh().flatten(2, 3) @ v).view(shape)
        # tanh(x) = 2 sigmoid(2x) - 1, and torch's sigmoid is six times as fast as its tanh on a CPU
        energies = torch.sigmoid(2 * hidden).flatten(2, 3) @ v  # (B, N, M*S, 1)
        return (2 * energies - v.sum(1, keepdim=True)).view(shape)  # (B, N, M, S)


class MLP(Additive):
    """v . tanh(U_L ... tanh(U_2 tanh(W_q q + W_k k + b) + b_2) ...), the additive score with more hidden layers.

    layers: how many there are in all; each after the first costs A products for every pair of query and place and
    every number of its output, where the first is a sum.
    """

    source = "Bahdanau, Cho, Bengio 2015, appendix A.1.2, with more layers"

    def __init__(self, query_dim: int, memory_dim: int, dim: int, heads: int = 1, layers: int = 2) -> None:
        super().__init__(query_dim, memory_dim, dim, heads)
        if layers < 1:
            raise ConfigError(f"attention: layers must be positive, not {layers}")
        width = dim // heads
        self.hidden = nn.Parameter(torch.empty(layers - 1, heads, width, width))
        self.hidden_bias = nn.Parameter(torch.zeros(layers - 1, heads, 1, width))
        nn.init.normal_(self.hidden, std=width**-0.5)

    def read(self, hidden: Tensor) -> Tensor:
        shape, hidden = hidden.shape[2:], hidden.flatten(2, 3)  # (B, N, M*S, A)
        for weight, bias in zip(self.hidden, self.hidden_bias, strict=True):
            hidden = hidden.tanh() @ weight.to(hidden.dtype) + bias.to(hidden.dtype)
        return super().read(hidden.unflatten(2, shape[:2]))


class Twin(Score):
    """Two scores of one kind with parameters of their own, for alignments that need two: energies (2, B, N, M, S)."""

    def __init__(self, first: Score, second: Score) -> None:
        super().__init__(first.heads)
        self.first, self.second = first, second
        self.reads_weights = first.reads_weights

    def keys(self, values: Tensor) -> tuple[Any, Any]:
        return self.first.keys(values), self.second.keys(values)

    def queries(self, query: Tensor) -> Tensor:
        return torch.stack([self.first.queries(query), self.second.queries(query)])

    def forward(self, queries: Tensor, keys: tuple[Any, Any], state: State = ()) -> Tensor:
        return torch.stack([self.first(queries[0], keys[0], state), self.second(queries[1], keys[1], state)])

    def remember(self, weights: Tensor, state: State) -> State:
        return self.first.remember(weights, state)


def _is_coarse(x: Tensor) -> bool:
    """Whether products of x may have few digits, so that a difference of two large ones is lost: in half precision,
    under autocast, and on a GPU, which may multiply single precision as TF32."""
    return not x.is_cpu or x.dtype.itemsize < 4 or torch.is_autocast_enabled("cpu")


def add_pairs(queries: Tensor, keys: Tensor) -> Tensor:
    """The sum of every query (B, N, M, A) with every key (B, N, S, A): (B, N, M, S, A)"""
    return queries.unsqueeze(3) + keys.unsqueeze(2)


class Constant(Score):
    """Every place matches equally; for alignments that do not read the energies."""

    source = "the mean of the values"

    def __init__(self, query_dim: int, memory_dim: int, dim: int, heads: int = 1) -> None:
        super().__init__(heads)

    def forward(self, queries: Tensor, keys: Tensor, state: State = ()) -> Tensor:
        return queries.new_zeros(*queries.shape[:3], keys.shape[2])
