"""Search: from a decoder and its source to the best sentences. Beam search is batched over inputs; beam 1 is greedy.

A beam's hypotheses are the M queries per memory of the attention, so keys and values are never repeated.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from multimodal_attn.decoders import Decoder, Source
from multimodal_attn.errors import ConfigError
from multimodal_attn.memory import select_inputs, select_queries
from multimodal_attn.tokens import END, PAD, START, UNKNOWN

NEVER = -torch.inf


@dataclass(frozen=True)
class SearchConfig:
    """How a sentence is searched.

    Args:
        beam: hypotheses kept at every step; 1 is greedy.
        length_penalty: a sentence's log-probability is divided by its length to this power; 0 favours short ones.
        no_repeat: no sequence of this many tokens comes twice in a sentence; 0 allows all.
        min_length: tokens before the end of the sentence.
        max_length: tokens at most, the end not counted.
    """

    beam: int = 5
    length_penalty: float = 1.0
    no_repeat: int = 3
    min_length: int = 1
    max_length: int = 30

    def __post_init__(self) -> None:
        if self.beam < 1 or self.max_length < 1 or not 0 <= self.min_length <= self.max_length or self.no_repeat < 0:
            raise ConfigError(f"search: beam and max_length start at 1, min_length is at most max_length: {self}")


class Hypotheses(NamedTuple):
    """tokens (B, K, T): best first, END closes each, then PAD. scores (B, K): length-normalised log-probability."""

    tokens: Tensor
    scores: Tensor


class _Beam(NamedTuple):
    """All hypotheses of the inputs still searched: b inputs, K live and K finished ones each."""

    inputs: Tensor  # (b,) which inputs they are
    tokens: Tensor  # (b, K, t)
    logp: Tensor  # (b, K)
    done: Tensor  # (b, K, max_length + 1) finished sentences
    scores: Tensor  # (b, K) their normalised scores, NEVER where there is none


def beam_search(decoder: Decoder, source: Source, config: SearchConfig) -> Hypotheses:
    """The K = config.beam best sentences of every input of the source.

    An input is finished when K of its hypotheses are; what else is in the batch changes nothing. Ties go to the lowest
    token id. At max_length every live hypothesis is closed, so there is always an answer.
    """
    n_inputs, k = len(source.summary), config.beam
    beam = _start(source, config)
    state = decoder.start(source, k)
    out = Hypotheses(beam.done.clone(), beam.scores.clone())
    for step in range(config.max_length + 1):
        last = beam.tokens[:, :, -1] if step else torch.full_like(beam.done[:, :, 0], START)
        logits, _, state = decoder.step(last, source, state)
        beam, parents = _extend(beam, _allowed(logits.float(), beam.tokens, config), config)
        finished = (beam.scores > NEVER).all(1)
        if step == config.max_length or finished.all():
            return _keep(out, beam)
        state = select_queries(state, parents)
        if finished.sum() * 4 >= len(finished):
            out = _keep(out, beam)
            left = (~finished).nonzero().squeeze(1)
            beam, source, state = select_inputs((beam, source, state), left)
    raise AssertionError(f"unreachable: {n_inputs} inputs were not closed")


def _start(source: Source, config: SearchConfig) -> _Beam:
    summary, k = source.summary, config.beam
    n_inputs, options = len(summary), {"device": summary.device}
    logp = torch.full((n_inputs, k), NEVER, **options)
    logp[:, 0] = 0  # the k hypotheses start equal: only one of them may be extended
    done = torch.full((n_inputs, k, config.max_length + 1), PAD, **options)
    return _Beam(torch.arange(n_inputs, **options), done[:, :, :0], logp, done, torch.full_like(logp, NEVER))


def _allowed(logits: Tensor, tokens: Tensor, config: SearchConfig) -> Tensor:
    """Log-probabilities (b, K, V); NEVER for special tokens, repeated n-grams, and an end that is too early or due."""
    logp = logits - logits.logsumexp(-1, keepdim=True)
    logp[..., [PAD, START, UNKNOWN]] = NEVER
    step = tokens.shape[-1]
    if step < config.min_length:
        logp[..., END] = NEVER
    if step == config.max_length:
        end = logp[..., END].clone()
        logp.fill_(NEVER)[..., END] = end
    n = config.no_repeat
    if n and step >= n:
        grams = tokens.unfold(-1, n, 1)  # (b, K, W, n)
        again = (grams[..., :-1] == tokens[:, :, None, step - n + 1 :]).all(-1)  # (b, K, W)
        logp.scatter_(-1, grams[..., -1], logp.gather(-1, grams[..., -1]).masked_fill(again, NEVER))
    return logp


def _extend(beam: _Beam, logp: Tensor, config: SearchConfig) -> tuple[_Beam, Tensor]:
    """Add one token to every hypothesis and keep the best: (beam, the parent (b, K) of each live hypothesis).

    An end counts when it is among the K best of all extensions; the K best others live on.
    """
    k = config.beam
    best, token = _top(logp, min(k + 1, logp.shape[-1]))  # (b, K, K + 1)
    total, order = _top((beam.logp.unsqueeze(-1) + best).flatten(1), min(2 * k, k * best.shape[-1]))
    parent, token = order // best.shape[-1], token.flatten(1).gather(1, order)  # (b, 2K)
    ends = token == END
    sentences = torch.cat([select_queries(beam.tokens, parent), token.unsqueeze(-1)], -1)  # (b, 2K, t + 1)
    beam = _finish(beam, sentences[:, :k], total[:, :k].masked_fill(~ends[:, :k], NEVER), config)
    live = ends.to(torch.uint8).argsort(dim=1, stable=True)[:, :k]  # the first K that do not end
    logp = total.gather(1, live).masked_fill(ends.gather(1, live), NEVER)
    return beam._replace(tokens=select_queries(sentences, live), logp=logp), parent.gather(1, live)


def _finish(beam: _Beam, sentences: Tensor, logp: Tensor, config: SearchConfig) -> _Beam:
    """Put finished sentences (b, K, t) with their log-probability (NEVER where unfinished) among the K best."""
    length = sentences.shape[-1]
    padding = (0, config.max_length + 1 - length)
    done = torch.cat([beam.done, torch.nn.functional.pad(sentences, padding, value=PAD)], 1)
    open_slots = (beam.scores == NEVER).sum(1, keepdim=True)  # an input stops at its K-th finished sentence
    rank = (logp > NEVER).cumsum(1)
    scores = (logp / length**config.length_penalty).masked_fill(rank > open_slots, NEVER)
    scores, order = _top(torch.cat([beam.scores, scores], 1), config.beam)
    return beam._replace(done=select_queries(done, order), scores=scores)


def _keep(out: Hypotheses, beam: _Beam) -> Hypotheses:
    return Hypotheses(
        out.tokens.index_copy(0, beam.inputs, beam.done), out.scores.index_copy(0, beam.inputs, beam.scores)
    )


def _top(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of the last axis, largest first; among equals the lowest index first, which topk leaves open."""
    values, index = x.topk(min(k + 1, x.shape[-1]))
    if bool((values[..., 1:] == values[..., :-1]).any()):
        values, index = x.sort(dim=-1, descending=True, stable=True)
    return values[..., :k], index[..., :k]


@torch.no_grad()
def sample(decoder: Decoder, source: Source, n: int, max_length: int, temperature: float = 1.0) -> Tensor:
    """n sentences per input drawn from the model, tokens (B, n, T): END closes each, then PAD."""
    state: Any = decoder.start(source, n)
    tokens = torch.full((len(source.summary), n), START, device=source.summary.device)
    ended, drawn = torch.zeros_like(tokens, dtype=torch.bool), []
    for step in range(max_length + 1):
        logits, _, state = decoder.step(tokens, source, state)
        logits[..., [PAD, START, UNKNOWN]] = NEVER
        chances = (logits.float() / temperature).softmax(-1)
        tokens = torch.multinomial(chances.flatten(0, 1), 1).view_as(tokens)
        tokens = torch.full_like(tokens, END) if step == max_length else tokens
        tokens = tokens.masked_fill(ended, PAD)
        drawn.append(tokens)
        ended = ended | (tokens == END)
        if bool(ended.all()):
            break
    return torch.stack(drawn, -1)
