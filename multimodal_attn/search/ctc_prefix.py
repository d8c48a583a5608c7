"""CTC in a beam search: how probable is it that the sentence heard begins with a given prefix?

Watanabe et al. 2017 ("Hybrid CTC/attention architecture"), algorithm 2, for all inputs, hypotheses and tokens at once.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from multimodal_attn.tokens import END, PAD

FLOOR = -1e4  # instead of minus infinity, of which no differences can be taken


class CTCSource(NamedTuple):
    """What is heard, token by token: logp and p = exp(logp), (B, V, S) in double precision."""

    logp: Tensor
    p: Tensor


class CTCPrefixes(NamedTuple):
    """Log-probability that the places up to each spell the prefix, given that the sentence starts with it.

    speaking, silent (B, M, S + 1): the last place bears the prefix's last token, or a blank; before any place comes
    first. last (B, M): the prefix's last token, START for the empty one.
    """

    speaking: Tensor
    silent: Tensor
    last: Tensor


class CTCPrefixScorer:
    """Scores next tokens by CTC: log p(sentence starts with the prefix and the token) - log p(starts with the prefix).

    The end's score is that of the prefix being the whole sentence, so scores sum up to CTC's probability of a sentence.
    A token needs a place of its own, so no sentence is longer than its sound.

    logp (B, S, V): what CTCHead gives. mask (B, S), True = real, of which the real places come first; None: all are.
    """

    option = "ctc"

    def __init__(self, logp: Tensor, mask: Tensor | None = None) -> None:
        self.logp, self.mask = logp, mask

    def start(self, n_inputs: int) -> tuple[CTCSource, None]:
        """What every step reads; there is no state before the first."""
        logp = self.logp.transpose(1, 2).double().contiguous()  # (B, V, S)
        if self.mask is not None:
            # a sure blank changes no probability of a sentence, so scores are read off behind the last place
            logp = logp.masked_fill(~self.mask.unsqueeze(1), FLOOR)
            logp[:, PAD] = logp[:, PAD].masked_fill(~self.mask, 0.0)
        logp = logp.clamp_min(FLOOR)
        return CTCSource(logp, logp.exp()), None

    def score(self, tokens: Tensor, source: CTCSource, state: CTCPrefixes | None) -> tuple[Tensor, CTCPrefixes]:
        """Scores (b, M, V) of what follows the prefixes that end in tokens (b, M); at first these are START."""
        state = _empty(tokens, source) if state is None else _advance(tokens, source, state)
        return _next_scores(source, state).float(), state


def _empty(tokens: Tensor, source: CTCSource) -> CTCPrefixes:
    """The prefix without a token: it is silent all the time."""
    silent = functional.pad(source.logp[:, None, PAD].cumsum(-1), (1, 0)).expand(-1, tokens.shape[1], -1)
    return CTCPrefixes(torch.full_like(silent, -torch.inf), silent, tokens)


def _advance(tokens: Tensor, source: CTCSource, state: CTCPrefixes) -> CTCPrefixes:
    """The state of prefixes with one more token (b, M); algorithm 2, lines 10 to 14, solved for all places at once.

    speaking[t] = p_t(token) (speaking[t - 1] + ready[t - 1]) is linear, so divided by the product of all p up to t it
    is a running sum; silent likewise, with p_t(blank).
    """
    rows = torch.arange(len(tokens), device=tokens.device).unsqueeze(1)
    spoken = source.logp[rows, tokens]  # (b, M, S)
    ready = _ready(state, tokens == state.last)[..., :-1]
    total = (ready + spoken).logsumexp(-1, keepdim=True)  # the probability of the new prefix, given the one before
    total = total.masked_fill(total < FLOOR / 2, torch.inf)  # impossible, and so is all that follows
    speaking = _recur(ready - total, spoken)
    silent = _recur(speaking[..., :-1], source.logp[:, None, PAD])
    return CTCPrefixes(speaking, silent, tokens)


def _recur(entering: Tensor, stay: Tensor) -> Tensor:
    """x[t] = stay_t (x[t - 1] + entering[t - 1]) from nothing, in logarithms: (b, M, S) -> (b, M, S + 1)."""
    product = stay.cumsum(-1)
    x = product + (entering - product + stay).logcumsumexp(-1)
    return functional.pad(x, (1, 0), value=-torch.inf)


def _ready(state: CTCPrefixes, repeats: Tensor) -> Tensor:
    """Log-probability (b, M, S + 1) that the next place may start a token; repeats (b, M) need a blank before it."""
    both = torch.logaddexp(state.speaking, state.silent)
    return torch.where(repeats.unsqueeze(-1), state.silent, both)


def _next_scores(source: CTCSource, state: CTCPrefixes) -> Tensor:
    """Log-probabilities (b, M, V) of every next token: the sum over the places where it may start, as one product.

    Linear in double precision: what is left out is 10^-300 of the prefix's own probability.
    """
    both = torch.logaddexp(state.speaking, state.silent)
    scores = torch.bmm(both[..., :-1].exp(), source.p.transpose(1, 2))
    rows = torch.arange(len(scores), device=scores.device).unsqueeze(1)
    again = (state.silent[..., :-1].exp() * source.p[rows, state.last]).sum(-1, keepdim=True)
    scores = scores.scatter(-1, state.last.unsqueeze(-1), again).log()
    scores[..., END], scores[..., PAD] = both[..., -1], -torch.inf  # a blank is no token
    return scores
