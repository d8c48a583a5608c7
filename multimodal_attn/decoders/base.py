"""What every decoder shares: the bridge from the memory, word embeddings tied to the output, and the contract.

source         = decoder.read(memory)                       once per input: keys, summary
state          = decoder.start(source, n_queries)           tensors (B, M, ...)
step           = decoder.step(tokens, source, state)        tokens (B, M) -> Step(logits, weights, state)
features, weights = decoder.unroll(tokens, source)          teacher forcing, tokens (B, M, T)
logits         = decoder.logits(features)                   (..., V)
"""

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from multimodal_attn.attention import Choice, Keys
from multimodal_attn.errors import ConfigError
from multimodal_attn.layers.linear import Linear, linear
from multimodal_attn.memory import Memory


@dataclass(frozen=True)
class DecoderConfig:
    """Which decoder writes the sentence.

    Args:
        form: `between` attends between two LSTMs, all tokens at once in training; `before` attends before every step of
            one LSTM and feeds the context in (Bahdanau; Show, Attend and Tell); `transformer` attends in every layer
            (Vaswani et al. 2017); `whisper` is that of Radford et al. 2022.
        attention: the mechanism, {score, align, heads, dim} and its options; {align: none} looks at the summary only as
            first state, {align: uniform} at the summary in every step.
        dim: width of the embeddings, the LSTMs or layers, and the projected memory.
        gate: scale the context by a gate that reads the LSTM's state (Xu et al. 2015, section 4.2.1).
        dropout: share of numbers dropped from embeddings, memory, and output, or what a Transformer's blocks add.
        layers: of a Transformer.
        positions: how a Transformer tells tokens apart, see positions.py: `sinusoidal` for any length, or `learned`.
        maps: the weights that a Transformer returns, pairs of a layer and one of its heads, counted from 0; empty for
            all heads of its last layer.
        prefix: tokens that a Transformer reads before the start of every sentence.
    """

    form: Literal["between", "before", "transformer", "whisper"] = "between"
    attention: dict[str, Any] = field(default_factory=lambda: {"score": "scaled_dot", "align": "softmax"})
    dim: int = 512
    gate: bool = True
    dropout: float = 0.3
    layers: int = 3
    positions: Literal["sinusoidal", "learned"] = "sinusoidal"
    maps: tuple[tuple[int, int], ...] = ()
    prefix: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "maps", tuple(map(tuple, self.maps)))  # lists, where they were read from a file
        object.__setattr__(self, "prefix", tuple(self.prefix))
        if (self.maps or self.prefix) and self.form not in ("transformer", "whisper"):
            raise ConfigError(f"decoder: maps and prefix are a Transformer's; leave them out for {self.form}")


class Ready(NamedTuple):
    """A memory made ready for decoding: the keys of the attention, or of each layer's, the mean of the projected
    memory (B, D), and the tokens (B, P) that are read before the start, if any."""

    keys: Keys | tuple[Keys, ...]
    summary: Tensor
    prefix: Tensor | None = None


class Step(NamedTuple):
    """logits (B, M, V), weights (B, M, N, S), state for the next step."""

    logits: Tensor
    weights: Tensor
    state: Any


class SequenceDropout(nn.Module):
    """Drops the same features at every token of a sequence (..., T, D) (Gal and Ghahramani 2016), which is also cheap:
    one random number per sequence and feature instead of one per token."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        return x * nn.functional.dropout(torch.ones_like(x[..., :1, :]), self.p)


class Decoder(nn.Module):
    """Base: bridge and embeddings. Forms add what lies between, and `read`, `start`, `step` and `unroll`."""

    def __init__(self, config: DecoderConfig, memory_dim: int, n_tokens: int) -> None:
        super().__init__()
        dim = config.dim
        self.config = config
        # normalised, since a dot score with the small outputs of a fresh projection is too flat to learn from
        self.bridge = nn.Sequential(Linear(memory_dim, dim), nn.LayerNorm(dim), nn.Dropout(config.dropout))
        self.embedding = nn.Embedding(n_tokens, dim)
        nn.init.normal_(self.embedding.weight, std=dim**-0.5)  # tied: rows serve as output vectors too
        self.dropout = SequenceDropout(config.dropout)
        self.bias = nn.Parameter(torch.zeros(n_tokens))

    def set_dropout(self, active: bool) -> None:
        """Switch dropout alone; fused LSTMs must stay in training mode to have gradients."""
        for module in self.modules():
            if isinstance(module, (nn.Dropout, SequenceDropout)):
                module.train(active)

    @property
    def n_maps(self) -> int:
        """Weights per token, 0 without attention."""
        return getattr(self.attention, "heads", 0)

    def bridged(self, memory: Memory) -> Memory:
        """The memory in the decoder's width. (B, S, D)"""
        return Memory(self.bridge(memory.clean()), memory.mask)

    def unroll(self, tokens: Tensor, source: Ready) -> tuple[Tensor, Tensor]:
        """Teacher forcing: features (B, M, T, D) and weights (B, M, T, N, S) of tokens (B, M, T)."""
        return self.unroll_choices(tokens, source)[:2]

    def unroll_choices(self, tokens: Tensor, source: Ready) -> tuple[Tensor, Tensor, Choice | None]:
        """The same, and where hard attention drew its places, with what probability; None where nothing is drawn."""
        raise NotImplementedError

    def embed(self, tokens: Tensor) -> Tensor:
        """Tied embeddings are small as output vectors, so they are scaled up as inputs (Vaswani 2017, section 3.4)."""
        return self.dropout(self.embedding(tokens) * self.config.dim**0.5)

    def logits(self, features: Tensor) -> Tensor:
        return linear(features, self.embedding.weight, self.bias)


def lstm_gates(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """(hidden, cell) of one LSTM step from the summed gates (..., 4H), in torch's order i, f, g, o."""
    i, f, g, o = gates.chunk(4, -1)
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


def lstm_step(lstm: nn.LSTM, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """One step of a one-layer nn.LSTM for x (B, M, X), state (hidden, cell) each (B, M, H)."""
    hidden, cell = state
    gates = linear(x, lstm.weight_ih_l0, lstm.bias_ih_l0)
    return lstm_gates(gates + linear(hidden, lstm.weight_hh_l0, lstm.bias_hh_l0), cell)
