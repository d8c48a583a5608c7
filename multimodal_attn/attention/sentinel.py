"""The sentinel: one more place that is always there and is not in the input, for tokens that need no look at it."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from multimodal_attn.attention.alignments import Aligned, Alignment
from multimodal_attn.attention.scores import Additive, State, split_heads
from multimodal_attn.layers.linear import Linear


class Sentinel(Alignment):
    """An alignment over the places and s = sigmoid(W_g q) * tanh(W_s q), what the decoder knows by itself.

    Its energy is v . tanh(W_q q + W_k s + b), for each head. Where the paper has the memory cell of its LSTM in s, here
    is the query, so that any decoder can have a sentinel. Returned are the weights of the places, which sum to 1 less
    the sentinel's share, and that share times s as `beside`; with several heads, each has a part of s.
    """

    source = "Lu, Xiong, Parikh, Socher 2017, section 2.3"

    def __init__(self, inner: Alignment, query_dim: int, memory_dim: int, dim: int, heads: int = 1) -> None:
        super().__init__()
        self.inner, self.heads = inner, heads
        self.gate, self.content = Linear(query_dim, memory_dim), Linear(query_dim, memory_dim)
        self.score = Additive(query_dim, memory_dim, dim, heads)

    def forward(self, energies: Tensor, mask: Tensor | None, state: State, query: Tensor) -> Aligned:
        s, energy = self.look_inward(query)
        return _part(self.inner(torch.cat([energies, energy], -1), _and_one(mask), state, query), s)

    def unroll(self, energies: Tensor, mask: Tensor | None, queries: Tensor) -> Aligned:
        s, energy = (part.unflatten(2, queries.shape[1:3]) for part in self.look_inward(queries.flatten(1, 2)))
        return _part(self.inner.unroll(torch.cat([energies, energy], -1), _and_one(mask), queries), s)

    def look_inward(self, query: Tensor) -> tuple[Tensor, Tensor]:
        """The sentinel of queries (B, M, Q), eq. 10: s (B, N, M, D / N), and its energy, eq. 12: (B, N, M, 1)."""
        s = torch.sigmoid(self.gate(query)) * torch.tanh(self.content(query))  # (B, M, D)
        hidden = self.score.queries(query) + self.score.keys(s)  # (B, N, M, A), each query with its own s only
        return split_heads(s, self.heads), self.score.read(hidden.unsqueeze(3))


def _part(aligned: Aligned, s: Tensor) -> Aligned:
    """Weights of the places alone, and the sentinel's share of the context beside them."""
    share = aligned.weights[..., -1:]
    return aligned._replace(weights=aligned.weights[..., :-1], beside=share.to(s.dtype) * s)


def _and_one(mask: Tensor | None) -> Tensor | None:
    """The mask with one more place, which is always real."""
    return None if mask is None else pad(mask, (0, 1), value=True)
