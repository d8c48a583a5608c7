"""The textbook form, written from the equations as tutorials teach it; nothing here is meant to be fast.

At every step the keys are projected again, the context is a broadcast product and a sum, the LSTM is a cell, and the
vocabulary is projected. `TextbookTrainer` is Show, Attend and Tell (Xu et al. 2015) whole; `TextbookDecoder` is one of
our own decoders, with its own parameters, in the same manner: the same function, so that sentences must agree.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from multimodal_attn.attention import Additive, Attention, Dot, Softmax
from multimodal_attn.decoders import BetweenLSTMDecoder, Decoder
from multimodal_attn.errors import ConfigError

State = tuple[Tensor, ...]  # hidden, cell of the first LSTM, then of the second


class TextbookTrainer(nn.Module):
    """Show, Attend and Tell with teacher forcing: additive attention over the features, gate, input feeding."""

    def __init__(self, memory_dim: int, dim: int, n_tokens: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_tokens, dim)
        self.first_hidden = nn.Linear(memory_dim, dim)
        self.first_cell = nn.Linear(memory_dim, dim)
        self.query_map = nn.Linear(dim, dim)
        self.key_map = nn.Linear(memory_dim, dim)
        self.v = nn.Linear(dim, 1)
        self.gate = nn.Linear(dim, memory_dim)
        self.cell = nn.LSTMCell(dim + memory_dim, dim)
        self.vocabulary = nn.Linear(dim, n_tokens)

    def forward(self, tokens: Tensor, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits (B, T, V) after each of the tokens (B, T) over features (B, S, D), zeros on padding, mask (B, S)."""
        embedded = self.embedding(tokens)
        mean = features.mean(1)
        hidden, cell = torch.tanh(self.first_hidden(mean)), torch.tanh(self.first_cell(mean))
        steps = []
        for t in range(tokens.shape[1]):
            context = torch.sigmoid(self.gate(hidden)) * self.attend(hidden, features, mask)
            hidden, cell = self.cell(torch.cat([embedded[:, t], context], 1), (hidden, cell))
            steps.append(self.vocabulary(hidden))
        return torch.stack(steps, 1)

    def attend(self, query: Tensor, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """The context (B, D) for queries (B, Q): e = v . tanh(W_q q + W_k k), softmax, weighted sum."""
        keys = self.key_map(features)  # (B, S, A), the same at every step
        energies = self.v(torch.tanh(keys + self.query_map(query).unsqueeze(1))).squeeze(2)  # (B, S)
        weights = (energies if mask is None else energies.masked_fill(~mask, -torch.inf)).softmax(1)
        return (features * weights.unsqueeze(2)).sum(1)


class TextbookDecoder:
    """One of our decoders (softmax attention, one head), its own parameters, computed in the textbook way.

    Always for one picture: its k hypotheses are the batch, and its memory is repeated for each of them.
    """

    def __init__(self, decoder: Decoder) -> None:
        attention = decoder.attention
        known = isinstance(attention, Attention) and isinstance(attention.align, Softmax) and attention.heads == 1
        if not known or not isinstance(attention.score, Additive | Dot):
            raise ConfigError(f"the textbook knows softmax of additive or dot, one head: {decoder.config.attention}")
        self.decoder, self.score, self.temperature = decoder, attention.score, attention.align.temperature
        self.between = isinstance(decoder, BetweenLSTMDecoder)
        if self.between:
            self.cells = [_parameters(decoder.words), _parameters(decoder.sentence)]
        else:
            self.cells = [_joined(decoder.from_word, decoder.from_state)]

    def start(self, features: Tensor, k: int) -> tuple[Tensor, State]:
        """The memory (k, S, D) and the first states (k, H) for the features (S, D) of one picture."""
        memory = self.decoder.bridge(features).expand(k, -1, -1).contiguous()
        first = torch.tanh(self.decoder.first(memory.mean(1)))
        return memory, first.chunk(2 * len(self.cells), 1)

    def step(self, tokens: Tensor, memory: Tensor, state: State) -> tuple[Tensor, State]:
        """Log-probabilities (k, V) after the tokens (k,), and the next state."""
        vectors = self.decoder.embedding.weight
        word = vectors[tokens] * self.decoder.config.dim**0.5
        if self.between:
            words = torch.lstm_cell(word, state[:2], *self.cells[0])
            context = self.attend(words[0], memory)
            state = words + torch.lstm_cell(torch.cat([words[0], context], 1), state[2:], *self.cells[1])
        else:
            context = self.attend(state[0], memory)
            state = torch.lstm_cell(torch.cat([word, context], 1), state, *self.cells[0])
        features = _apply(self.decoder.head, torch.cat([state[-2], context], 1))
        return linear(features, vectors, self.decoder.bias).log_softmax(1), state

    def attend(self, query: Tensor, memory: Tensor) -> Tensor:
        """The gated context (k, D) for queries (k, Q) over memories (k, S, D)."""
        return self.pool(self.energies(query, memory), query, memory)

    def energies(self, query: Tensor, memory: Tensor) -> Tensor:
        """How well queries (k, Q) match the places of memories (k, S, D). (k, S)"""
        keys = _apply(self.score.key_map, memory)  # (k, S, A), the same at every step
        queries = _apply(self.score.query_map, query).unsqueeze(1)
        if isinstance(self.score, Additive):
            return torch.tanh(keys + queries) @ self.score.v[0]
        return (keys * queries).sum(2) * self.score.scale

    def pool(self, energies: Tensor, query: Tensor, memory: Tensor) -> Tensor:
        weights = (energies / self.temperature).softmax(1)
        context = (memory * weights.unsqueeze(2)).sum(1)
        gate = self.decoder.gate
        return context if gate is None else torch.sigmoid(_apply(gate, query)) * context


def _apply(layer: nn.Module, x: Tensor) -> Tensor:
    """A linear layer by torch's plain function, so that no speed of ours gets into the textbook."""
    return x if isinstance(layer, nn.Identity) else linear(x, layer.weight, layer.bias)


def _parameters(lstm: nn.LSTM) -> tuple[Tensor, ...]:
    return lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0, lstm.bias_hh_l0


def _joined(from_word: nn.Linear, from_state: nn.Linear) -> tuple[Tensor, ...]:
    """The parameters of a cell that reads [word; context]; our decoder keeps state and context in one matrix."""
    dim = from_word.in_features
    from_hidden, from_context = from_state.weight.split([dim, from_state.in_features - dim], 1)
    weight = torch.cat([from_word.weight, from_context], 1)
    return weight, from_hidden.contiguous(), from_word.bias, torch.zeros_like(from_word.bias)
