"""The arithmetic of a CNN's windows: each place of its grid is centred where it says, within a twentieth of a cell.

A network is made linear, and every kernel passes on what lies in its middle: then a place sees exactly its centre, and
a tent of light two cells wide (its values add up to the same wherever it stands) is found where it was put up.
"""

from functools import lru_cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from multimodal_attn.senses.picture.centres import Centre, map_centres, resampling
from multimodal_attn.senses.picture.encoder import ImageEncoder, ImageEncoderConfig

PLAIN = (nn.BatchNorm2d, nn.LayerNorm, nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU, nn.Hardswish)
ENCODERS = [
    ("mobilenet_v2", 224, 32, "dilate"),
    ("mobilenet_v2", 224, 16, "dilate"),
    ("mobilenet_v2", 160, 16, "join"),
    ("resnet18", 224, 32, "dilate"),
    ("resnet18", 193, 16, "early"),
    ("efficientnet_b0", 224, 32, "dilate"),
    ("convnext_tiny", 224, 32, "dilate"),
    ("densenet121", 224, 32, "dilate"),
    ("tf_efficientnet_lite0", 224, 32, "dilate"),
    ("tf_efficientnet_lite0", 224, 16, "dilate"),
    ("tf_efficientnet_lite0", 224, 16, "early"),
    ("tf_efficientnet_lite0", 224, 16, "join"),
    ("tf_efficientnet_lite0", 217, 32, "dilate"),  # TensorFlow pads an odd size otherwise
    ("timm/resnet18", 224, 16, "dilate"),
    ("timm/test_convnext", 160, 16, "join"),
    ("mobilenetv3_small_050", 224, 32, "dilate"),
]


@lru_cache
def build_linear(name: str, size: int, stride: int, finer: str) -> ImageEncoder:
    encoder = ImageEncoder(ImageEncoderConfig(name, size=size, stride=stride, finer=finer)).eval()
    for parent in list(encoder.trunk.modules()):
        for key, child in parent.named_children():
            if isinstance(child, PLAIN):
                setattr(parent, key, nn.Identity())
            if isinstance(child, nn.MaxPool2d):
                setattr(parent, key, nn.AvgPool2d(child.kernel_size, child.stride, child.padding))
    encoder.mean.zero_()  # so that black is nothing, or the averages of squeeze-and-excitation would answer to it
    for module in encoder.trunk.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.zeros_(module.weight)
            middle = tuple(slice((k - 1) // 2, k // 2 + 1) for k in module.kernel_size)  # one tap, or the middle two
            module.weight.data[:, :, *middle] = 1 / module.weight[0, :, *middle].numel()
        if isinstance(module, nn.Linear):
            nn.init.constant_(module.weight, 1 / module.in_features)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    return encoder


def tent(x: float, y: float, width: float, size: int) -> Tensor:
    """Light (size, size) that falls from 1 at (x, y) to 0 within `width` pixels across and down."""
    pixels = torch.arange(size) + 0.5
    return (1 - (pixels - y).abs() / width).clamp_min(0).unsqueeze(1) * (1 - (pixels - x).abs() / width).clamp_min(0)


@torch.inference_mode()
def found(encoder: ImageEncoder, light: Tensor, part: slice = slice(None)) -> np.ndarray:
    """Where (x, y) the features, or a part of their channels, change."""
    size = encoder.config.size
    frames = torch.stack([torch.zeros_like(light), light]).mul(255).unsqueeze(1).expand(-1, 3, -1, -1)
    values = encoder(frames).values[..., part]
    change = (values[1] - values[0]).double().sum(-1)
    return np.array(encoder.geometry(size, size).centre(change.numpy()))


@pytest.mark.parametrize("name, size, stride, finer", ENCODERS)
def test_light_is_found_within_a_twentieth_of_a_cell(name: str, size: int, stride: int, finer: str) -> None:
    encoder, rng = build_linear(name, size, stride, finer), np.random.default_rng(5)
    rows, cols = encoder.grid
    box = encoder.geometry(size, size).box
    wide = 32 if finer == "join" else stride
    margin = 4.2 if finer == "join" else 1.1  # places around it that answer too
    for place in rng.uniform(margin, rows - 1 - margin, (4, 2)):
        x, y = np.array(box[:2]) + (place + 0.5) * stride
        assert np.abs(found(encoder, tent(x, y, wide, size)) - (x, y)).max() < 0.05 * stride


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet18", "convnext_tiny", "timm/test_convnext"])
def test_every_cell_is_centred_on_its_own_place(name: str) -> None:
    encoder = build_linear(name, 160, 32, "dilate")
    geometry = encoder.geometry(160, 160)
    for place in range(geometry.n_places):
        left, top, right, bottom = geometry.cell(place)
        middle = np.array([left + right, top + bottom]) / 2
        if (middle > 0).all() and (middle < 160).all():
            assert np.abs(found(encoder, tent(*middle, 15, 160)) - middle).max() < 0.05 * 32


def test_joined_maps_lie_on_each_other() -> None:
    encoder = build_linear("tf_efficientnet_lite0", 224, 16, "join")
    light = tent(120.0, 99.0, 32, 224)
    early, last = found(encoder, light, slice(0, 112)), found(encoder, light, slice(112, None))
    assert encoder.dim == 112 + 1280 and np.abs(early - last).max() < 0.05 * 16


@pytest.mark.parametrize(
    "name, start", [("mobilenet_v2", 0.5), ("tf_efficientnet_lite0", 31.5), ("convnext_tiny", 16.0)]
)
def test_padding_decides_where_the_first_place_is_centred(name: str, start: float) -> None:
    assert ImageEncoder(ImageEncoderConfig(name, size=224)).centre == (start, 32, 7)


def test_shapes_are_found_without_computing_a_number() -> None:
    maps = map_centres(nn.Sequential(nn.Conv2d(3, 7, 3, 2, 1, device="meta"), Listed()), 11)
    assert maps == [(7, Centre(0.5, 2, 6))]


class Listed(nn.Module):
    def forward(self, x: Tensor) -> list[Tensor]:
        return [x]


def test_what_shrinks_the_grid_unseen_is_taken_for_a_tiling() -> None:
    maps = map_centres(nn.Sequential(nn.Conv2d(3, 7, 3, 1, 1), nn.PixelUnshuffle(4), Listed()), 12)
    assert maps == [(112, Centre(2.0, 4, 3))]


def test_features_that_are_no_grid_are_refused() -> None:
    with pytest.raises(ValueError, match="no square grid"):
        map_centres(nn.Sequential(nn.Conv2d(3, 7, 3), nn.Flatten(2), Listed()), 12)


def test_resampling_takes_from_the_nearest_places_and_never_past_the_edge() -> None:
    matrix = resampling(Centre(2.0, 4, 5), Centre(4.0, 8, 2))  # fine centres 2, 6, 10, 14, 18; coarse 4, 12
    expected = [[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.0, 1.0], [0.0, 1.0]]
    torch.testing.assert_close(matrix, torch.tensor(expected))
