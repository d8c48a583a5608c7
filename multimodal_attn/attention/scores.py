"""Stage 1, score: how well does each place match the query?

A score maps queries (B, M, Q) and values (B, S, D) to its own spaces, the values once per input, and compares them:

    keys     = score.keys(values)          (B, N, S, A)    once per input
    energies = score(query, keys)          (B, N, M, S)    for any number M of queries per input
"""

import math

import torch
from torch import Tensor, nn

from multimodal_attn.errors import ConfigError
from multimodal_attn.linear import Linear

# Additive energies are computed in blocks of queries of about this many numbers, to stay in the processor's cache.
BLOCK = 1 << 20


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, L, N*A) -> (B, N, L, A)"""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


class Dot(nn.Module):
    """(W_q q) . (W_k k), the dot score of Luong et al. 2015 (eq. 8) between projections to a common width.

    project=False compares query and value themselves, as in the paper; it needs Q = D and one head.
    """

    source = "Luong, Pham, Manning 2015, eq. 8"
    scale = 1.0

    def __init__(self, query_dim: int, memory_dim: int, dim: int, heads: int = 1, project: bool = True) -> None:
        super().__init__()
        if not project and (query_dim != memory_dim or heads != 1):
            raise ConfigError(
                f"attention: project=False needs equal widths and one head: {query_dim}, {memory_dim}, {heads} heads"
            )
        self.heads = heads
        self.query_map = Linear(query_dim, dim, bias=False) if project else nn.Identity()
        self.key_map = Linear(memory_dim, dim, bias=False) if project else nn.Identity()

    def keys(self, values: Tensor) -> Tensor:
        return split_heads(self.key_map(values), self.heads)

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        queries = split_heads(self.query_map(query), self.heads) * self.scale  # (B, N, M, A)
        return queries @ keys.transpose(-1, -2)  # (B, N, M, S)


class ScaledDot(Dot):
    """(W_q q) . (W_k k) / sqrt(A), A the width of one head."""

    source = "Vaswani et al. 2017, eq. 1"

    def __init__(self, query_dim: int, memory_dim: int, dim: int, heads: int = 1, project: bool = True) -> None:
        super().__init__(query_dim, memory_dim, dim, heads, project)
        self.scale = 1 / math.sqrt(dim // heads if project else query_dim)


class General(nn.Module):
    """q . (W k), a bilinear form; W is applied to the values, so it costs nothing per query. `dim` is not used."""

    source = "Luong, Pham, Manning 2015, eq. 8"

    def __init__(self, query_dim: int, memory_dim: int, dim: int, heads: int = 1) -> None:
        super().__init__()
        self.heads = heads
        self.key_map = Linear(memory_dim, heads * query_dim, bias=False)

    def keys(self, values: Tensor) -> Tensor:
        return split_heads(self.key_map(values), self.heads)

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        return query.unsqueeze(1) @ keys.transpose(-1, -2)  # (B, N, M, S)


class Additive(nn.Module):
    """v . tanh(W_q q + W_k k + b), a network with one hidden layer; Luong's concat score is the same function."""

    source = "Bahdanau, Cho, Bengio 2015, appendix A.1.2"

    def __init__(self, query_dim: int, memory_dim: int, dim: int, heads: int = 1) -> None:
        super().__init__()
        self.heads = heads
        self.query_map = Linear(query_dim, dim)
        self.key_map = Linear(memory_dim, dim, bias=False)
        self.v = nn.Parameter(torch.empty(heads, dim // heads))
        nn.init.normal_(self.v, std=(dim // heads) ** -0.5)

    def keys(self, values: Tensor) -> Tensor:
        return split_heads(self.key_map(values), self.heads)

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        queries = split_heads(self.query_map(query), self.heads)  # (B, N, M, A)
        rows = max(1, BLOCK // keys.numel())
        return torch.cat([self._compare(block, keys) for block in queries.split(rows, dim=2)], dim=2)

    def _compare(self, queries: Tensor, keys: Tensor) -> Tensor:
        hidden = queries.unsqueeze(3) + keys.unsqueeze(2)  # (B, N, M, S, A)
        # tanh(x) = 2 sigmoid(2x) - 1, and torch's sigmoid is six times as fast as its tanh on a CPU
        v = self.v.to(hidden.dtype).unsqueeze(-1)  # (N, A, 1)
        energies = torch.sigmoid(2 * hidden).flatten(2, 3) @ v  # (B, N, M*S, 1)
        return (2 * energies - v.sum(1, keepdim=True)).view(hidden.shape[:-1])  # (B, N, M, S)


class Constant(nn.Module):
    """Every place matches equally; for alignments that do not read the energies."""

    source = "the mean of the values"

    def __init__(self, query_dim: int, memory_dim: int, dim: int, heads: int = 1) -> None:
        super().__init__()
        self.heads = heads

    def keys(self, values: Tensor) -> Tensor:
        return values.unsqueeze(1).expand(-1, self.heads, -1, -1)

    def forward(self, query: Tensor, keys: Tensor) -> Tensor:
        return query.new_zeros(len(query), self.heads, query.shape[1], keys.shape[2])


SCORES: dict[str, type[nn.Module]] = {
    "dot": Dot,
    "scaled_dot": ScaledDot,
    "general": General,
    "additive": Additive,
    "constant": Constant,
}
