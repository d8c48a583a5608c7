"""A small language model over a decoder's tokens, trained on text alone, and its voice in a beam search.

Fusion: its log-probabilities are added to the decoder's, weighted (shallow fusion; Gulcehre et al. 2015, section 4.1).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from multimodal_attn.decoders.base import SequenceDropout, lstm_step
from multimodal_attn.errors import ConfigError
from multimodal_attn.layers.linear import linear
from multimodal_attn.losses import cross_entropy
from multimodal_attn.tokens import PAD, START

Hidden = tuple[tuple[Tensor, Tensor], ...]  # (hidden, cell) of every layer, (B, M, H) each


@dataclass(frozen=True)
class LanguageModelConfig:
    """How large the language model is.

    Args:
        dim: width of the embeddings and of the LSTMs.
        layers: LSTMs on top of each other.
        dropout: share of numbers dropped from embeddings and from every LSTM's output.
    """

    dim: int = 384
    layers: int = 1
    dropout: float = 0.3

    def __post_init__(self) -> None:
        if self.dim < 1 or self.layers < 1 or not 0 <= self.dropout < 1:
            raise ConfigError(f"language model: dim and layers start at 1, dropout lies between 0 and 1: {self}")


class LanguageModel(nn.Module):
    """LSTMs between embeddings that serve as output vectors too (Press and Wolf 2017)."""

    def __init__(self, config: LanguageModelConfig, n_tokens: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(n_tokens, config.dim)
        nn.init.normal_(self.embedding.weight, std=config.dim**-0.5)
        self.lstms = nn.ModuleList(nn.LSTM(config.dim, config.dim, batch_first=True) for _ in range(config.layers))
        self.dropout = SequenceDropout(config.dropout)
        self.bias = nn.Parameter(torch.zeros(n_tokens))

    def logits(self, tokens: Tensor) -> Tensor:
        """What follows each of the tokens (B, T), the first of which is START. (B, T, V)"""
        return self._output(self._features(tokens))

    def loss(self, tokens: Tensor, smoothing: float = 0.0) -> Tensor:
        """Mean cross-entropy in nats of the tokens (B, T) of sentences, closed by END and then PAD."""
        before = torch.cat([torch.full_like(tokens[:, :1], START), tokens[:, :-1]], 1)
        real = tokens != PAD
        return cross_entropy(self._output(self._features(before)[real]), tokens[real], smoothing)

    def start(self, n_inputs: int, n_queries: int) -> Hidden:
        zeros = self.bias.new_zeros(n_inputs, n_queries, self.config.dim)
        return ((zeros, zeros),) * self.config.layers

    def step(self, tokens: Tensor, state: Hidden) -> tuple[Tensor, Hidden]:
        """What follows the tokens (B, M): logits (B, M, V), and the state for the next step."""
        x, states = self._embed(tokens), []
        for lstm, before in zip(self.lstms, state, strict=True):
            states.append(lstm_step(lstm, x, before))
            x = self.dropout(states[-1][0])
        return self._output(x), tuple(states)

    def _features(self, tokens: Tensor) -> Tensor:
        x = self._embed(tokens)
        for lstm in self.lstms:
            x = self.dropout(lstm(x)[0])
        return x

    def _embed(self, tokens: Tensor) -> Tensor:
        return self.dropout(self.embedding(tokens) * self.config.dim**0.5)  # as the decoders scale theirs

    def _output(self, features: Tensor) -> Tensor:
        return linear(features, self.embedding.weight, self.bias)


class LanguageModelScorer:
    """A language model's opinion in a beam search, see scorers.Scorer."""

    option = "lm"

    def __init__(self, model: LanguageModel) -> None:
        self.model = model

    def start(self, n_inputs: int) -> tuple[None, Hidden]:
        return None, self.model.start(n_inputs, 1)

    def score(self, tokens: Tensor, source: None, state: Hidden) -> tuple[Tensor, Hidden]:
        """Log-probabilities (b, M, V) of what follows the tokens (b, M)."""
        logits, state = self.model.step(tokens, state)
        return logits.float().log_softmax(-1), state
