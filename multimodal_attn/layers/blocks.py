"""The blocks of which Transformers are built: self-attention and a feed-forward network (Vaswani et al. 2017).

A layer adds to its input what a block makes of it, x + block(x). Each block normalises what it reads, which trains
without a long warm-up (pre-norm, Xiong et al. 2020). These norms have no parameters, since a linear map follows.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from multimodal_attn.layers.linear import Linear

HEAD_DIM = 64  # width of a head at least, as in Vaswani et al. 2017, section 3.2.2


def build_norm(dim: int) -> nn.LayerNorm:
    return nn.LayerNorm(dim, elementwise_affine=False)


def n_heads_for(dim: int) -> int:
    """As many heads as divide the width evenly and leave HEAD_DIM numbers to each."""
    return max((n for n in range(1, dim // HEAD_DIM + 1) if dim % n == 0), default=1)


class SelfAttention(nn.Module):
    """Every place of a sequence looks at the others, with scaled dot scores and several heads."""

    def __init__(self, dim: int, heads: int | None = None) -> None:
        super().__init__()
        self.heads = heads or n_heads_for(dim)
        self.norm = build_norm(dim)
        self.project = Linear(dim, 3 * dim)
        self.output = Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        """x (B, L, D) -> (B, L, D). mask (B, L), True = keep; causal: no place sees a later one."""
        queries, memory = self._project(x)
        return self._look(queries, memory, None if mask is None else mask[:, None, None], causal)

    def weights(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """What `forward` looks with: x (B, L, D) -> (B, N, L, L), the place that looks first. Each row sums to 1."""
        queries, memory = self._project(x)
        return look_weights(*self._heads(queries, memory)[:2], None if mask is None else mask[:, None, None])

    def step(self, x: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
        """The causal function for one more place x (B, D), whose keys and values join those of the places before it,
        past (B, t, 2 D): (B, D) and (B, t + 1, 2 D)."""
        queries, memory = self._project(x.unsqueeze(1))
        past = memory if past is None else torch.cat([past, memory.contiguous()], 1)
        return self._look(queries, past).squeeze(1), past

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Queries (B, L, D), keys and values side by side (B, L, 2 D)."""
        width = x.shape[-1]
        return self.project(self.norm(x)).split([width, 2 * width], -1)

    def _look(self, queries: Tensor, memory: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
        parts = self._heads(queries, memory)
        looked = functional.scaled_dot_product_attention(*parts, mask, is_causal=causal)  # (B, N, L, A)
        return self.output(looked.transpose(1, 2).flatten(2))

    def _heads(self, queries: Tensor, memory: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values of every head, (B, N, L, A) each."""
        return tuple(part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (queries, *memory.chunk(2, -1)))


def look_weights(queries: Tensor, keys: Tensor, mask: Tensor | None) -> Tensor:
    """The weights of scaled dot attention for queries and keys (B, N, L, A): (B, N, L, L)."""
    energies = queries @ keys.transpose(-1, -2) / queries.shape[-1] ** 0.5
    return (energies if mask is None else energies.masked_fill(~mask, -torch.inf)).softmax(-1)


class FeedForward(nn.Sequential):
    """Two linear maps with an activation between them, four times as wide inside: (..., D) -> (..., D)"""

    def __init__(self, dim: int, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__(build_norm(dim), Linear(dim, 4 * dim), activation(), Linear(4 * dim, dim))
