"""Times of tokens and words from weights in which they were planted."""

from itertools import combinations

import numpy as np
import pytest

from multimodal_attn.senses.sound.geometry import SoundGeometry
from multimodal_attn.trace import Word
from multimodal_attn.trace.times import FLOOR, best_stretches, start_errors, token_spans, word_times, word_tokens


def planted_weights(spans: list[tuple[int, int]], n_places: int, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """Rows that sum to 1, even over each span (T, 2), with a share of them strewn anywhere."""
    rng = np.random.default_rng(seed)
    weights = np.array([[first <= place < last for place in range(n_places)] for first, last in spans], float)
    weights = weights / weights.sum(1, keepdims=True)
    return (1 - noise) * weights + noise * rng.dirichlet(np.ones(n_places), len(spans))


SPANS = [(2, 5), (5, 6), (9, 13), (13, 17), (30, 31)]


@pytest.mark.parametrize("noise", [0, 0.05, 0.2])
def test_planted_stretches_are_found_with_the_gaps_between_them(noise: float) -> None:
    for seed in range(7):
        assert token_spans(planted_weights(SPANS, 37, noise, seed)).tolist() == [list(span) for span in SPANS]


def test_a_stray_look_back_does_not_break_the_order() -> None:
    weights = planted_weights(SPANS, 37)
    weights[3, :2] = 0.6  # the fourth token looks mostly at the very beginning
    spans = token_spans(weights)
    assert spans[3, 0] >= 13 and spans[3, 1] <= 30
    assert spans[[0, 1, 2, 4]].tolist() == [list(SPANS[i]) for i in (0, 1, 2, 4)]


def test_length_of_a_row_and_the_type_of_number_do_not_matter() -> None:
    weights = planted_weights(SPANS, 37, 0.2)
    scales = np.array([1, 1e-6, 3, 0.1, 1e4])[:, None]
    assert np.array_equal(token_spans(weights * scales), token_spans(weights))
    assert np.array_equal(token_spans(weights.astype(np.float32)), token_spans(weights))


def best_by_trying_all(gain: np.ndarray) -> float:
    """The largest sum over every choice of ordered, disjoint, non-empty stretches."""
    n_tokens, n_places = gain.shape

    def total(bounds: tuple[int, ...]) -> float:
        return sum(gain[t, bounds[2 * t] : bounds[2 * t + 1]].sum() for t in range(n_tokens))

    # starts and ends alternate; an end may equal the next start, so shift them apart to count each choice once
    choices = combinations(range(n_places + n_tokens), 2 * n_tokens)
    return max(total(tuple(bound - i // 2 for i, bound in enumerate(choice))) for choice in choices)


@pytest.mark.parametrize("n_tokens, n_places", [(1, 1), (1, 7), (2, 7), (3, 7), (3, 3), (4, 5)])
def test_stretches_are_the_best_of_all_there_are(n_tokens: int, n_places: int) -> None:
    for seed in range(11):
        gain = np.random.default_rng(seed).normal(size=(n_tokens, n_places))
        spans = best_stretches(gain)
        found = sum(gain[t, first:last].sum() for t, (first, last) in enumerate(spans))
        assert found == pytest.approx(best_by_trying_all(gain))
        assert all(first < last for first, last in spans)
        assert all(earlier[1] <= later[0] for earlier, later in zip(spans, spans[1:], strict=False))


@pytest.mark.parametrize("n_tokens, n_places", [(0, 5), (5, 0), (0, 0), (11, 5), (13, 1), (3, 2)])
def test_any_number_of_tokens_and_places_has_an_answer(n_tokens: int, n_places: int) -> None:
    spans = token_spans(np.random.default_rng(0).dirichlet(np.ones(max(n_places, 1)), n_tokens)[:, :n_places])
    assert spans.shape == (n_tokens, 2)
    if n_places:
        assert np.all(spans[:, 0] < spans[:, 1]) and np.all((spans >= 0) & (spans <= n_places))
        assert np.all(np.diff(spans[:, 0]) >= 0)


def test_rows_without_weights_still_get_a_place() -> None:
    spans = token_spans(np.zeros((3, 7)))
    assert np.all(spans[:, 1] - spans[:, 0] == 1) and np.all(np.diff(spans[:, 0]) >= 1)
    assert 0 < FLOOR < 1


# Words

GEOMETRY = SoundGeometry(seconds=3.0, start=0.5, step=0.08, n_places=37)


def test_pieces_with_marks_are_joined_to_words() -> None:
    assert word_tokens(["▁the", "▁c", "at", "s", "▁", "sat"]) == [(0, 1), (1, 4), (5, 6)]
    assert word_tokens(["the", "▁cat"]) == [(0, 1), (1, 2)]  # the first word may come without a mark


def test_characters_are_joined_to_words() -> None:
    for mark in (" ", "▁"):
        assert word_tokens(list(f"a{mark}dog{mark}{mark}ran{mark}")) == [(0, 1), (2, 5), (7, 10)]
    assert word_tokens([]) == word_tokens(["▁"]) == []


def test_words_have_the_planted_times_in_seconds() -> None:
    tokens = ["▁he", "llo", "▁", "▁you", "▁all"]
    ctc = np.array([[1, 2], [5, 7], [7, 8], [8, 9], [36, 37]])
    words = word_times(tokens, np.array(SPANS), GEOMETRY, ctc)
    assert [(word.text, word.first, word.last) for word in words] == [("hello", 0, 2), ("you", 3, 4), ("all", 4, 5)]
    times = [(word.start, word.end, *word.ctc) for word in words]
    assert times == [
        pytest.approx((0.5 + 2 * 0.08, 0.5 + 6 * 0.08, 0.5 + 1 * 0.08, 0.5 + 7 * 0.08)),
        pytest.approx((0.5 + 13 * 0.08, 0.5 + 17 * 0.08, 0.5 + 8 * 0.08, 0.5 + 9 * 0.08)),
        pytest.approx((0.5 + 30 * 0.08, 0.5 + 31 * 0.08, 3.0, 3.0)),  # within the sound
    ]
    assert word_times(["▁a"], np.array([[2, 3]]), GEOMETRY)[0].ctc is None


def test_signs_belong_to_a_word_but_not_to_its_time() -> None:
    tokens = ["\u2581\u201c", "We", "ll", ",", "\u2581\u2014", "\u2581no"]
    spans = np.array([[0, 2], [2, 4], [4, 5], [5, 9], [9, 11], [11, 13]])
    words = word_times(tokens, spans, GEOMETRY)
    assert [word.text for word in words] == ["\u201cWell,", "\u2014", "no"]
    assert (words[0].start, words[0].end) == pytest.approx((0.5 + 2 * 0.08, 0.5 + 5 * 0.08))
    assert (words[1].start, words[1].end) == pytest.approx((0.5 + 9 * 0.08, 0.5 + 11 * 0.08))


def test_only_words_recognised_rightly_count_in_the_errors_of_their_starts() -> None:
    reference = [("the", 0.1, 0.2), ("war", 0.2, 0.5), ("message", 0.6, 0.9), ("the", 1.0, 1.1), ("end", 1.1, 1.4)]
    heard = [("the", 0.13), ("wall", 0.9), ("message", 0.55), ("of", 0.7), ("end", 1.1)]
    words = [Word(text, i, i + 1, start, start + 0.1) for i, (text, start) in enumerate(heard)]
    assert start_errors(words, reference) == pytest.approx([30, -50, 0])
    assert start_errors(words[1:2], reference[:1]).shape == start_errors([], reference).shape == (0,)
    assert start_errors(words, []).shape == (0,)
