"""Maps measured in mirrors, and the grid moved by what they say."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from multimodal_attn.checkpoint import load_checkpoint
from multimodal_attn.errors import ConfigError
from multimodal_attn.search import SearchConfig
from tasks.captioning import mirrors
from tasks.captioning.mirrors import calibrate, mirror_sums
from tests.conftest import RELEASED, SHARED, needs_shared

SEARCH = SearchConfig(beam=1, min_length=3, max_length=5)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(2)
    for i in range(5):
        pixels = rng.integers(0, 256, (7, 5, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((90 + i, 60), Image.Resampling.NEAREST).save(folder / f"{i}.png")
    return folder


def test_calibrated_maps_mirror(tiny_checkpoint: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_checkpoint(tiny_checkpoint)[0]
    before, start = mirror_sums(model, SEARCH, [pictures]), model.encoder.start
    calibrate(model, SEARCH, [pictures])
    assert np.abs(before - 1).max() > 0.02  # the tiny encoder's places sit too far left
    assert mirror_sums(model, SEARCH, [pictures]) == pytest.approx((1, 1), abs=0.1 / 64)  # start has one decimal
    assert model.encoder.config.start == pytest.approx(tuple(start - (before - 1) * 32), abs=0.1)
    monkeypatch.setattr(mirrors, "BATCH", 2)
    assert mirror_sums(model, SEARCH, [pictures]) == pytest.approx((1, 1), abs=0.1 / 64)


def test_grid_that_lies_two_pixels_off_is_measured_so(tiny_checkpoint: Path, pictures: Path) -> None:
    model = load_checkpoint(tiny_checkpoint)[0]
    right = mirror_sums(model, SEARCH, [pictures])
    across, down = model.encoder.start
    model.encoder.config = replace(model.encoder.config, start=(across + 2, down - 1))
    assert mirror_sums(model, SEARCH, [pictures]) - right == pytest.approx((4 / 64, -2 / 64))


def test_what_has_no_maps_or_no_pictures_is_refused_in_one_line(tiny_checkpoint: Path, tmp_path: Path) -> None:
    model = load_checkpoint(tiny_checkpoint)[0]
    with pytest.raises(ConfigError, match="--calibrate"):
        calibrate(model, SEARCH, [tmp_path])
    model.encoder = torch.nn.Identity()
    with pytest.raises(ConfigError, match="--calibrate"):
        calibrate(model, SEARCH, [tmp_path])


@needs_shared
def test_released_captioners_maps_mirror() -> None:
    model, search, _ = load_checkpoint(RELEASED)
    photographs = sorted((SHARED / "data" / "coco-dev" / "Images").glob("*.jpg"))[:64]
    assert mirror_sums(model, replace(search, beam=1), photographs) == pytest.approx((1, 1), abs=0.02)
