"""Transformer decoder: layers of causal self-attention over the words and of any attention over the memory."""

import torch
from torch import Tensor, nn

from multimodal_attn.attention import Attention, Choice, Keys, NoAttention, build_attention
from multimodal_attn.decoders.base import Decoder, DecoderConfig, Ready, SequenceDropout, Step
from multimodal_attn.errors import ConfigError
from multimodal_attn.layers.blocks import FeedForward, SelfAttention, build_norm
from multimodal_attn.layers.linear import Linear, linear
from multimodal_attn.layers.positions import build_positions
from multimodal_attn.memory import Memory

Cache = tuple[Tensor | None, tuple]  # keys and values of the words before (B, M, t, 2 D), the attention's own state


class TransformerLayer(nn.Module):
    """Three blocks, each added to its input: the words so far, the memory, a feed-forward network.

    The middle one is the project's attention, so its state joins the cached keys in the layer's.
    """

    def __init__(self, config: DecoderConfig, activation: type[nn.Module]) -> None:
        super().__init__()
        dim = config.dim
        self.words = SelfAttention(dim)
        self.norm = build_norm(dim)
        self.attention = build_attention({"dim": dim} | config.attention, dim, dim)
        context_dim = self.attention.context_dim
        self.from_context = Linear(context_dim, dim) if context_dim else None
        self.network = FeedForward(dim, activation)
        self.dropout = SequenceDropout(config.dropout)

    def step(self, x: Tensor, keys: Keys, state: Cache) -> tuple[Tensor, Tensor, Cache]:
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
    layer's, or those of the heads in `config.maps`.
    """

    activation: type[nn.Module] = nn.ReLU

    def __init__(self, config: DecoderConfig, memory_dim: int, n_tokens: int) -> None:
        super().__init__(config, memory_dim, n_tokens)
        if config.layers < 1:
            raise ConfigError(f"decoder: a transformer has at least one layer, not {config.layers}")
        self.positions = build_positions(config.positions, config.dim)
        self.first = Linear(config.dim, config.dim)
        self.layers = nn.ModuleList(TransformerLayer(config, self.activation) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.dim)
        self._check(n_tokens)

    @property
    def n_maps(self) -> int:
        return len(self.config.maps) or super().n_maps

    @property
    def attention(self) -> Attention | NoAttention:
        """The last layer's, whose weights are returned where no maps are named."""
        return self.layers[-1].attention

    def read(self, memory: Memory) -> Ready:
        memory = self.bridged(memory)
        prefix = torch.tensor(self.config.prefix, dtype=torch.long, device=memory.values.device)
        keys = tuple(layer.attention.project(memory) for layer in self.layers)
        return Ready(keys, memory.summary(), prefix.expand(len(memory.values), -1))

    def start(self, source: Ready, n_queries: int) -> tuple[Cache, ...]:
        state: tuple[Cache, ...] = ((None, ()),) * len(self.layers)
        for token in source.prefix.unbind(1):
            state = self._step(token.unsqueeze(1).expand(-1, n_queries), source, state)[2]
        return state

    def first_chances(self, source: Ready) -> Tensor:
        """Probabilities (B, V) of what follows the first token of the prefix, were every token allowed there."""
        features = self._step(source.prefix[:, :1], source, ((None, ()),) * len(self.layers))[0]
        return linear(features.squeeze(1), self.embedding.weight).float().softmax(-1)

    def step(self, tokens: Tensor, source: Ready, state: tuple[Cache, ...]) -> Step:
        features, weights, state = self._step(tokens, source, state)
        return Step(self.logits(features), weights, state)

    def _step(
        self, tokens: Tensor, source: Ready, state: tuple[Cache, ...]
    ) -> tuple[Tensor, Tensor, tuple[Cache, ...]]:
        """Features (B, M, D), weights (B, M, N, S) and the state after tokens (B, M)."""
        past = state[0][0]
        x = self._enter(tokens.unsqueeze(2), source, 0 if past is None else past.shape[-2]).squeeze(2)
        states, weights = [], []
        for layer, keys, before in zip(self.layers, source.keys, state, strict=True):
            x, looked, after = layer.step(x, keys, before)
            states.append(after)
            weights.append(looked)
        return self.norm(x), self._shown(weights), tuple(states)

    def unroll_choices(self, tokens: Tensor, source: Ready) -> tuple[Tensor, Tensor, Choice | None]:
        n_before = source.prefix.shape[1]
        before = source.prefix.unsqueeze(1).expand(-1, tokens.shape[1], -1)
        x, weights, choices = self._enter(torch.cat([before, tokens], -1), source, 0), [], []
        for layer, keys in zip(self.layers, source.keys, strict=True):
            x, looked, choice = layer.unroll(x, keys)
            weights.append(looked)
            choices += [choice] if choice else []
        drawn = Choice(*(torch.cat(parts, -1) for parts in zip(*choices, strict=True))) if choices else None
        drawn = drawn and Choice(*(part[:, :, n_before:] for part in drawn))
        return self.norm(x[:, :, n_before:]), self._shown(weights)[:, :, n_before:], drawn

    def _shown(self, weights: list[Tensor]) -> Tensor:
        """Of all layers' weights (..., N, S) those to be returned, (..., n_maps, S)."""
        maps = self.config.maps
        return torch.stack([weights[layer][..., head, :] for layer, head in maps], -2) if maps else weights[-1]

    def _check(self, n_tokens: int) -> None:
        """Raises ConfigError for maps and prefixes that do not exist."""
        layers, heads = len(self.layers), getattr(self.attention, "heads", 0)
        for pair in self.config.maps:
            if len(pair) != 2 or not (0 <= pair[0] < layers and 0 <= pair[1] < heads):
                raise ConfigError(
                    f"decoder: maps are pairs of a layer below {layers} and a head below {heads}, not {list(pair)}"
                )
        if not all(0 <= token < n_tokens for token in self.config.prefix):
            raise ConfigError(f"decoder: prefix holds tokens below {n_tokens}, not {list(self.config.prefix)}")

    def _enter(self, tokens: Tensor, source: Ready, n_past: int) -> Tensor:
        """What the first layer reads of tokens (B, M, T) that follow n_past others. (B, M, T, D)"""
        x = self.positions(self.embed(tokens), n_past)
        if n_past or self.first is None:
            return x
        first = self.first(source.summary)[:, None, None]  # (B, 1, 1, D)
        return x + nn.functional.pad(first, (0, 0, 0, x.shape[2] - 1))
