"""Error rates against edit distances by the textbook recursion, and the report that people read."""

import random
from functools import cache

import pytest

from tasks.speech.metrics import (
    align_characters,
    align_words,
    error_rate,
    error_report,
    format_alignment,
    speech_scores,
)


def edit_distance(said: tuple[str, ...], written: tuple[str, ...]) -> int:
    """Levenshtein's recursion."""

    @cache
    def distance(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        replaced = distance(i - 1, j - 1) + (said[i - 1] != written[j - 1])
        return min(replaced, distance(i - 1, j) + 1, distance(i, j - 1) + 1)

    return distance(len(said), len(written))


def random_sentences(n: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(["a", "bee", "cat", "day"], k=rng.randrange(8))) for _ in range(n)]


HYPOTHESES, REFERENCES = random_sentences(31, 3), random_sentences(31, 5)


def test_some_of_the_sentences_are_empty_on_one_side_or_both() -> None:
    empty = {(not hypothesis, not reference) for hypothesis, reference in zip(HYPOTHESES, REFERENCES, strict=True)}
    assert len(empty) >= 3


def test_word_errors_are_the_edit_distance() -> None:
    pairs = [(tuple(r.split()), tuple(h.split())) for h, r in zip(HYPOTHESES, REFERENCES, strict=True)]
    expected = [edit_distance(*pair) for pair in pairs]
    assert [alignment.n_errors for alignment in align_words(HYPOTHESES, REFERENCES)] == expected
    rate = sum(expected) / sum(len(said) for said, _ in pairs)
    assert speech_scores(HYPOTHESES, REFERENCES, ["all"] * 31)["wer"] == pytest.approx(rate)


def test_character_errors_are_the_edit_distance() -> None:
    expected = [edit_distance(tuple(r), tuple(h)) for h, r in zip(HYPOTHESES, REFERENCES, strict=True)]
    alignments = align_characters(HYPOTHESES, REFERENCES)
    assert [alignment.n_errors for alignment in alignments] == expected
    assert error_rate(alignments) == pytest.approx(sum(expected) / sum(map(len, REFERENCES)))


def test_an_alignment_holds_both_sentences_in_order() -> None:
    for alignment, hypothesis, reference in zip(
        align_words(HYPOTHESES, REFERENCES), HYPOTHESES, REFERENCES, strict=True
    ):
        assert [edit.reference for edit in alignment.edits if edit.kind != "insert"] == reference.split()
        assert [edit.hypothesis for edit in alignment.edits if edit.kind != "delete"] == hypothesis.split()
        assert alignment.n_reference == len(reference.split())
        assert all((edit.reference == edit.hypothesis) == (edit.kind == "equal") for edit in alignment.edits)


def test_planted_errors_are_named() -> None:
    (alignment,) = align_words(["the mat sat on on"], ["the cat sat on mats on"])
    errors = [(edit.kind, edit.reference, edit.hypothesis) for edit in alignment.edits if edit.kind != "equal"]
    assert errors == [("substitute", "cat", "mat"), ("delete", "mats", "")]
    (alignment,) = align_words(["a b c"], ["a c"])
    assert [edit.kind for edit in alignment.edits] == ["equal", "insert", "equal"]


def test_every_set_has_its_own_rates() -> None:
    hypotheses, references = ["a b", "a x", "", "c"], ["a b", "a b", "a b c", "c d"]
    scores = speech_scores(hypotheses, references, ["ls", "cv", "cv", "ls"])
    assert scores["wer/ls"] == pytest.approx(1 / 4)
    assert scores["wer/cv"] == pytest.approx(4 / 5)
    assert scores["wer"] == pytest.approx(5 / 9)
    assert scores["cer/cv"] == pytest.approx(6 / 8)
    assert scores["substitutions"] + scores["deletions"] + scores["insertions"] == pytest.approx(scores["wer"])
    assert scores["deletions"] == pytest.approx(4 / 9)


def test_empty_sentences_and_empty_lists_have_a_rate() -> None:
    assert speech_scores([""], ["a b"], ["s"])["wer"] == 1
    assert speech_scores(["a b"], [""], ["s"])["wer"] == 2  # words out of nothing are not free
    assert speech_scores([""], [""], ["s"])["wer"] == 0
    assert speech_scores([], [], [])["wer"] == 0


def test_lists_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="2 hypotheses for 1 references"):
        align_words(["a", "b"], ["a"])


def test_the_report_puts_words_over_each_other() -> None:
    (alignment,) = align_words(["the dog sit on a"], ["the big dog sat on"])
    assert format_alignment("u1", alignment).splitlines()[1:] == [
        "ref  the big dog sat on",
        "hyp  the     dog sit on a",
        "         D       S      I",
    ]


def test_wide_letters_and_marks_keep_the_columns() -> None:
    (alignment,) = align_words(["\u4f60 be"], ["hello cafe\u0301"])
    _, *rows = format_alignment("u1", alignment).splitlines()
    assert rows == ["ref  hello cafe\u0301", "hyp  \u4f60    be", "     S     S"]


def test_a_long_line_is_broken_at_the_same_place_in_all_rows() -> None:
    (alignment,) = align_words(["one two for five"], ["one two three four five"])
    lines = format_alignment("u1", alignment, width=20).splitlines()[1:]
    assert len(lines) == 6 and max(map(len, lines)) <= 20
    assert lines[0].split()[1:] + lines[3].split()[1:] == ["one", "two", "three", "four", "five"]


def test_the_report_begins_with_the_worst_and_ends_with_the_most_frequent() -> None:
    report = error_report(["a b", "x x", "x b c"], ["a b", "a a", "a b c"], ["u1", "u2", "u3"], n_confusions=1)
    assert report.startswith("2 of 3 utterances have errors")
    assert "u1:" not in report
    assert 0 < report.index("u2:") < report.index("u3:")
    assert report.endswith("most frequent errors:\n     3  a -> x")
