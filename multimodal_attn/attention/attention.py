"""The contract of every attention: project once, start, then attend with any number of queries per memory.

    keys     = attention.project(memory)            once per input, never once per step
    state    = attention.start(memory)
    attended = attention(query, keys, state)        Attended(context, weights, state)

Nothing is kept on the module between steps, and weights are a return value.
"""

from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from torch import Tensor, nn

from multimodal_attn.attention.alignments import Aligned, Alignment, Choice, positive, stack_steps
from multimodal_attn.attention.registry import ALIGNMENTS, SCORES, build, find, share_options, typed
from multimodal_attn.attention.scores import Constant, State, Twin, split_heads
from multimodal_attn.attention.sentinel import Sentinel
from multimodal_attn.errors import ConfigError
from multimodal_attn.layers.linear import Linear
from multimodal_attn.memory import Memory

OWN = ("score", "align", "heads", "dim", "sentinel")


@dataclass(frozen=True)
class AttentionConfig:
    """A mechanism, named by data: `{score: additive, align: softmax, heads: 1, dim: 512, temperature: 0.5}`.

    score: how places are matched. align: how matches become weights; `none` for a decoder without attention.
    heads: attentions side by side, each with its own projections. dim: width in which queries and keys are compared,
    all heads together. sentinel: one more place, outside the input, for tokens that need no look at it. options: what
    is left, passed to the score or the alignment that knows it.
    """

    score: str = "scaled_dot"
    align: str = "softmax"
    heads: int = 1
    dim: int = 512
    sentinel: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for own in fields(self):
            typed(own.name, getattr(self, own.name), own.type)
        positive(self.heads, "heads")
        positive(self.dim, "dim")

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
    """context (B, M, D), weights (B, M, N, S), the state for the next step, and what was drawn, if anything.

    Weights sum to 1, or to less where a mechanism may look elsewhere: 1 - weights.sum(-1) is the share of a sentinel.
    """

    context: Tensor
    weights: Tensor
    state: State
    choice: Choice | None = None


