"""From attention weights to times: a stretch of places for every token, then a start and an end for every word."""

from collections.abc import Sequence

import jiwer
import numpy as np

from multimodal_attn.senses.sound.geometry import SoundGeometry
from multimodal_attn.trace import Word

FLOOR = 0.1  # of a token's largest weight: what it must keep of it for a place to count as its own
WORD_MARKS = "\u2581 "  # begin a word, or stand between two, in vocabularies of pieces and of characters


def token_spans(weights: np.ndarray) -> np.ndarray:
    """First and last + 1 place (T, 2) of every token, from weights (T, S): stretches in order that share no place.

    The path maximises the sum over each token's stretch of its weight, as a share of its largest, less FLOOR; so places
    that no token looks at, as in a pause, belong to none. Every token gets at least one place; where there are more
    tokens than places, neighbours share them. Dynamic programming as in time warping (Sakoe and Chiba 1978), but with
    gaps: a step for each token, vectorised over the places.
    """
    n_tokens, n_places = weights.shape
    if not n_places:
        return np.zeros((n_tokens, 2), np.int64)
    parts = -(-n_tokens // n_places) or 1  # of each place
    share = np.repeat(weights, parts, axis=1).astype(np.float64)
    share /= np.maximum(share.max(1, keepdims=True), np.finfo(np.float64).tiny)
    spans = best_stretches(share - FLOOR)
    return np.stack([spans[:, 0] // parts, -(-spans[:, 1] // parts)], 1)


def best_stretches(gain: np.ndarray) -> np.ndarray:
    """The ordered, disjoint, non-empty stretches (T, 2) with the largest sum of gain (T, S); S is at least T."""
    n_tokens, n_places = gain.shape
    reached = np.zeros(n_places + 1)  # best sum so far if all earlier tokens have ended at or before a place
    starts, ends = np.zeros((2, n_tokens, n_places + 1), np.int64)
    for token in range(n_tokens):
        total = np.concatenate([[0.0], np.cumsum(gain[token])])
        opened, starts[token] = running_max(reached - total)
        closed = np.concatenate([[-np.inf], opened[:-1] + total[1:]])
        reached, ends[token] = running_max(closed)
    spans, place = np.zeros((n_tokens, 2), np.int64), n_places
    for token in reversed(range(n_tokens)):
        end = ends[token, place]
        place = starts[token, end - 1]
        spans[token] = place, end
    return spans


def running_max(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The largest value up to each place (S,), and where it is."""
    largest = np.maximum.accumulate(values)
    is_new = np.concatenate([[True], values[1:] > largest[:-1]])
    return largest, np.maximum.accumulate(np.where(is_new, np.arange(len(values)), 0))


def word_times(
    tokens: Sequence[str], spans: np.ndarray, geometry: SoundGeometry, ctc: np.ndarray | None = None
) -> tuple[Word, ...]:
    """The words of a sentence with their times.

    tokens: T entries of the vocabulary as it spells them, so with their marks: `▁the`, `re`; or `t`, `h`, `e`, `▁`.
    spans: (T, 2) by the attention, ctc: (T, 2) by the CTC head, both in places of `geometry`. A word begins with the
    first and ends with the last of its tokens, signs aside, which are heard in pauses; marks alone belong to none.
    """
    words = []
    for first, last in word_tokens(tokens):
        said = said_tokens(tokens, first, last)
        heard = slice(said[0], said[-1] + 1)
        words.append(
            Word(
                text="".join(tokens[first:last]).strip(WORD_MARKS),
                first=first,
                last=last,
                **dict(zip(("start", "end"), seconds(spans[heard], geometry), strict=True)),
                ctc=None if ctc is None else seconds(ctc[heard], geometry),
            )
        )
    return tuple(words)


def said_tokens(tokens: Sequence[str], first: int, last: int) -> list[int]:
    """Of a word's tokens those with a letter or a digit; all of a word that has none."""
    return [i for i in range(first, last) if any(map(str.isalnum, tokens[i]))] or list(range(first, last))


def word_tokens(tokens: Sequence[str]) -> list[tuple[int, int]]:
    """First and last + 1 token of every word."""
    words: list[tuple[int, int]] = []
    after_mark = True
    for i, token in enumerate(tokens):
        if not token.strip(WORD_MARKS):
            after_mark = True
        elif after_mark or token[0] in WORD_MARKS:
            words.append((i, i + 1))
            after_mark = False
        else:
            words[-1] = (words[-1][0], i + 1)
    return words


def seconds(spans: np.ndarray, geometry: SoundGeometry) -> tuple[float, float]:
    """(start, end) of consecutive spans (n, 2) of places, to a tenth of a millisecond."""
    start, end = geometry.span(int(spans[0, 0]))[0], geometry.span(int(spans[-1, 1]) - 1)[1]
    return round(start, 4), round(end, 4)


def start_errors(words: Sequence[Word], reference: Sequence[tuple[str, float, float]]) -> np.ndarray:
    """Start of each correctly recognised word minus its true start, in milliseconds (n,): positive is late.

    reference: (word, start, end) in seconds. Words are matched by the alignment with the fewest errors, so those that
    are wrong, missing or too many do not count.
    """
    if not (words and reference):
        return np.zeros(0)
    aligned = jiwer.process_words(" ".join(word for word, *_ in reference), " ".join(word.text for word in words))
    same = [
        (words[chunk.hyp_start_idx + i].start, reference[chunk.ref_start_idx + i][1])
        for chunk in aligned.alignments[0]
        if chunk.type == "equal"
        for i in range(chunk.ref_end_idx - chunk.ref_start_idx)
    ]
    return 1000 * np.diff(np.array(same).reshape(-1, 2)[:, ::-1], axis=1)[:, 0]
