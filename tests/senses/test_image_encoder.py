"""The image encoder: its grid, its parameters, and the way from a place back to the original pixels."""

import io
from copy import deepcopy
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from multimodal_attn.errors import ConfigError
from multimodal_attn.senses.picture.encoder import ImageEncoder, ImageEncoderConfig
from multimodal_attn.senses.picture.framing import Framing
from multimodal_attn.senses.picture.media import read_picture
from tests.conftest import MOBILENET, needs_shared

NAMES = ("mobilenet_v2", "resnet18", "resnet50", "efficientnet_b0", "convnext_tiny")
GREY = (124, 116, 104)  # the mean of ImageNet
WIDE, TALL = (301, 173), (173, 419)
STORED_AS = {  # EXIF orientation -> what turns the upright picture into the stored one
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@lru_cache
def build(
    name: str, stride: int = 32, size: int = 224, fit: str = "squash", weights: str | None = None
) -> ImageEncoder:
    torch.manual_seed(0)
    return ImageEncoder(ImageEncoderConfig(name, weights, size, fit, stride)).eval()


@lru_cache
def build_blurring(name: str, stride: int, fit: str = "squash") -> ImageEncoder:
    """Parameters that pass light on instead of random ones: every kernel is a mean, so that a place answers to its
    surroundings evenly, and the centre of the answers is the centre of the light."""
    encoder = deepcopy(build(name, stride, fit=fit))
    for kernel in (module for module in encoder.modules() if isinstance(module, nn.Conv2d)):
        if name != "convnext_tiny":  # its layer norms would see only equal channels
            nn.init.constant_(kernel.weight, 0.7 / kernel.weight[0].numel())  # below 1, or shortcuts add up past ReLU6
    return encoder


def noise(*shape: int) -> Tensor:
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


# The grid


@torch.inference_mode()
@pytest.mark.parametrize("stride", [32, 16])
@pytest.mark.parametrize("name", NAMES)
def test_every_architecture_declares_the_grid_that_it_gives(name: str, stride: int) -> None:
    encoder = build(name, stride)
    values, mask = encoder(noise(1, 3, 224, 224))
    assert encoder.grid == (224 // stride, 224 // stride)
    assert mask is None and values.shape == (1, encoder.grid[0] * encoder.grid[1], encoder.dim)
    assert values.isfinite().all()
    geometry = encoder.geometry(224, 224)
    left, top, right, bottom = geometry.cell(0)
    assert (geometry.rows, geometry.cols, right - left, bottom - top) == (*encoder.grid, stride, stride)


@torch.inference_mode()
def test_size_that_is_no_multiple_of_the_stride_still_has_a_grid() -> None:
    encoder = build("resnet18", 16, size=107)
    assert encoder.grid == (7, 7) and encoder(noise(2, 3, 107, 107)).values.shape[1] == 49


@torch.inference_mode()
@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18", "resnet50", "convnext_tiny"])
def test_dilation_is_the_strided_network_on_a_finer_grid(name: str) -> None:
    # not for networks with squeeze-and-excitation, whose averages see the finer grid
    pictures = noise(1, 3, 160, 160)
    strided, dilated = build(name, 32)(pictures).values, build(name, 16)(pictures).values  # drawn from the same seed
    strided, dilated = strided.view(5, 5, -1), dilated.view(10, 10, -1)
    torch.testing.assert_close(dilated[::2, ::2], strided, rtol=1e-3, atol=1e-3 * float(strided.abs().max()))


# From a place back to pixels


def square_around(x: float, y: float, half: tuple[float, float]) -> tuple[int, int, int, int]:
    return round(x - half[0]), round(y - half[1]), round(x + half[0]), round(y + half[1])


def plant(encoder: ImageEncoder, size: tuple[int, int], n: int) -> tuple[list[Image.Image], np.ndarray]:
    """n grey pictures with a white square as large as a cell of stride 32, and the squares' centres (n, 2) in pixels;
    all within a cell and a half from the centre of the grid, so that the grid's edges cut off little of the answer."""
    rng, geometry = np.random.default_rng(2), encoder.geometry(*size)
    left, top, right, bottom = geometry.box
    cell = (right - left) / (encoder.config.size / 32), (bottom - top) / (encoder.config.size / 32)
    pictures, centres = [], []
    for offset in rng.uniform(-1.5, 1.5, (n, 2)):
        x, y = (left + right) / 2 + offset[0] * cell[0], (top + bottom) / 2 + offset[1] * cell[1]
        box = square_around(x, y, (cell[0] / 2, cell[1] / 2))
        pictures.append(Image.new("RGB", size, GREY))
        pictures[-1].paste((255, 255, 255), box)
        centres.append(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))
    return pictures, np.array(centres)


@torch.inference_mode()
def errors(encoder: ImageEncoder, pictures: list[Image.Image], centres: np.ndarray) -> np.ndarray:
    """How far (n, 2) from each square the features change, in cells of stride 32: read as upright originals."""
    plain = encoder.framing.frame(Image.new("RGB", pictures[0].size, GREY))
    frames = torch.stack([plain, *(encoder.framing.frame(picture) for picture in pictures)])
    values = encoder(frames).values
    change = (values[1:] - values[:1]).square().sum(-1).double().numpy()  # (n, S)
    geometry = encoder.geometry(*pictures[0].size)
    found = np.array([geometry.centre(row) for row in change])
    left, top, right, bottom = geometry.box
    return (found - centres) / [(right - left) * 32 / encoder.config.size, (bottom - top) * 32 / encoder.config.size]


@pytest.mark.parametrize("stride", [32, 16])
@pytest.mark.parametrize("name", NAMES)
def test_planted_square_is_found_again_in_original_pixels(name: str, stride: int) -> None:
    encoder = build_blurring(name, stride)
    tolerance = 0.25 if name == "convnext_tiny" else 0.1  # random parameters against even ones
    assert np.abs(errors(encoder, *plant(encoder, WIDE, 3))).max() < tolerance


@pytest.mark.parametrize("size", [WIDE, TALL, (53, 41), (224, 224)], ids=str)
@pytest.mark.parametrize("fit", ["squash", "crop"])
def test_planted_square_is_found_again_through_every_framing(fit: str, size: tuple[int, int]) -> None:
    encoder = build_blurring("resnet18", 16, fit)
    assert np.abs(errors(encoder, *plant(encoder, size, 3))).max() < 0.1


@pytest.mark.parametrize("orientation", STORED_AS)
def test_planted_square_is_found_again_in_a_rotated_file(orientation: int) -> None:
    encoder = build_blurring("resnet18", 16, "crop")
    (upright,), centres = plant(encoder, WIDE, 1)
    exif, stream = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    turn = STORED_AS[orientation]
    (upright if turn is None else upright.transpose(turn)).save(stream, "JPEG", quality=95, exif=exif)
    picture = read_picture(stream.getvalue())
    assert (picture.width, picture.height) == WIDE
    assert np.abs(errors(encoder, [picture.image], centres)).max() < 0.1


@torch.inference_mode()
def test_planted_square_is_found_again_when_the_file_was_decoded_smaller() -> None:
    encoder, size, stream = build_blurring("resnet18", 16), (1203, 907), io.BytesIO()
    (upright,), centres = plant(encoder, size, 1)
    upright.save(stream, "JPEG", quality=95)
    picture = read_picture(stream.getvalue(), min_side_hint=224)
    assert picture.image.width < 1203 == picture.width
    plain = Image.new("RGB", picture.image.size, GREY)
    values = encoder(torch.stack([encoder.framing.frame(image) for image in (plain, picture.image)])).values
    change = (values[1] - values[0]).square().sum(-1).numpy()
    found = encoder.geometry(picture.width, picture.height).centre(change)
    assert found == pytest.approx(tuple(centres[0]), abs=0.1 * 907 / 7)


@needs_shared
@pytest.mark.parametrize("stride", [32, 16])
@pytest.mark.parametrize("fit, size", [("squash", WIDE), ("crop", TALL)])
def test_planted_square_is_found_again_by_the_real_network(fit: str, size: tuple[int, int], stride: int) -> None:
    encoder = build("mobilenet_v2", stride, fit=fit, weights=str(MOBILENET))
    error = errors(encoder, *plant(encoder, size, 13))
    assert np.abs(error).max() < 0.4
    assert np.abs(error.mean(0)).max() < 0.15


def test_framing_reads_the_part_that_it_says() -> None:
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 256, (7, 11, 3), dtype=np.uint8)
    crop = Framing(7, "crop")
    assert crop.box(11, 7) == (2, 0, 9, 7)
    assert torch.equal(crop.frame(Image.fromarray(pixels)), torch.from_numpy(pixels[:, 2:9]).permute(2, 0, 1))
    halves = np.zeros((10, 30, 3), np.uint8)
    halves[:, 15:] = 200
    squashed = Framing(4, "squash").frame(Image.fromarray(halves))
    assert squashed.shape == (3, 4, 4) and squashed.dtype == torch.uint8
    assert torch.all(squashed[..., 0] == 0) and torch.all(squashed[..., 3] == 200)