class Attention(nn.Module):
    """Any score with any alignment; with several heads, also their value and output projections (Vaswani 2017)."""

    def __init__(self, config: AttentionConfig, query_dim: int, memory_dim: int) -> None:
        super().__init__()
        heads, dim = config.heads, config.dim
        if dim % heads or memory_dim % heads:
            raise ConfigError(f"attention: {heads} heads must divide dim {dim} and the memory's width {memory_dim}")
        align, score = find(ALIGNMENTS, config.align, "align"), find(SCORES, config.score, "score")
        _check_sentinel(config, align)
        sizes = {"query_dim": query_dim, "memory_dim": memory_dim, "dim": dim, "heads": heads}
        of_align, of_score = share_options(config.options, OWN, align, score)
        if not align.reads_energies:
            score = _without_score(config, of_score)
        self.context_dim = memory_dim
        self.align = build(align, sizes, of_align)
        if config.sentinel:
            self.align = Sentinel(self.align, **sizes)
        scores = [build(score, sizes, of_score) for _ in range(align.n_scores)]
        self.score = scores[0] if len(scores) == 1 else Twin(*scores)
        self.heads = heads
        self.value_map = Linear(memory_dim, memory_dim) if heads > 1 else nn.Identity()
        # no bias, so that a row without a real place gives zeros; a decoder's next layer has one
        self.output_map = Linear(memory_dim, memory_dim, bias=False) if heads > 1 else nn.Identity()

    def project(self, memory: Memory) -> Keys:
        values = memory.clean()  # (B, S, D)
        mask = None if memory.mask is None else memory.mask[:, None, None]
        return Keys(self.score.keys(values), split_heads(self.value_map(values), self.heads), mask)

    def start(self, memory: Memory) -> State:
        """The state before the first step; a mechanism fills it with tensors (B, M, ...), if it remembers anything."""
        return ()

    def forward(self, query: Tensor, keys: Keys, state: State) -> Attended:
        """One step for queries (B, M, Q)."""
        looked, aligned = state or ((), ())
        energies = self.score(self.score.queries(query), keys.keys, looked)  # (B, N, M, S)
        weights, aligned, choice, beside = self.align(energies, keys.mask, aligned, query)
        weights = weights.transpose(1, 2)
        context = self._pool(weights, keys, beside)
        state = self.score.remember(weights, looked), self.align.follow(query, context, aligned)
        return Attended(context, weights, state, choice and Choice(*(part.transpose(1, 2) for part in choice)))

    def unroll(self, queries: Tensor, keys: Keys) -> tuple[Tensor, Tensor]:
        """All T steps at once for queries (B, M, T, Q): contexts (B, M, T, D), weights (B, M, T, N, S)."""
        return self.unroll_choices(queries, keys)[:2]

    def unroll_choices(self, queries: Tensor, keys: Keys) -> tuple[Tensor, Tensor, Choice | None]:
        """`unroll`, and what a hard alignment drew at every step, both parts (B, M, T, N)."""
        shape = queries.shape[1:3]
        matches = self.score.queries(queries.flatten(1, 2))  # (B, N, M*T, A)
        if not self.score.reads_weights:
            matches = self.score(matches, keys.keys)  # (B, N, M*T, S)
        matches = matches.unflatten(-2, shape)
        one_by_one = self.score.reads_weights or self.align.reads_context
        if one_by_one:
            weights, _, choice, beside = self._align_one_by_one(matches, queries, keys)
        else:
            weights, _, choice, beside = self.align.unroll(matches, keys.mask, queries)  # (B, N, M, T, S)
        weights = weights.permute(0, 2, 3, 1, 4)
        beside = None if beside is None else beside.flatten(2, 3)
        context = self._pool(weights.flatten(1, 2), keys, beside).unflatten(1, shape)
        return context, weights, choice and Choice(*(part.permute(0, 2, 3, 1) for part in choice))

    def _align_one_by_one(self, matches: Tensor, queries: Tensor, keys: Keys) -> Aligned:
        """The loop over T that remains where a step reads what an earlier one gave.

        matches (B, N, M, T, ...) is as far as the score comes for all steps at once: energies, or projected queries.
        """
        looked, aligned, steps = (), (), []
        for match, query in zip(matches.unbind(-2), queries.unbind(2), strict=True):
            energies = self.score(match, keys.keys, looked) if self.score.reads_weights else match
            steps.append(self.align(energies, keys.mask, aligned, query))
            weights, aligned = steps[-1].weights.transpose(1, 2), steps[-1].state
            looked = self.score.remember(weights, looked)
            if self.align.reads_context:
                context = self._pool(weights, keys, steps[-1].beside)
                aligned = self.align.follow(query, context, aligned)
        return stack_steps(steps)

    def _pool(self, weights: Tensor, keys: Keys, beside: Tensor | None = None) -> Tensor:
        """Stage 3: the weighted sum. (B, M, N, S) -> (B, M, D)"""
        context = weights.transpose(1, 2).to(keys.values.dtype) @ keys.values  # (B, N, M, D / N)
        context = context if beside is None else context + beside
        return self.output_map(context.transpose(1, 2).flatten(2))


class NoAttention(nn.Module):
    """No look at any place: a context of width 0 and weights of 0 heads, for a decoder that reads the summary only."""

    source = "Sutskever, Vinyals, Le 2014; Vinyals et al. 2015, section 3.1: the summary as first state"
    context_dim = 0
    takes_sentinel = False

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

    def unroll_choices(self, queries: Tensor, keys: Keys) -> tuple[Tensor, Tensor, None]:
        return *self.unroll(queries, keys), None


def build_attention(data: dict[str, Any], query_dim: int, memory_dim: int) -> Attention | NoAttention:
    """The mechanism that `data` names, see AttentionConfig. Raises ConfigError for an unknown name or option."""
    config = AttentionConfig.from_dict(data)
    if config.align == "none":
        _check_sentinel(config, NoAttention)
        return NoAttention()
    return Attention(config, query_dim, memory_dim)


def _without_score(config: AttentionConfig, options: dict[str, Any]) -> type[Constant]:
    """The score for an alignment that reads none, so that no option of another one can have an effect."""
    if options:
        raise ConfigError(
            f"attention: align {config.align!r} looks at no score, so {', '.join(options)} of score {config.score!r}"
            " would change nothing; leave it out"
        )
    return Constant


def _check_sentinel(config: AttentionConfig, align: type[Alignment] | type[NoAttention]) -> None:
    if config.sentinel and not align.takes_sentinel:
        fit = ", ".join(name for name, kind in ALIGNMENTS.items() if kind.takes_sentinel)
        raise ConfigError(f"attention: no sentinel goes with align {config.align!r}; it goes with {fit}")
