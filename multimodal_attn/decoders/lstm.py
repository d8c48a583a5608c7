"""Attention LSTM decoders in two forms: attention between two LSTMs, and attention before every step of one."""

import torch
from torch import Tensor, nn

from multimodal_attn.attention import Attended, Choice, build_attention
from multimodal_attn.decoders.base import Decoder, DecoderConfig, Ready, Step, lstm_gates, lstm_step
from multimodal_attn.layers.linear import Linear
from multimodal_attn.memory import Memory, map_state


class LSTMDecoder(Decoder):
    """Base of both forms: attention, gate and head."""

    def __init__(self, config: DecoderConfig, memory_dim: int, n_tokens: int) -> None:
        super().__init__(config, memory_dim, n_tokens)
        dim = config.dim
        self.attention = build_attention({"dim": dim} | config.attention, dim, dim)
        context_dim = self.attention.context_dim
        self.gate = Linear(dim, context_dim) if config.gate and context_dim else None
        self.head = Linear(dim + context_dim, dim)

    def read(self, memory: Memory) -> Ready:
        memory = self.bridged(memory)
        return Ready(self.attention.project(memory), memory.summary())

    def gated(self, context: Tensor, query: Tensor) -> Tensor:
        return context if self.gate is None else torch.sigmoid(self.gate(query)) * context

    def features(self, hidden: Tensor, context: Tensor) -> Tensor:
        return self.dropout(self.head(self.dropout(torch.cat([hidden, context], -1))))


class BetweenLSTMDecoder(LSTMDecoder):
    """LSTM 1 reads the words, its state after the step is the query (Luong), LSTM 2 reads that state and the context.

    No input of LSTM 1 depends on a context, so training runs each LSTM over all tokens in one fused call and attends
    with all queries in one product, and still decodes step by step.
    """

    def __init__(self, config: DecoderConfig, memory_dim: int, n_tokens: int) -> None:
        super().__init__(config, memory_dim, n_tokens)
        dim = config.dim
        self.words = nn.LSTM(dim, dim, batch_first=True)
        self.sentence = nn.LSTM(dim + self.attention.context_dim, dim, batch_first=True)
        self.first = Linear(dim, 4 * dim)

    def start(self, source: Ready, n_queries: int) -> tuple:
        first = torch.tanh(self.first(source.summary)).unsqueeze(1).expand(-1, n_queries, -1)  # (B, M, 4H)
        h1, c1, h2, c2 = first.chunk(4, -1)
        return (h1, c1), (h2, c2), ()

    def step(self, tokens: Tensor, source: Ready, state: tuple) -> Step:
        words, sentence, memory = state
        words = lstm_step(self.words, self.embed(tokens), words)
        query = self.dropout(words[0])
        attended = self.attention(query, source.keys, memory)
        context = self.gated(attended.context, query)
        sentence = lstm_step(self.sentence, torch.cat([query, context], -1), sentence)
        logits = self.logits(self.features(sentence[0], context))
        return Step(logits, attended.weights, (words, sentence, attended.state))

    def unroll_choices(self, tokens: Tensor, source: Ready) -> tuple[Tensor, Tensor, Choice | None]:
        shape = tokens.shape[:2]
        words, sentence, _ = self.start(source, shape[1])
        queries = self.dropout(_run(self.words, self.embed(tokens).flatten(0, 1), words))  # (B*M, T, H)
        context, weights, choice = self.attention.unroll_choices(queries.unflatten(0, shape), source.keys)
        context = self.gated(context.flatten(0, 1), queries)
        hidden = _run(self.sentence, torch.cat([queries, context], -1), sentence)
        return self.features(hidden, context).unflatten(0, shape), weights, choice


class BeforeLSTMDecoder(LSTMDecoder):
    """The state before the step is the query (Bahdanau); the context enters the LSTM beside the word (input feeding).

    Everything that does not read the state is computed for all tokens at once: the words' share of the gates, the head
    and the vocabulary.
    """

    def __init__(self, config: DecoderConfig, memory_dim: int, n_tokens: int) -> None:
        super().__init__(config, memory_dim, n_tokens)
        dim = config.dim
        self.from_word = Linear(dim, 4 * dim)
        self.from_state = Linear(dim + self.attention.context_dim, 4 * dim, bias=False)
        self.first = Linear(dim, 2 * dim)

    def start(self, source: Ready, n_queries: int) -> tuple:
        first = torch.tanh(self.first(source.summary)).unsqueeze(1).expand(-1, n_queries, -1)
        hidden, cell = first.chunk(2, -1)
        return (hidden, cell), ()

    def step(self, tokens: Tensor, source: Ready, state: tuple) -> Step:
        hidden, attended, state = self._advance(self.from_word(self.embed(tokens)), source, state)
        return Step(self.logits(self.features(hidden, attended.context)), attended.weights, state)

    def unroll_choices(self, tokens: Tensor, source: Ready) -> tuple[Tensor, Tensor, Choice | None]:
        state = self.start(source, tokens.shape[1])
        steps = []
        for words in self.from_word(self.embed(tokens)).unbind(2):  # (B, M, 4H)
            hidden, attended, state = self._advance(words, source, state)
            steps.append((hidden, attended.context, attended.weights, *(attended.choice or ())))
        hidden, context, weights, *choice = (torch.stack(parts, 2) for parts in zip(*steps, strict=True))
        return self.features(hidden, context), weights, Choice(*choice) if choice else None

    def _advance(self, words: Tensor, source: Ready, state: tuple) -> tuple[Tensor, Attended, tuple]:
        """One step: hidden (B, M, H), the attended with its context gated, state."""
        (hidden, cell), memory = state
        attended = self.attention(hidden, source.keys, memory)
        context = self.gated(attended.context, hidden)
        hidden, cell = lstm_gates(words + self.from_state(torch.cat([hidden, context], -1)), cell)
        return hidden, attended._replace(context=context), ((hidden, cell), attended.state)


def _run(lstm: nn.LSTM, x: Tensor, state: tuple[Tensor, Tensor]) -> Tensor:
    """All steps of a fused LSTM: x (B*M, T, X), state (B, M, H) each -> (B*M, T, H)."""
    first = map_state(lambda part: part.flatten(0, 1).unsqueeze(0).contiguous(), state)
    return lstm(x, first)[0]
