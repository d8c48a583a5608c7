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


def solve(score: str, align: str, form: str, n_steps: int = 800) -> tuple[float, float]:
    return learn({"score": score, "align": align, **OPTIONS.get(align, {})}, form, n_steps)


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


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("align", CONTROLS)
def test_controls_that_cannot_choose_anew_fail_by_nature(align: str, form: str) -> None:
    right, found = solve("additive", align, form, 150)
    assert right < 0.8 and found < 0.8


def test_cover_holds_every_score_and_every_alignment_in_both_forms() -> None:
    for form in FORMS:
        chosen = [(score, align) for score, align, its_form in FEW if its_form == form]
        assert {score for score, _ in chosen} == set(CONTENT) and {align for _, align in chosen} == set(CHOOSING)
