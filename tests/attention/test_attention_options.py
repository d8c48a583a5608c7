"""Names, options and their values: what is meant by them, and what a mistake is answered with."""

import pytest
import torch

from multimodal_attn.attention import ALIGNMENTS, SCORES, build_attention, describe
from multimodal_attn.attention.registry import canonical
from multimodal_attn.errors import ConfigError
from tests.attention.test_attention import A, D, Q, build


@pytest.mark.parametrize(
    "data, named",
    [
        ({"score": "aditive"}, "'additive'"),
        ({"score": "scaled-dott"}, "'scaled_dot'"),
        ({"align": "sofmax"}, "'softmax'"),
        ({"align": "non"}, "'none'"),
        ({"align": None}, "none"),
        ({"temprature": 2}, "temperature"),
        ({"algin": "uniform"}, "align"),
        ({"heads": 2}, "heads"),
        ({"heads": 0}, "heads"),
        ({"heads": "two"}, "heads must be a whole number, not 'two'"),
        ({"heads": 2.0}, "heads must be a whole number, not 2.0"),
        ({"heads": True}, "heads must be a whole number, not True"),
        ({"dim": 0}, "dim must be positive"),
        ({"dim": -6}, "dim must be positive"),
        ({"sentinel": "yes"}, "sentinel must be true or false, not 'yes'"),
        ({"align": "none", "heads": "two"}, "heads"),
        ({"temperature": "hot"}, "temperature must be a number, not 'hot'"),
        ({"temperature": float("nan")}, "temperature must be a number, not nan"),
        ({"align": "local_m", "rate": "fast"}, "rate"),
        ({"align": "local_p", "window": 0.3}, "window must be a whole number, not 0.3"),
        ({"align": "monotonic", "bias": "x"}, "bias"),
        ({"align": "monotonic", "noise": -1}, "noise must not be negative"),
        ({"align": "forward", "reach": 1.5}, "reach"),
        ({"align": "mocha", "chunk": 2.5}, "chunk"),
        ({"score": "gaussian", "width": "wide"}, "width must be a number or null, not 'wide'"),
        ({"score": "gaussian", "learned": 1}, "learned must be true or false, not 1"),
        ({"score": "mlp", "layers": 1.5}, "layers"),
        ({"score": "location", "width": 5.0}, "width must be a whole number, not 5.0"),
        ({"score": "coverage", "most_fertile": None}, "most_fertile must be a number, not None"),
        ({"score": "mlp", "layers": 3, "align": "uniform"}, "'uniform' looks at no score, so layers of score 'mlp'"),
        ({2: 3}, "no option '2'"),
        ({"temperature": 0}, "temperature"),
        ({"score": "general", "project": False}, "project"),
        ({"score": "dot", "project": False}, "project"),
        ({"align": "static", "temperature": 2}, "temperature"),
    ],
    ids=str,
)
def test_mistakes_are_answered_in_one_line_with_the_right_name(data: dict, named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_attention({"dim": A} | data, Q, D)
    assert named in str(caught.value) and "\n" not in str(caught.value)


def test_default_is_scaled_dot_whatever_the_alignment() -> None:
    for align in ({}, {"align": "hard"}):
        assert type(build_attention({"dim": A} | align, Q, D).score) is SCORES["scaled_dot"]


def test_whole_numbers_are_taken_for_numbers() -> None:
    bias = build_attention({"align": "monotonic", "bias": -1, "dim": A}, Q, D).align.bias
    assert bias.requires_grad and bias.item() == -1.0
    kernel = build_attention({"score": "gaussian", "width": 2, "dim": A}, Q, D).score
    torch.testing.assert_close(kernel.log_width.exp(), torch.tensor([2.0]))


def test_list_of_mechanisms_names_source_and_options_of_each() -> None:
    entries = {entry.name: entry for entry in describe(ALIGNMENTS)}
    assert all(entry.summary and entry.source and "\n" not in entry.summary for entry in entries.values())
    assert entries["softmax"].options == {"temperature": 1.0} and entries["static"].options == {}
    assert entries["local_p"].options == {"window": 10}


@pytest.mark.parametrize("name, known", [("local-p", "local_p"), ("Soft", "softmax"), ("entmax", "entmax_1.5")])
def test_other_spellings_of_an_alignment_mean_the_same(name: str, known: str) -> None:
    assert type(build({"align": name, "dim": 9}).align) is ALIGNMENTS[known]


@pytest.mark.parametrize("name, known", [("Scaled Dot", "scaled_dot"), ("Bahdanau", "additive"), ("luong", "general")])
def test_other_spellings_of_a_score_mean_the_same(name: str, known: str) -> None:
    assert type(build({"score": name, "dim": 9}).score) is SCORES[known]
    assert canonical(name) == known
