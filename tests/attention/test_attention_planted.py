"""Every pair of score and alignment learns a task in which only one place holds the answer, and looks at that place."""

from itertools import product

import pytest

from multimodal_attn.attention import ALIGNMENTS, SCORES
from tests.planted import learn

CONTROLS = ("uniform", "static")  # cannot choose a place, or not a second time
CHOOSING = [align for align in ALIGNMENTS if align not in CONTROLS]
CONTENT = [score for score in SCORES if score != "constant"]
FORMS = ("sequence", "grid")
# the task goes forward by half a place a step, and never far
OPTIONS = {
    "local_m": {"window": 3, "rate": 0.5},
    "local_p": {"window": 3},
    "monotonic": {"bias": 0.0},
    "mocha": {"bias": 0.0, "chunk": 2},
}
PAIRS = list(product(CONTENT, CHOOSING))
# every score and every alignment in both forms, with another partner in each
FEW = [
    (CONTENT[(i + shift) % len(CONTENT)], align, form)
    for shift, form in zip((0, 5), FORMS, strict=True)
    for i, align in enumerate(CHOOSING)
]


# a few with several heads; the values of a sequence can be shared by 4, those of a grid by 2
HEADS = [
    ("additive", "softmax", "sequence", 2),
    ("scaled_dot", "softmax", "sequence", 4),
    ("coverage", "local_p", "sequence", 4),
    ("general", "entmax_1.5", "grid", 2),
    ("cosine", "forward", "grid", 2),
]
# Without content one knows the step only, which tells the place in (1/2 + 1/2 + 3/8 + 3/8 + 5/16) / 5 = 41 % at best,
# and the answer in 55 %, by the sum of the places' chances for each answer. The rest is for the luck of 512 sentences.
MOST_BY_LUCK = (0.6, 0.5)


def solve(score: str, align: str, form: str, n_steps: int = 800, heads: int = 1) -> tuple[float, float]:
    return learn({"score": score, "align": align, "heads": heads, **OPTIONS.get(align, {})}, form, n_steps)


@pytest.mark.parametrize("score, align, form", FEW)
def test_planted_place_is_learned_and_found(score: str, align: str, form: str) -> None:
    right, found = solve(score, align, form)
    assert right >= 0.99 and found >= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("score, align", PAIRS)
def test_planted_place_is_learned_and_found_by_every_pair(score: str, align: str, form: str) -> None:
    right, found = solve(score, align, form)
    assert right >= 0.99 and found >= 0.99


@pytest.mark.parametrize("score, align, form, heads", HEADS)
def test_planted_place_is_learned_and_found_by_several_heads(score: str, align: str, form: str, heads: int) -> None:
    right, found = solve(score, align, form, heads=heads)
    assert right >= 0.99 and found >= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("score, align, form", FEW)
def test_planted_place_is_learned_and_found_by_two_heads(score: str, align: str, form: str) -> None:
    right, found = solve(score, align, form, heads=2)
    assert right >= 0.99 and found >= 0.99


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("align", CONTROLS)
def test_controls_that_cannot_choose_anew_fail_by_nature(align: str, form: str) -> None:
    right, found = solve("additive", align, form, 150)
    assert right < MOST_BY_LUCK[0] and found < MOST_BY_LUCK[1]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("align", ALIGNMENTS)
def test_no_alignment_finds_the_place_by_a_constant_score(align: str, form: str) -> None:
    right, found = solve("constant", align, form, 150)
    assert right < MOST_BY_LUCK[0] and found < MOST_BY_LUCK[1]


def test_cover_holds_every_score_and_every_alignment_in_both_forms() -> None:
    for form in FORMS:
        chosen = [(score, align) for score, align, its_form in FEW if its_form == form]
        assert {score for score, _ in chosen} == set(CONTENT) and {align for _, align in chosen} == set(CHOOSING)
