"""Position codes: the paper's equation, any start, and a code of its own for every place of a sequence or grid."""

import math

import pytest
import torch

from multimodal_attn.errors import ConfigError
from multimodal_attn.layers.positions import POSITIONS, GridPositions, Learned, Sinusoidal, build_positions, sinusoids

KINDS = list(POSITIONS)
GRID = (5, 5)  # square, so that a cell and its mirror image could be confused


def zeros(*shape: int) -> torch.Tensor:
    return torch.zeros(shape, dtype=torch.float64)


@pytest.mark.parametrize("dim", [7, 12])
def test_sinusoids_follow_the_equation(dim: int) -> None:
    found = sinusoids(torch.tensor([0, 1, 17, 613]), dim, torch.float64)
    for row, place in zip(found.tolist(), (0, 1, 17, 613), strict=True):
        for i, number in enumerate(row):
            angle = place / 10_000 ** ((i - i % 2) / dim)
            assert number == pytest.approx(math.cos(angle) if i % 2 else math.sin(angle), abs=1e-12)


def test_similarity_of_two_sinusoidal_codes_depends_on_their_distance_alone() -> None:
    codes = sinusoids(torch.arange(50), 22, torch.float64)
    for distance in (1, 3, 11):
        products = (codes[distance:] * codes[:-distance]).sum(-1)
        torch.testing.assert_close(products, products[:1].expand_as(products))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_rounds_the_code_and_not_the_angle(dtype: torch.dtype) -> None:
    places = torch.arange(300, 700)
    exact = sinusoids(places, 22, torch.float64)
    assert (sinusoids(places, 22, dtype).double() - exact).abs().max() < 2 * torch.finfo(dtype).eps
    assert Sinusoidal(22)(torch.zeros(3, 7, 22, dtype=dtype)).dtype == dtype


@pytest.mark.parametrize("kind", KINDS)
def test_codes_go_on_from_any_start(kind: str) -> None:
    torch.manual_seed(1)
    positions, x = build_positions(kind, 6).double(), torch.randn(2, 3, 13, 6, dtype=torch.float64)
    whole = positions(x)
    torch.testing.assert_close(whole - x, (whole - x)[:1, :1].expand_as(x))  # the same codes in every sequence
    parts = [positions(x[:, :, a:b], a) for a, b in ((0, 5), (5, 6), (6, 13))]
    torch.testing.assert_close(torch.cat(parts, 2), whole)


@pytest.mark.parametrize("kind", KINDS)
def test_every_place_has_a_code_of_its_own(kind: str) -> None:
    torch.manual_seed(1)
    codes = build_positions(kind, 16).double()(zeros(101, 16))
    assert (torch.cdist(codes, codes) + 9 * torch.eye(101)).min() > 0.1


def test_learned_codes_learn_where_they_were_used() -> None:
    positions = Learned(6, 11)
    positions(torch.zeros(2, 4, 6), 3).sum().backward()
    assert torch.equal(positions.codes.grad.any(1), torch.tensor([3 <= place < 7 for place in range(11)]))


def test_learned_codes_refuse_places_past_their_last_in_one_line() -> None:
    positions = Learned(6, 11)
    assert positions(torch.zeros(1, 2, 6), 9).shape == (1, 2, 6)
    with pytest.raises(ConfigError) as caught:
        positions(torch.zeros(1, 2, 6), 10)
    assert "11" in str(caught.value) and "sinusoidal" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("dim", [8, 11])
@pytest.mark.parametrize("kind", KINDS)
def test_code_of_a_cell_is_the_sum_of_its_rows_and_its_columns(kind: str, dim: int) -> None:
    torch.manual_seed(1)
    codes = GridPositions(kind, dim, 3, 5).double()(zeros(2, 15, dim))[1].view(3, 5, dim)  # row by row
    right = codes[:, 1:] - codes[:, :1]
    torch.testing.assert_close(right, right[:1].expand_as(right))  # a step to the right is the same in every row
    down = codes[1:] - codes[:1]
    torch.testing.assert_close(down, down[:, :1].expand_as(down))
    assert right[0].norm(dim=-1).min() > 0.1 and down[:, 0].norm(dim=-1).min() > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_no_two_cells_share_a_code_not_even_mirrored_ones(kind: str) -> None:
    torch.manual_seed(1)
    codes = GridPositions(kind, 16, *GRID).double()(zeros(1, 25, 16))[0]
    assert (torch.cdist(codes, codes) + 9 * torch.eye(25)).min() > 0.1


@pytest.mark.parametrize("build", [lambda kind: build_positions(kind, 6), lambda kind: GridPositions(kind, 6, 2, 3)])
def test_unknown_kind_is_refused_with_those_there_are(build) -> None:
    with pytest.raises(ConfigError) as caught:
        build("rotary")
    assert all(kind in str(caught.value) for kind in ("rotary", *KINDS)) and "\n" not in str(caught.value)
