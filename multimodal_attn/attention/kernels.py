"""Scores of closeness, by angle and by distance. Both come down to one product of prepared queries and keys."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from multimodal_attn.attention.scores import Dot
from multimodal_attn.errors import ConfigError
from multimodal_attn.layers.linear import Linear


class Cosine(Dot):
    """beta cos(W_q q, W_k k), beta = softplus(w . q + b) > 0 a strength that each query chooses for itself.

    strength: beta before training. A cosine is at most 1, so among 200 places beta must pass 10 to single out one.
    """

    source = "Graves, Wayne, Danihelka 2014 (Neural Turing Machines), eq. 5 and 6"

    def __init__(
        self, query_dim: int, memory_dim: int, dim: int, heads: int = 1, project: bool = True, strength: float = 10.0
    ) -> None:
        super().__init__(query_dim, memory_dim, dim, heads, project)
        if not strength > 0:
            raise ConfigError(f"attention: strength must be positive, not {strength}")
        self.strength_map = Linear(query_dim, heads)
        nn.init.zeros_(self.strength_map.weight)
        # the inverse of softplus, in the form that does not overflow
        nn.init.constant_(self.strength_map.bias, strength + math.log(-math.expm1(-strength)))

    def keys(self, values: Tensor) -> Tensor:
        return functional.normalize(super().keys(values), dim=-1)

    def queries(self, query: Tensor) -> Tensor:
        strength = functional.softplus(self.strength_map(query)).transpose(1, 2)  # (B, N, M)
        return functional.normalize(super().queries(query), dim=-1) * strength.unsqueeze(-1)


class Gaussian(Dot):
    """-|W_q q - W_k k|^2 / (2 width^2): with a softmax, kernel regression with a Gaussian kernel.

    Args:
        width: the kernel's standard deviation; by default sqrt(A), A the width of one head.
        learned: train it too, one width for each head.
    """

    source = "Nadaraya 1964; Watson 1964"

    def __init__(
        self,
        query_dim: int,
        memory_dim: int,
        dim: int,
        heads: int = 1,
        project: bool = True,
        width: float | None = None,
        learned: bool = False,
    ) -> None:
        super().__init__(query_dim, memory_dim, dim, heads, project)
        if width is not None and not width > 0:
            raise ConfigError(f"attention: width must be positive, not {width}")
        width = width or (dim // heads if project else query_dim) ** 0.5
        log_width = torch.full((heads,), width).log()
        if learned:
            self.log_width = nn.Parameter(log_width)
        else:
            self.register_buffer("log_width", log_width, persistent=False)

    def keys(self, values: Tensor) -> Tensor:
        keys = super().keys(values)
        return torch.cat([keys, torch.ones_like(keys[..., :1]), _half_square(keys)], -1)  # (B, N, S, A + 2)

    def queries(self, query: Tensor) -> Tensor:
        # -|q - k|^2 / 2 = (q, -|q|^2 / 2, -1) . (k, 1, |k|^2 / 2)
        queries = super().queries(query)
        queries = torch.cat([queries, -_half_square(queries), -torch.ones_like(queries[..., :1])], -1)
        return queries * (-2 * self.log_width).exp()[:, None, None].to(queries.dtype)


def _half_square(x: Tensor) -> Tensor:
    return x.square().sum(-1, keepdim=True) / 2
