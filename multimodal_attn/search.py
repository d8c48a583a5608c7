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
    tokens: Tensor  # (b, K, t); before the first token there is one hypothesis, not K
    logp: Tensor  # (b, K)
    done: Tensor  # (b, K, max_length + 1) finished sentences
    scores: Tensor  # (b, K) their normalised scores, NEVER where there is none


@torch.no_grad()
def beam_search(decoder: Decoder, source: Source, config: SearchConfig) -> Hypotheses:
    """The K = config.beam best sentences of every input of the source.

    An input is finished when K of its hypotheses are; what else is in the batch changes nothing. Ties go to the lowest
    token id. At max_length every live hypothesis is closed, so there is always an answer.
    """
    beam = _start(source, config)
    state = decoder.start(source, 1)
    out = Hypotheses(beam.done.clone(), beam.scores.clone())
    for step in range(config.max_length + 1):
        last = beam.tokens[:, :, -1] if step else torch.full_like(beam.done[:, :1, 0], START)
        logits, _, state = decoder.step(last, source, state)
        beam, parents = _extend(beam, _allowed(logits.float(), beam.tokens, config), config)
        finished = (beam.scores > NEVER).all(1)
        if step == config.max_length or finished.all():
            return _keep(out, beam)
        state = select_queries(state, parents)
        if finished.any():
            out = _keep(out, beam)
            left = (~finished).nonzero().squeeze(1)
            beam, source, state = select_inputs((beam, source, state), left)
    raise AssertionError("unreachable: at max_length every hypothesis is closed")


def _start(source: Source, config: SearchConfig) -> _Beam:
    n_inputs, options = len(source.summary), {"device": source.summary.device}
    done = torch.full((n_inputs, config.beam, config.max_length + 1), PAD, **options)
    logp, scores = torch.zeros((n_inputs, 1), **options), torch.full((n_inputs, config.beam), NEVER, **options)
    return _Beam(torch.arange(n_inputs, **options), done[:, :1, :0], logp, done, scores)


def _allowed(logits: Tensor, tokens: Tensor, config: SearchConfig) -> Tensor:
    """Log-probabilities (b, K, V); NEVER for special tokens, repeated n-grams, and an end that is too early or due."""
    logp = without_specials(logits.log_softmax(-1))
    step, n = tokens.shape[-1], config.no_repeat
    if n and step >= n:
        grams = tokens.unfold(-1, n, 1)  # (b, K, W, n)
        again = (grams[..., :-1] == tokens[:, :, None, step - n + 1 :]).all(-1)  # (b, K, W)
        logp.scatter_add_(-1, grams[..., -1], logp.new_zeros(again.shape).masked_fill(again, NEVER))
    end = logp[..., END].clone()
    if step < config.min_length:  # unless nothing else is left to say
        logp[..., END] = NEVER
        logp[..., END] = end.masked_fill(logp.amax(-1) > NEVER, NEVER)
    if step == config.max_length:
        logp.fill_(NEVER)[..., END] = end
    return logp


def _extend(beam: _Beam, logp: Tensor, config: SearchConfig) -> tuple[_Beam, Tensor]:
    """Add one token to every hypothesis and keep the best: (beam, the parent (b, K) of each live hypothesis).

    An end counts when it is among the K best of all extensions; the K best others live on.
    """
    k = config.beam
    best, token = _top(logp, k + 1)  # (b, K, K + 1)
    total, order = _top((beam.logp.unsqueeze(-1) + best).flatten(1), 2 * k)
    parent, token = order // best.shape[-1], token.flatten(1).gather(1, order)  # (b, 2K)
    ends = token == END
    sentences = torch.cat([select_queries(beam.tokens, parent), token.unsqueeze(-1)], -1)  # (b, 2K, t + 1)
    beam = _finish(beam, sentences[:, :k], total[:, :k].masked_fill(~ends[:, :k], NEVER), config)
    live = ends.to(torch.uint8).argsort(dim=1, stable=True)[:, :k]  # the first K that do not end
    logp = total.gather(1, live).masked_fill(ends.gather(1, live), NEVER)  # where there are fewer than K
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
    """The k largest of the last axis, or all if there are fewer, largest first; among equals the lowest index first,
    which topk leaves open."""
    values, index = x.topk(min(k + 1, x.shape[-1]))
    tied = ((values[..., 1:] == values[..., :-1]) & (values[..., 1:] > NEVER)).any(-1)
    if bool(tied.any()):
        ordered, place = x[tied].sort(dim=-1, descending=True, stable=True)
        values[tied], index[tied] = ordered[:, : values.shape[-1]], place[:, : values.shape[-1]]
    return values[..., :k], index[..., :k]


def without_specials(logits: Tensor) -> Tensor:
    """logits (..., V) with the tokens that are never said, PAD, START and UNKNOWN, at minus infinity."""
    return logits.index_fill(-1, torch.tensor([PAD, START, UNKNOWN], device=logits.device), NEVER)


@torch.no_grad()
def sample(
    decoder: Decoder, source: Source, n: int, max_length: int, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """n sentences per input drawn from the model: tokens (B, n, T), END closes each, then PAD; drawn (B, n, T).

    drawn is True for tokens that the model chose: not for PAD, nor for the END that closes a sentence at max_length. A
    policy gradient must leave that one out, or it unlearns to end sentences because long ones are bad.
    """
    state: Any = decoder.start(source, n)
    last = torch.full((len(source.summary), n), START, device=source.summary.device)
    running, tokens, drawn = torch.ones_like(last, dtype=torch.bool), [], []
    for _ in range(max_length):
        logits, _, state = decoder.step(last, source, state)
        chances = (without_specials(logits.float()) / temperature).softmax(-1)
        last = torch.multinomial(chances.flatten(0, 1), 1).view_as(last).masked_fill(~running, PAD)
        tokens.append(last)
        drawn.append(running)
        running = running & (last != END)
        if not bool(running.any()):
            break
    else:
        tokens.append(torch.where(running, END, PAD))
        drawn.append(torch.zeros_like(running))
    return torch.stack(tokens, -1), torch.stack(drawn, -1)
