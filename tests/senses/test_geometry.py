"""From a place of the grid to pixels of the picture, and back."""

import json

import numpy as np
import pytest

from multimodal_attn.senses.picture.geometry import PictureGeometry

GRID = PictureGeometry(width=101, height=67, box=(-11.5, -7.0, 93.5, 56.0), rows=3, cols=7)  # 15 x 21 pixels a cell


def test_cells_tile_the_box_row_by_row() -> None:
    cells = [GRID.cell(place) for place in range(GRID.n_places)]
    assert GRID.n_places == 21
    assert cells[0] == (-11.5, -7.0, 3.5, 14.0)
    assert cells[1] == (3.5, -7.0, 18.5, 14.0)  # the next column
    assert cells[7] == (-11.5, 14.0, 3.5, 35.0)  # the next row
    assert cells[-1] == (78.5, 35.0, 93.5, 56.0)
    assert sum((right - left) * (bottom - top) for left, top, right, bottom in cells) == pytest.approx(105 * 63)


@pytest.mark.parametrize("place", range(GRID.n_places))
def test_place_is_found_again_anywhere_in_its_cell(place: int) -> None:
    left, top, right, bottom = GRID.cell(place)
    for across, down in ((0.5, 0.5), (0.01, 0.01), (0.99, 0.01), (0.01, 0.99), (0.99, 0.99)):
        assert GRID.place_at(left + across * (right - left), top + down * (bottom - top)) == place


@pytest.mark.parametrize(
    "point, place", [((-500, -500), 0), ((500, -8), 6), ((100, 20), 13), ((-12, 500), 14), ((500, 500), 20)]
)
def test_positions_outside_the_box_go_to_the_nearest_cell(point: tuple[float, float], place: int) -> None:
    assert GRID.place_at(*point) == place


@pytest.mark.parametrize("place", [-1, 21])
def test_place_beside_the_grid_is_an_error(place: int) -> None:
    with pytest.raises(IndexError, match=f"{place}.*3 x 7"):
        GRID.cell(place)


def test_centre_of_mass_lies_where_the_weights_are() -> None:
    weights = np.zeros(21)
    weights[9] = 2.0
    assert GRID.centre(weights) == pytest.approx((26.0, 24.5))
    weights[7] = 1.0  # two columns to the left, half as heavy: a third of the way
    assert GRID.centre(weights) == pytest.approx((16.0, 24.5))
    assert GRID.centre(np.ones(21, np.float32)) == pytest.approx((41.0, 24.5))  # the centre of the box


def test_geometry_survives_json() -> None:
    assert PictureGeometry.from_dict(json.loads(json.dumps(GRID.to_dict()))) == GRID
    assert GRID.to_dict()["kind"] == "picture"
