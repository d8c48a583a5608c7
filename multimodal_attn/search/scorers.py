"""What says how good a next token is: the contract of every scorer in a search, the decoder as one, and their sum."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from multimodal_attn.decoders import Decoder, Ready
from multimodal_attn.memory import select_queries
from multimodal_attn.tokens import END, PAD, START

NEVER = -torch.inf


class Scorer(Protocol):
    """What an opinion about the next token needs in order to join a search.

    option: the field of SearchConfig that is its weight.
    """

    option: str

    def start(self, n_inputs: int) -> tuple[Any, Any]:
        """(source, state): tensors (B, ...) that stay, tensors (B, 1, ...) of the empty hypothesis; nested, or None.
        The search drops finished inputs from both, and reorders the hypotheses of the state."""
        ...

    def score(self, tokens: Tensor, source: Any, state: Any) -> tuple[Tensor, Any]:
        """Log-probabilities (b, K, V) of what follows the hypotheses that end in tokens (b, K), and their state."""
        ...


class DecoderScorer:
    """The decoder in the search; its state also sums the weights, where coverage is limited."""

    option = "decoder"

    def __init__(self, decoder: Decoder, source: Ready, max_coverage: float) -> None:
        self.decoder, self.source, self.max_coverage = decoder, source, max_coverage

    def start(self, n_inputs: int) -> tuple[Ready, tuple]:
        return self.source, (self.decoder.start(self.source, 1), None)

    def score(self, tokens: Tensor, source: Ready, state: tuple) -> tuple[Tensor, tuple]:
        logits, weights, memory = self.decoder.step(tokens, source, state[0])
        logp, coverage = logits.float().log_softmax(-1), state[1]
        if self.max_coverage:
            weights = weights.sum(2) / max(1, weights.shape[2])  # (b, K, S)
            coverage = weights if coverage is None else coverage + weights
            logp = close(logp, logp[..., END], (coverage > self.max_coverage).any(-1))
        return logp, (memory, coverage)


def score_all(
    weighted: list[tuple[float, Scorer]], last: Tensor, sources: Sequence[Any], states: Sequence[Any]
) -> tuple[Tensor, tuple]:
    """The weighted sum of what all scorers say (b, K, V), and their states."""
    total, new_states = None, []
    for (weight, scorer), source, state in zip(weighted, sources, states, strict=True):
        logp, state = scorer.score(last, source, state)
        new_states.append(state)
        logp = logp if weight == 1 else weight * logp
        total = logp if total is None else total + logp
    return total, tuple(new_states)


def score_sentences(scorer: Scorer, tokens: Tensor) -> Tensor:
    """What a scorer gives each sentence of tokens (B, K, T), END closing it: (B, K)."""
    source, state = scorer.start(len(tokens))
    state = select_queries(state, torch.zeros_like(tokens[..., 0]))
    last, total = torch.full_like(tokens[..., 0], START), torch.zeros(tokens.shape[:2], device=tokens.device)
    for token in tokens.unbind(-1):
        logp, state = scorer.score(last, source, state)
        worth = logp.gather(-1, token.unsqueeze(-1)).squeeze(-1)
        total = total + worth.masked_fill(token == PAD, 0.0)
        last = token
    return total


def close(logp: Tensor, end: Tensor, due: Tensor) -> Tensor:
    """Leave nothing but their end (b, K) to the hypotheses that are due, (b, K) or (b, 1)."""
    if not bool(due.any()):
        return logp
    logp = logp.masked_fill(due.unsqueeze(-1), NEVER)
    logp[..., END] = torch.where(due, end, logp[..., END])
    return logp