# Parameters


@torch.inference_mode()
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_parameters_of_a_file_are_used_with_the_normalisation_of_torchvision(suffix: str, tmp_path: Path) -> None:
    torch.manual_seed(4)
    model, path = torchvision.models.mobilenet_v2().eval(), tmp_path / f"model{suffix}"
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    pictures = noise(2, 3, 96, 96)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = model.features(((pictures.permute(0, 2, 3, 1) / 255 - mean) / std).permute(0, 3, 1, 2))
    values = build("mobilenet_v2", size=96, weights=str(path))(pictures).values
    scale = expected.abs().max()  # random parameters leave little of a picture
    torch.testing.assert_close(values.view(2, 3, 3, 1280).permute(0, 3, 1, 2) / scale, expected / scale)


def write_nothing(path: Path) -> None:
    path.write_bytes(b"")


def write_garbage(path: Path) -> None:
    path.write_bytes(b"these are not parameters" * 9)


def write_other_architecture(path: Path) -> None:
    state = torchvision.models.resnet18().state_dict()
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)


def write_truncated(path: Path) -> None:
    write_other_architecture(path)
    path.write_bytes(path.read_bytes()[:9999])


def write_no_state_dict(path: Path) -> None:
    torch.save([torch.zeros(3)], path) if path.suffix == ".pth" else save_file({}, path)


