"""Text encoder: embeddings of the source's tokens, then BLSTMs (Bahdanau et al. 2015) or self-attention."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from torch import Tensor, nn

from multimodal_attn.errors import ConfigError
from multimodal_attn.layers.dropout import Dropout
from multimodal_attn.layers.positions import Sinusoidal
from multimodal_attn.layers.recurrent import FlippedBLSTM
from multimodal_attn.layers.self_attention import SelfAttentionEncoder
from multimodal_attn.memory import Memory
from multimodal_attn.tokens import PAD

MAX_LAYERS = 8


class TextBatch(NamedTuple):
    """tokens (B, S), PAD behind the end of each."""

    tokens: Tensor


@dataclass(frozen=True)
class TextEncoderConfig:
    """Which network reads.

    Args:
        name: `blstm` (Bahdanau et al. 2015) or `transformer` (Vaswani et al. 2017).
        dim: width of the embeddings, of the layers and of the memory.
        layers: how many, 1 to 8.
        heads: of the self-attention.
        dropout: share of numbers dropped in training.
        n_tokens: entries of the vocabulary; what is given here is replaced by the tokenizer's.
    """

    name: Literal["blstm", "transformer"] = "blstm"
    dim: int = 256
    layers: int = 2
    heads: int = 4
    dropout: float = 0.3
    n_tokens: int = 0

    sense = "text"


class TextEncoder(nn.Module):
    """TextBatch -> Memory(values (B, S, D), mask (B, S)). What pads a batch changes nothing."""

    sense = "text"

    def __init__(self, config: TextEncoderConfig) -> None:
        super().__init__()
        if config.name not in READERS:
            raise ConfigError(f"encoder: no text encoder {config.name!r}; choose one of {', '.join(READERS)}")
        if not 1 <= config.layers <= MAX_LAYERS:
            raise ConfigError(f"encoder: layers lie between 1 and {MAX_LAYERS}, not {config.layers}")
        if config.n_tokens < 1 or config.dim < 2 or config.heads < 1 or config.dim % 2 or config.dim % config.heads:
            raise ConfigError(f"encoder: n_tokens starts at 1, dim is even and a multiple of heads: {config}")
        self.config, self.dim = config, config.dim
        self.embedding = nn.Embedding(config.n_tokens, config.dim)
        self.dropout = Dropout(config.dropout)
        self.reader = READERS[config.name](config)

    def forward(self, texts: TextBatch) -> Memory:
        return self.reader(self._embed(texts))

    @property
    def n_looks(self) -> tuple[int, int]:
        """Layers of self-attention and heads of each; (0, 0) for BLSTMs."""
        return getattr(self.reader, "n_looks", (0, 0))

    def looks(self, texts: TextBatch) -> Iterator[Tensor]:
        """The self-attention of one layer after the other, (B, N, S, S), the place that looks first."""
        return self.reader.looks(self._embed(texts))

    def _embed(self, texts: TextBatch) -> Memory:
        return Memory(self.dropout(self.embedding(texts.tokens)), texts.tokens != PAD)

    def set_trainable(self, trainable: bool) -> None:
        self.requires_grad_(trainable)


class BLSTM(nn.Module):
    """Bidirectional LSTMs, each added to its input and the sum normalised, so that eight of them can be trained."""

    def __init__(self, config: TextEncoderConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(FlippedBLSTM(config.dim, config.dim) for _ in range(config.layers))
        self.norms = nn.ModuleList(nn.LayerNorm(config.dim) for _ in range(config.layers))
        self.dropout = Dropout(config.dropout)

    def forward(self, memory: Memory) -> Memory:
        x = memory.clean()
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = norm(x + self.dropout(layer(x, memory.mask)))
        return Memory(x, memory.mask)


def build_transformer(config: TextEncoderConfig) -> nn.Module:
    return SelfAttentionEncoder(config.dim, config.layers, Sinusoidal(config.dim), config.heads, config.dropout)


READERS: dict[str, Callable[[TextEncoderConfig], nn.Module]] = {"blstm": BLSTM, "transformer": build_transformer}
