"""Search: from a decoder and its source to the best sentences. Beam search is batched over inputs; beam 1 is greedy.

A beam's hypotheses are the M queries per memory of the attention, so keys and values are never repeated. What a next
token is worth is a weighted sum over scorers: the decoder is one, CTC and a language model may join it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from multimodal_attn.decoders import Decoder, Ready
from multimodal_attn.errors import ConfigError
from multimodal_attn.memory import select_inputs, select_queries
from multimodal_attn.search.scorers import NEVER, DecoderScorer, Scorer, close, score_all
from multimodal_attn.tokens import END, NEVER_SAID, PAD, START

LEAST = -1e4  # log-probability of a token that is forced though a scorer says never


@dataclass(frozen=True)
class SearchConfig:
    """How a sentence is searched.

    Args:
        beam: hypotheses kept at every step; 1 is greedy.
        length_penalty: a sentence's log-probability is divided by its length to this power; 0 favours short ones.
        no_repeat: no sequence of this many tokens comes twice in a sentence; 0 allows all.
        min_length: tokens before the end of the sentence.
        max_length: tokens at most, the end not counted.
        ctc: weight of the CTC head's prefix scores; the decoder has the rest, so 1 leaves it out.
        lm: weight of the language model's log-probabilities.
        words: weight of the word model's.
        length_bonus: added for every token; of use when length_penalty is below 1.
        end_margin: an end counts only if its score is at least this much (mostly below 0) above the best other token's.
        max_length_ratio: tokens at most per place of the memory, where that is below max_length; 0 is no limit.
        max_coverage: a hypothesis ends when one place has got more attention than this many tokens have; 0 never.
        speeds: a sound is heard and searched at each of these (tempo and pitch together), the hypotheses joined.
        looks: a picture is seen and searched at each of these, the hypotheses joined: the share of its sides that is
            seen, around its middle; below 0 in a mirror.
        consensus: of all hypotheses the one is said that is nearest to the others, each weighted by its score times
            this; 0 says the one with the best score.
        silence: a sound gets no words where the decoder itself gives it this probability or more that nobody speaks,
            in less than a second even more; 1 never. Whisper's decoder tells it, others do not.
    """

    beam: int = 5
    length_penalty: float = 1.0
    no_repeat: int = 3
    min_length: int = 1
    max_length: int = 30
    ctc: float = 0.0
    lm: float = 0.0
    words: float = 0.0
    length_bonus: float = 0.0
    end_margin: float | None = None
    max_length_ratio: float = 0.0
    max_coverage: float = 0.0
    speeds: tuple[float, ...] = (1.0,)
    looks: tuple[float, ...] = (1.0,)
    consensus: float = 0.0
    silence: float = 1.0

    def __post_init__(self) -> None:
        for name in ("speeds", "looks"):  # lists, where they were read from a file
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.beam < 1 or self.max_length < 1 or not 0 <= self.min_length <= self.max_length or self.no_repeat < 0:
            raise ConfigError(f"search: beam and max_length start at 1, min_length is at most max_length: {self}")
        if not 0 <= self.ctc <= 1 or min(self.lm, self.words, self.max_length_ratio, self.max_coverage) < 0:
            raise ConfigError(f"search: ctc lies between 0 and 1; lm, words and the limits are not negative: {self}")
        if not 0 < self.silence <= 1:
            raise ConfigError(f"search: silence is a probability above 0, 1 at most, not {self.silence}")
        if not self.speeds or not all(0.5 <= speed <= 2 for speed in self.speeds) or self.consensus < 0:
            raise ConfigError(f"search: speeds, one or more, lie between 0.5 and 2; consensus is not negative: {self}")
        if not self.looks or not all(0.5 <= abs(look) <= 1 for look in self.looks):
            raise ConfigError(f"search: looks, one or more, lie between .5 and 1, or -.5 and -1 in a mirror: {self}")


class Hypotheses(NamedTuple):
    """tokens (B, K, T): best first, END closes each, then PAD. scores (B, K): length-normalised log-probability, or
    weighted sum of them."""

    tokens: Tensor
    scores: Tensor


class _Beam(NamedTuple):
    """All hypotheses of the inputs still searched: b inputs, K live and K finished ones each."""

    inputs: Tensor  # (b,) which inputs they are
    limit: Tensor  # (b,) tokens at most
    begin: Tensor  # (b, P) the tokens to begin with
    tokens: Tensor  # (b, K, t); before the first token there is one hypothesis, not K
    logp: Tensor  # (b, K)
    done: Tensor  # (b, K, max_length + 1) finished sentences
    scores: Tensor  # (b, K) their normalised scores, NEVER where there is none


@torch.no_grad()
def beam_search(
    decoder: Decoder,
    source: Ready,
    config: SearchConfig,
    scorers: Sequence[Scorer] = (),
    n_places: Tensor | None = None,
    begin: Tensor | None = None,
) -> Hypotheses:
    """The K = config.beam best sentences of every input of the source.

    scorers: further opinions, weighted by the options of `config` that they name. n_places (B,): real places of every
    input, for max_length_ratio. begin (B, P): the tokens that every sentence begins with, PAD where it is free; what
    they are worth counts, and nothing forbids them.

    An input is finished when K of its hypotheses are; what else is in the batch changes nothing. Ties go to the lowest
    token id. At its longest every live hypothesis is closed, so there is always an answer.
    Raises ConfigError for a weight in `config` whose scorer is missing.
    """
    weighted = _weigh(DecoderScorer(decoder, source, config.max_coverage), config, scorers)
    beam = _start(source, config, n_places, begin)
    sources, states = zip(*(scorer.start(len(beam.limit)) for _, scorer in weighted), strict=True)
    out = Hypotheses(beam.done.clone(), beam.scores.clone())
    for step in range(config.max_length + 1):
        last = beam.tokens[:, :, -1] if step else torch.full_like(beam.done[:, :1, 0], START)
        logp, states = score_all(weighted, last, sources, states)
        beam, parents = _extend(beam, _force(logp, _allowed(logp, beam, config), beam), config)
        finished = (beam.scores > NEVER).all(1) | (beam.logp == NEVER).all(1)
        if step == config.max_length or finished.all():
            return _keep(out, beam)
        states = select_queries(states, parents)
        if finished.any():
            out = _keep(out, beam)
            left = (~finished).nonzero().squeeze(1)
            beam, sources, states = select_inputs((beam, sources, states), left)
    raise AssertionError("unreachable: at max_length every hypothesis is closed")


def _weigh(decoder: DecoderScorer, config: SearchConfig, scorers: Sequence[Scorer]) -> list[tuple[float, Scorer]]:
    """Scorers with their weights, those without any left out."""
    for option in {"ctc", "lm", "words"} - {scorer.option for scorer in scorers}:
        if getattr(config, option):
            raise ConfigError(
                f"search: {option} is {getattr(config, option)}, but the model has no part for it; set it to 0"
            )
    weighted = [(1 - config.ctc, decoder), *((getattr(config, scorer.option), scorer) for scorer in scorers)]
    return [(weight, scorer) for weight, scorer in weighted if weight]


def _start(source: Ready, config: SearchConfig, n_places: Tensor | None, begin: Tensor | None) -> _Beam:
    n_inputs, options = len(source.summary), {"device": source.summary.device}
    limit = torch.full((n_inputs,), config.max_length, **options)
    if config.max_length_ratio:
        if n_places is None:
            raise ConfigError("search: max_length_ratio needs the number of places of every input; set it to 0")
        limit = limit.minimum((config.max_length_ratio * n_places).long())
    begin = limit.new_full((n_inputs, 0), PAD) if begin is None else begin
    n_begun = ((begin != PAD) & (begin != END)).sum(1)
    if (most := max(n_begun.tolist(), default=0)) > config.max_length:
        raise ConfigError(f"search: {most} tokens to begin with are more than max_length, {config.max_length}")
    limit = limit.maximum(n_begun)
    done = torch.full((n_inputs, config.beam, config.max_length + 1), PAD, **options)
    logp, scores = torch.zeros((n_inputs, 1), **options), torch.full((n_inputs, config.beam), NEVER, **options)
    return _Beam(torch.arange(n_inputs, **options), limit, begin, done[:, :1, :0], logp, done, scores)


def _allowed(logp: Tensor, beam: _Beam, config: SearchConfig) -> Tensor:
    """Scores (b, K, V); NEVER for special tokens, repeated n-grams, and an end that is too early, too improbable or
    due. An end stays where nothing else is left to say."""
    logp = without_specials(logp)
    step, n = beam.tokens.shape[-1], config.no_repeat
    if n and step >= n:
        grams = beam.tokens.unfold(-1, n, 1)  # (b, K, W, n)
        again = (grams[..., :-1] == beam.tokens[:, :, None, step - n + 1 :]).all(-1)  # (b, K, W)
        logp.scatter_add_(-1, grams[..., -1], logp.new_zeros(again.shape).masked_fill(again, NEVER))
    end = logp[..., END].clone()
    if step < config.min_length or config.end_margin is not None:
        logp[..., END] = NEVER
        best = logp.amax(-1)
        early = best > NEVER if step < config.min_length else best + config.end_margin > end
        logp[..., END] = end.masked_fill(early, NEVER)
    if config.length_bonus:
        logp = logp + config.length_bonus
        logp[..., END] -= config.length_bonus
    return close(logp, end, (beam.limit <= step).unsqueeze(1))


def _force(logp: Tensor, allowed: Tensor, beam: _Beam) -> Tensor:
    """allowed (b, K, V) but where a token to begin with is due: there nothing but that one, at what it is worth."""
    step = beam.tokens.shape[-1]
    if step >= beam.begin.shape[1]:
        return allowed
    token = beam.begin[:, step, None, None].expand(*logp.shape[:2], 1)  # (b, K, 1)
    worth = logp.gather(-1, token).clamp_min(LEAST)
    forced = torch.full_like(allowed, NEVER).scatter(-1, token, worth)
    return torch.where(token == PAD, allowed, forced)


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
    return logits.index_fill(-1, torch.tensor(NEVER_SAID, device=logits.device), NEVER)


@torch.no_grad()
def sample(decoder: Decoder, source: Ready, n: int, max_length: int, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
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
