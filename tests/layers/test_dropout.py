"""Dropout with cheap random numbers is dropout."""

import pytest
import torch

from multimodal_attn.layers.dropout import Dropout


@pytest.mark.parametrize("p", [0.001, 0.2, 0.5])
def test_numbers_are_dropped_as_often_as_asked_and_the_rest_make_up_for_it(p: float) -> None:
    torch.manual_seed(3)
    x = torch.ones(997, 1013)
    y = Dropout(p)(x)
    dropped = (y == 0).double()
    error = (p * (1 - p) / x.numel()) ** 0.5
    assert abs(dropped.mean() - p) < 5 * error
    assert y[y != 0].unique().tolist() == pytest.approx([1 / (1 - p)], rel=1e-4)
    for part in range(4):  # the four that one random number decides over
        assert abs(dropped.flatten()[part::4].mean() - p) < 5 * 2 * error


def test_neighbours_are_dropped_independently() -> None:
    torch.manual_seed(3)
    dropped = (Dropout(0.5)(torch.ones(997, 1013)) == 0).double().flatten()
    for distance in (1, 2, 3, 4, 1013):
        both = (dropped[distance:] * dropped[:-distance]).mean()
        assert abs(both - 0.25) < 5 * (3 / 16 / len(dropped)) ** 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_gradients_flow_where_numbers_stayed(dtype: torch.dtype) -> None:
    torch.manual_seed(3)
    x = torch.randn(7, 11, 3, dtype=dtype, requires_grad=True)
    y = Dropout(0.3)(x)
    y.sum().backward()
    assert y.dtype == dtype and 0 < (x.grad == 0).sum() < x.numel()
    torch.testing.assert_close(y, x * x.grad)


def test_nothing_is_dropped_in_evaluation_or_by_zero_and_all_by_one() -> None:
    x = torch.randn(5, 7)
    assert torch.equal(Dropout(0.9).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
    assert not Dropout(1.0)(x).any()


def test_the_same_seed_drops_the_same_numbers() -> None:
    draws = []
    for _ in range(2):
        torch.manual_seed(5)
        draws.append(Dropout(0.5)(torch.ones(3, 5, 7)))
    assert torch.equal(*draws)
