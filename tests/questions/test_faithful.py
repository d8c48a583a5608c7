"""Deletion and insertion: planted words that need what they look at, and words that do not."""

from dataclasses import replace

import numpy as np
import pytest

from multimodal_attn.questions.faithful import by_choice, choose_parts, middle_first
from multimodal_attn.senses.sound.geometry import SoundGeometry
from tests.fake_captioner import planted_trace


def test_each_word_chooses_what_it_looked_at_most_then_the_middle_then_chance() -> None:
    chosen = choose_parts(planted_trace())
    assert chosen.sum(1).tolist() == [2] * (3 + 1 + 8)  # a tenth of 15 cells
    assert all(chosen[token, place] for token, place in enumerate((7, 1, 13)))
    assert chosen[3].nonzero()[0].tolist() == [2, 7]  # the middle cell of 3 x 5, and the first of those beside it
    assert (chosen[4:] == choose_parts(planted_trace())[4:]).all() and len(np.unique(chosen[4:], axis=0)) > 3


def test_of_a_sound_the_middle_is_a_moment_and_a_part_has_the_weight_of_all_its_places() -> None:
    geometry = SoundGeometry(2.0, 0.0, 0.02, 100)  # ten parts
    weights = np.zeros((1, 1, 100), np.float32)
    weights[0, 0, 5], weights[0, 0, 30:40] = 0.3, 0.07
    chosen = choose_parts(replace(planted_trace(("a",)), weights=weights, geometry=geometry))
    assert chosen[0].nonzero()[0].tolist() == [3]
    assert middle_first(geometry).argmax() in (4, 5)


def test_own_parts_are_told_from_others() -> None:
    left = np.full((2 + 1 + 8, 2), 0.5)
    left[0, 0], left[1, 1] = 0.1, 0.2  # each word loses by its own
    left[3:] = 0.4
    assert by_choice(left) == pytest.approx({"own": 0.3, "others": 1.0, "middle": 1.0, "random": 0.8})
