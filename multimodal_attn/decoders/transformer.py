"""Transformer decoder: layers of causal self-attention over the words and of any attention over the memory."""

import torch
from torch import Tensor, nn

from multimodal_attn.attention import Attention, Choice, Keys, NoAttention, build_attention
from multimodal_attn.blocks import FeedForward, SelfAttention, build_norm
from multimodal_attn.decoders.base import Decoder, DecoderConfig, SequenceDropout, Source, Step
from multimodal_attn.errors import ConfigError
from multimodal_attn.linear import Linear
from multimodal_attn.memory import Memory
from multimodal_attn.positions import build_positions

State = tuple[Tensor | None, tuple]  # keys and values of the words before (B, M, t, 2 D), the attention's own state


class TransformerLayer(nn.Module):
    """Three blocks, each added to its input: the words so far, the memory, a feed-forward network.

    The middle one is the project's attention, so its state joins the cached keys in the layer's.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        dim = config.dim
        self.words = SelfAttention(dim)
        self.norm = build_norm(dim)
        self.attention = build_attention({"dim": dim} | config.attention, dim, dim)
        context_dim = self.attention.context_dim
        self.from_context = Linear(context_dim, dim) if context_dim else None
        self.network = FeedForward(dim)
        self.dropout = SequenceDropout(config.dropout)

    def step(self, x: Tensor, keys: Keys, state: State) -> tuple[Tensor, Tensor, State]:
        """One token x (B, M, D): the same shape, weights (B, M, N, S), state."""
        shape, (past, memory) = x.shape[:2], state
        said, past = self.words.step(x.flatten(0, 1), None if past is None else past.flatten(0, 1))
        x = x + self.dropout(said.unflatten(0, shape))
        attended = self.attention(self.norm(x), keys, memory)
        return self._finish(x, attended.context), attended.weights, (past.unflatten(0, shape), attended.state)

    def unroll(self, x: Tensor, keys: Keys) -> tuple[Tensor, Tensor, Choice | None]:
        """All tokens x (B, M, T, D): the same shape, weights (B, M, T, N, S), and what was drawn."""
        said = self.words(x.flatten(0, 1), causal=True).unflatten(0, x.shape[:2])
        x = x + self.dropout(said)
        context, weights, choice = self.attention.unroll_choices(self.norm(x), keys)
        return self._finish(x, context), weights, choice

    def _finish(self, x: Tensor, context: Tensor) -> Tensor:
        if self.from_context is not None:
            x = x + self.dropout(self.from_context(context))
        return x + self.dropout(self.network(x))


class TransformerDecoder(Decoder):
    """Vaswani et al. 2017, section 3, with normalised block inputs and tied embeddings.

    The memory's summary joins the first token, as it is the first state of the LSTMs, so it is also defined without
    attention. Decoding computes keys and values of a word once and keeps them in the state. Weights are the last
    layer's.
    """

    def __init__(self, config: DecoderConfig, memory_dim: int, n_tokens: int) -> None:
        super().__init__(config, memory_dim, n_tokens)
        if config.layers < 1:
            raise ConfigError(f"decoder: a transformer has at least one layer, not {config.layers}")
        self.positions = build_positions(config.positions, config.dim)
        self.first = Linear(config.dim, config.dim)
        self.layers = nn.ModuleList(TransformerLayer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.dim)

    @property
    def attention(self) -> Attention | NoAttention:
        """The one whose weights are returned."""
        return self.layers[-1].attention

    def read(self, memory: Memory) -> Source:
        memory = self.bridged(memory)
        return Source(tuple(layer.attention.project(memory) for layer in self.layers), memory.summary())

    def start(self, source: Source, n_queries: int) -> tuple[State, ...]:
        return ((None, ()),) * len(self.layers)

    def step(self, tokens: Tensor, source: Source, state: tuple[State, ...]) -> Step:
        past = state[0][0]
        x = self._enter(tokens.unsqueeze(2), source, 0 if past is None else past.shape[-2]).squeeze(2)
        states, weights = [], []
        for layer, keys, before in zip(self.layers, source.keys, state, strict=True):
            x, looked, after = layer.step(x, keys, before)
            states.append(after)
            weights.append(looked)
        return Step(self.logits(self.norm(x)), weights[-1], tuple(states))

    def unroll_choices(self, tokens: Tensor, source: Source) -> tuple[Tensor, Tensor, Choice | None]:
        x, weights, choices = self._enter(tokens, source, 0), [], []
        for layer, keys in zip(self.layers, source.keys, strict=True):
            x, looked, choice = layer.unroll(x, keys)
            weights.append(looked)
            choices += [choice] if choice else []
        drawn = Choice(*(torch.cat(parts, -1) for parts in zip(*choices, strict=True))) if choices else None
        return self.norm(x), weights[-1], drawn

    def _enter(self, tokens: Tensor, source: Source, n_past: int) -> Tensor:
        """What the first layer reads of tokens (B, M, T) that follow n_past others. (B, M, T, D)"""
        x = self.positions(self.embed(tokens), n_past)
        if n_past:
            return x
        first = self.first(source.summary)[:, None, None]  # (B, 1, 1, D)
        return x + nn.functional.pad(first, (0, 0, 0, x.shape[2] - 1))