def write_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize(
    "write",
    [write_nothing, write_garbage, write_other_architecture, write_truncated, write_no_state_dict, write_folder, None],
    ids=lambda write: write.__name__ if write else "missing",
)
def test_file_that_does_not_fit_is_refused_in_one_line(write, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{suffix}"
    if write:
        write(path)
    with pytest.raises(ConfigError) as caught:
        ImageEncoder(ImageEncoderConfig("mobilenet_v2", str(path), size=64))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options, named",
    [({"name": "resnet17"}, "resnet18"), ({"stride": 12}, "12"), ({"fit": "sqash"}, "squash")],
    ids=str,
)
def test_impossible_encoder_is_refused_in_one_line(options: dict, named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ImageEncoder(ImageEncoderConfig(**{"name": "resnet18", "size": 64} | options))
    assert named in str(caught.value) and "\n" not in str(caught.value)


# Batches and training


@torch.inference_mode()
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet18"])
def test_picture_is_encoded_alone_as_in_a_batch(name: str, training: bool) -> None:
    encoder, pictures = build(name, size=96).train(training), noise(5, 3, 96, 96)
    together = encoder(pictures).values
    alone = torch.cat([encoder(picture.unsqueeze(0)).values for picture in pictures])
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5 * float(together.abs().max()))
    encoder.eval()


@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_b0"])
def test_batch_norms_keep_their_statistics_in_training(name: str) -> None:
    encoder = build(name, size=64)
    whole = nn.Sequential(encoder)  # as part of a model, whose train() reaches the encoder from above
    before = {key: tensor.clone() for key, tensor in encoder.named_buffers()}
    assert any("running_mean" in key for key in before)
    whole.train()(noise(3, 3, 64, 64))
    assert encoder.training
    assert all(torch.equal(before[key], tensor) for key, tensor in encoder.named_buffers())
    whole.eval()


def test_frozen_encoder_has_no_gradients_and_fine_tuning_starts_at_its_block() -> None:
    encoder = ImageEncoder(ImageEncoderConfig("resnet18", size=64, trainable_from=6))
    encoder.set_trainable(False)
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    encoder.set_trainable(True)
    blocks = {int(name.split(".")[1]) for name, p in encoder.named_parameters() if p.requires_grad}
    frozen = {int(name.split(".")[1]) for name, p in encoder.named_parameters() if not p.requires_grad}
    assert blocks == {6, 7} and frozen == {0, 1, 4, 5}
