"""The contract of every attention: project once, start, then attend with any number of queries per memory.

    keys     = attention.project(memory)            once per input, never once per step
    state    = attention.start(memory)
    attended = attention(query, keys, state)        Attended(context, weights, state)

Nothing is kept on the module between steps, and weights are a return value.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from difflib import get_close_matches
from inspect import signature
from typing import Any, NamedTuple

from torch import Tensor, nn

from multimodal_attn.attention.alignments import ALIGNMENTS, State
from multimodal_attn.attention.scores import SCORES, Constant, split_heads
from multimodal_attn.errors import ConfigError
from multimodal_attn.linear import Linear
from multimodal_attn.memory import Memory

OWN = ("score", "align", "heads", "dim")


@dataclass(frozen=True)
class AttentionConfig:
    """A mechanism, named by data: `{score: additive, align: softmax, heads: 1, dim: 512, temperature: 0.5}`.

    score: how places are matched. align: how matches become weights; `none` for a decoder without attention.
    heads: attentions side by side, each with its own projections. dim: width in which queries and keys are compared,
    all heads together. options: what is left, passed to the score or the alignment that knows it.
    """

    score: str = "additive"
    align: str = "softmax"
    heads: int = 1
    dim: int = 512
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "AttentionConfig":
        own = {key: data[key] for key in OWN if key in data}
        return cls(**own, options={key: value for key, value in data.items() if key not in own})


class Keys(NamedTuple):
    """A memory made ready for queries: keys (B, N, S, A), values (B, N or 1, S, D / N or D), mask (B, 1, 1, S)."""

    keys: Tensor
    values: Tensor
    mask: Tensor | None


class Attended(NamedTuple):
    """context (B, M, D), weights (B, M, N, S), and the state for the next step."""

    context: Tensor
    weights: Tensor
    state: State


class Attention(nn.Module):
    """Any score with any alignment; with several heads, also their value and output projections (Vaswani 2017)."""

    def __init__(self, config: AttentionConfig, query_dim: int, memory_dim: int) -> None:
        super().__init__()
        heads, dim = config.heads, config.dim
        if heads < 1 or dim % heads or memory_dim % heads:
            raise ConfigError(f"attention: {heads} heads must divide dim {dim} and the memory's width {memory_dim}")
        align, score = _find(ALIGNMENTS, config.align, "align"), _find(SCORES, config.score, "score")
        score = score if align.reads_energies else Constant
        _check_options(config.options, align, score)
        self.context_dim = memory_dim
        self.align = align(**_options_of(align, config.options))
        self.score = score(query_dim, memory_dim, dim, heads, **_options_of(score, config.options))
        self.heads = heads
        self.value_map = Linear(memory_dim, memory_dim) if heads > 1 else nn.Identity()
        # no bias, so that a row without a real place gives zeros; a decoder's next layer has one
        self.output_map = Linear(memory_dim, memory_dim, bias=False) if heads > 1 else nn.Identity()

    def project(self, memory: Memory) -> Keys:
        values = memory.clean()  # (B, S, D)
        mask = None if memory.mask is None else memory.mask[:, None, None]
        return Keys(self.score.keys(values), split_heads(self.value_map(values), self.heads), mask)

    def start(self, memory: Memory) -> State:
        """The state before the first step: tensors (B, M, ...), none for a mechanism that remembers nothing."""
        return ()

    def forward(self, query: Tensor, keys: Keys, state: State) -> Attended:
        """One step for queries (B, M, Q)."""
        weights, state = self.align(self.score(query, keys.keys), keys.mask, state)  # (B, N, M, S)
        return Attended(self._pool(weights, keys), weights.transpose(1, 2), state)

    def unroll(self, queries: Tensor, keys: Keys) -> tuple[Tensor, Tensor]:
        """All T steps at once for queries (B, M, T, Q): contexts (B, M, T, D), weights (B, M, T, N, S)."""
        shape = queries.shape[1:3]
        energies = self.score(queries.flatten(1, 2), keys.keys).unflatten(2, shape)  # (B, N, M, T, S)
        weights = self.align.unroll(energies, keys.mask)
        context = self._pool(weights.flatten(2, 3), keys).unflatten(1, shape)
        return context, weights.permute(0, 2, 3, 1, 4)

    def _pool(self, weights: Tensor, keys: Keys) -> Tensor:
        """Stage 3: the weighted sum. (B, N, M, S) -> (B, M, D)"""
        context = weights.to(keys.values.dtype) @ keys.values  # (B, N, M, D / N)
        return self.output_map(context.transpose(1, 2).flatten(2))


class NoAttention(nn.Module):
    """The contract of a decoder that never looks: a context of width 0 and weights of 0 heads."""

    context_dim = 0

    def project(self, memory: Memory) -> Keys:
        return Keys(memory.values, memory.values, None)

    def start(self, memory: Memory) -> State:
        return ()

    def forward(self, query: Tensor, keys: Keys, state: State) -> Attended:
        n_inputs, n_queries = query.shape[:2]
        n_places = keys.values.shape[1]
        return Attended(query[..., :0], query.new_zeros(n_inputs, n_queries, 0, n_places), state)

    def unroll(self, queries: Tensor, keys: Keys) -> tuple[Tensor, Tensor]:
        return queries[..., :0], queries.new_zeros(*queries.shape[:3], 0, keys.values.shape[1])


def build_attention(data: dict[str, Any], query_dim: int, memory_dim: int) -> Attention | NoAttention:
    """The mechanism that `data` names, see AttentionConfig. Raises ConfigError for an unknown name or option."""
    config = AttentionConfig.from_dict(data)
    return NoAttention() if config.align == "none" else Attention(config, query_dim, memory_dim)


def _find(registry: dict[str, Any], name: str, stage: str) -> Any:
    if name not in registry:
        names = [*registry, "none"] if stage == "align" else list(registry)
        raise ConfigError(f"attention: no {stage} is called {name!r}; {_nearest(str(name), names)}")
    return registry[name]


def _nearest(name: str, names: Collection[str]) -> str:
    return f"did you mean {get_close_matches(name, names, 1, 0.0)[0]!r}? All: {', '.join(names)}"


def _option_names(kind: type) -> set[str]:
    return set(signature(kind).parameters) - {"query_dim", "memory_dim", "dim", "heads"}


def _options_of(kind: type, options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key in _option_names(kind)}


def _check_options(options: dict[str, Any], *kinds: type) -> None:
    known = set().union(*map(_option_names, kinds))
    if unknown := sorted(set(options) - known):
        raise ConfigError(f"attention: no option {unknown[0]!r} here; {_nearest(unknown[0], [*OWN, *sorted(known)])}")
