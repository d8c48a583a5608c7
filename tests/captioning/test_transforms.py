"""Random views of training pictures."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from multimodal_attn.senses.picture.framing import Framing, PicturePlaces
from tasks.captioning.datamodule import CaptionDataset
from tasks.captioning.datasets import Example
from tasks.captioning.transforms import Augmentation, augment, mirror_caption

PLAIN = Augmentation(crop=1, flip=False, light=0)


def picture(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("size", [(53, 31), (31, 53), (17, 17), (1, 1), (1, 97)], ids=str)
@pytest.mark.parametrize("fit", ["squash", "crop"])
def test_view_has_the_size_that_the_encoder_reads(fit: str, size: tuple[int, int]) -> None:
    for seed in range(7):
        view = augment(picture(*size), Framing(17, fit), Augmentation(), np.random.default_rng(seed))[0]
        assert view.size == (17, 17) and view.mode == "RGB"


def test_view_is_a_function_of_the_picture_and_the_random_numbers() -> None:
    image = picture(53, 31)
    before = image.tobytes()

    def views() -> list[bytes]:
        return [augment(image, Framing(17), Augmentation(), np.random.default_rng(s))[0].tobytes() for s in range(11)]

    assert views() == views() and len(set(views())) == 11
    assert image.tobytes() == before


@pytest.mark.parametrize("fit", ["squash", "crop"])
def test_nothing_changed_is_the_picture_as_it_is_seen_in_evaluation(fit: str) -> None:
    framing, image = Framing(17, fit), picture(53, 31)
    view = augment(image, framing, PLAIN, np.random.default_rng(3))[0]
    assert torch.equal(framing.frame(view), framing.frame(image))


def test_every_other_view_is_mirrored() -> None:
    framing, image, options = Framing(17), picture(53, 31), Augmentation(crop=1, flip=True, light=0)
    plain = np.asarray(augment(image, framing, PLAIN, np.random.default_rng(0))[0])
    mirrored = 0
    for seed in range(50):
        view = np.asarray(augment(image, framing, options, np.random.default_rng(seed))[0])
        mirrored += np.array_equal(view, plain[:, ::-1])
        assert np.array_equal(view, plain) or np.array_equal(view, plain[:, ::-1])
    assert 15 < mirrored < 35


def test_view_stays_inside_the_part_that_is_read_and_keeps_its_share() -> None:
    # red and green grow with the position, from 0 to 250, in the centre square; blue marks what lies beside it
    ramp = np.zeros((251, 451, 3), np.uint8)
    ramp[..., 2] = 255
    ramp[:, 100:351, 0], ramp[:, 100:351, 1], ramp[:, 100:351, 2] = np.arange(251), np.arange(251)[:, None], 0
    options = Augmentation(crop=0.6, flip=False, light=0)
    image, spans = Image.fromarray(ramp), []
    for seed in range(30):
        view = np.asarray(augment(image, Framing(17, "crop"), options, np.random.default_rng(seed))[0]).astype(int)
        assert view[..., 2].max() < 64  # the filter of the resampling reaches a little beyond
        # the outer two of 17 places are centred 16 / 17 of the view apart
        spans.append([(view[8, -1, 0] - view[8, 0, 0]) * 17 / 16, (view[-1, 8, 1] - view[0, 8, 1]) * 17 / 16])
    spans = np.array(spans) / 251
    assert spans.min() > 0.6 - 0.05 and spans.max() < 1 and np.ptp(spans, axis=0).min() > 0.25
    assert np.abs(spans[:, 0] - spans[:, 1]).max() > 0.1  # the sides are drawn apart


def test_light_scales_brightness_within_its_share() -> None:
    grey, options = Image.new("RGB", (17, 17), (100, 100, 100)), Augmentation(crop=1, flip=False, light=0.2)
    levels = [
        int(np.asarray(augment(grey, Framing(17), options, np.random.default_rng(s))[0])[0, 0, 0]) for s in range(40)
    ]
    assert 80 <= min(levels) < 90 and 110 < max(levels) <= 120


@pytest.mark.parametrize(
    "caption, mirrored",
    [
        ("a boy on the left looks to the right", "a boy on the right looks to the left"),
        ("the rightmost dog is upright", "the rightmost dog is upright"),
        ("two dogs play", "two dogs play"),
    ],
)
def test_caption_of_the_mirrored_picture_says_the_other_side(caption: str, mirrored: str) -> None:
    assert mirror_caption(caption) == mirrored and mirror_caption(mirrored) == caption


def test_mirrored_picture_comes_with_its_mirrored_captions(tmp_path: Path) -> None:
    path, options = tmp_path / "a.png", Augmentation(crop=1, flip=True, light=0)
    picture(17, 17).save(path)
    places = PicturePlaces(Framing(17), 1, 1, (8.5, 8.5), 17)
    dataset = CaptionDataset([Example(path, (), "")], places, options, [[[5]]], 1, mirrored=[[[6]]])
    plain = dataset[0][0]
    views = [dataset[0, epoch][:2] for epoch in range(20)]
    assert {captions[0][0] for _, captions in views} == {5, 6}
    for frame, captions in views:
        assert torch.equal(frame, plain if captions == [[5]] else plain.flip(-1))
