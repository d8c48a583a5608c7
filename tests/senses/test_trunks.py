"""CNNs by name: which stages are read, which parameters they start from, and what is no CNN."""

from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor

from multimodal_attn.checkpoint import load_checkpoint, save_checkpoint
from multimodal_attn.decoders import DecoderConfig
from multimodal_attn.errors import ConfigError
from multimodal_attn.model import build_model
from multimodal_attn.search import SearchConfig
from multimodal_attn.senses.picture import trunks
from multimodal_attn.senses.picture.encoder import ImageEncoder, ImageEncoderConfig
from multimodal_attn.tokens import build_word_tokenizer

SMALL = "test_efficientnet"  # of timm: 0.4 M parameters
TENSORFLOW = "tf_efficientnet_lite0"


def noise(n: int, size: int) -> Tensor:
    return torch.randint(256, (n, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def as_grid(values: Tensor, encoder: ImageEncoder) -> Tensor:
    """(B, S, D) -> (B, D, rows, cols)"""
    return values.transpose(1, 2).unflatten(2, encoder.grid)


def write_state(model: torch.nn.Module, path: Path, half: bool = False) -> Path:
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file({name: t.half() if half and t.is_floating_point() else t for name, t in state.items()}, path)
    return path


@torch.inference_mode()
@pytest.mark.parametrize("name", [SMALL, TENSORFLOW])
def test_timm_file_gives_the_features_of_timm_under_the_normalisation_of_the_network(name: str, tmp_path: Path) -> None:
    torch.manual_seed(3)
    model = timm.create_model(name).eval()
    path, config = write_state(model, tmp_path / "model.safetensors"), model.pretrained_cfg
    pictures = noise(2, 96)
    mean, std = (torch.tensor(config[key]).view(3, 1, 1) for key in ("mean", "std"))
    expected = model.forward_features((pictures / 255 - mean) / std)
    encoder = ImageEncoder(ImageEncoderConfig(name, str(path), size=96)).eval()
    torch.testing.assert_close(as_grid(encoder(pictures).values, encoder), expected, rtol=1e-3, atol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("name", [SMALL, "mobilenet_v2", "timm/resnet18"])
def test_early_stage_is_a_part_of_what_is_joined_and_costs_nothing_behind_it(name: str) -> None:
    encoders = []
    for finer in ("early", "join"):
        torch.manual_seed(3)
        encoders.append(ImageEncoder(ImageEncoderConfig(name, size=96, stride=16, finer=finer)).eval())
    early, joined = encoders
    joined.trunk.load_state_dict(early.trunk.state_dict(), strict=False)
    values, both = (encoder(noise(2, 96)).values for encoder in encoders)
    assert early.grid == joined.grid == (6, 6) and early.dim < joined.dim
    torch.testing.assert_close(both[..., : early.dim], values)
    n_parameters = [sum(parameter.numel() for parameter in encoder.parameters()) for encoder in encoders]
    assert n_parameters[0] < n_parameters[1]


@torch.inference_mode()
def test_join_puts_the_last_stage_between_the_places_of_the_early_one() -> None:
    torch.manual_seed(3)
    joined = ImageEncoder(ImageEncoderConfig("mobilenet_v2", size=96, stride=16, finer="join")).eval()
    fine = as_grid(joined(noise(1, 96)).values, joined)[:, 96:]  # behind the 96 channels of the early stage
    x = (noise(1, 96) - joined.mean) / joined.std
    coarse = joined.trunk(x)[1]  # 3 x 3; MobileNetV2 is centred on pixels 16 i and 32 i, so on every other fine place
    torch.testing.assert_close(fine[..., ::2, ::2], coarse)
    torch.testing.assert_close(fine[..., 1:5:2, 0], (coarse[..., :2, 0] + coarse[..., 1:, 0]) / 2)


def test_a_name_that_both_have_is_torchvisions_and_a_prefix_asks_for_timms() -> None:
    ours, theirs = (ImageEncoder(ImageEncoderConfig(name, size=64)) for name in ("resnet18", "timm/resnet18"))
    known = torchvision.models.resnet18().state_dict()
    assert len(ours.state_dict()) == len(known) - 2 and "trunk.0.weight" in ours.state_dict()
    assert "trunk.model.conv1.weight" in theirs.state_dict() and ours.dim == theirs.dim == 512


@pytest.mark.parametrize("name, size", [("efficientnet_b1", 240), (TENSORFLOW, 224), ("tf_efficientnet_lite2", 260)])
def test_size_is_the_networks_own_where_none_is_said(name: str, size: int) -> None:
    with torch.device("meta"):
        encoder = ImageEncoder(ImageEncoderConfig(name))
    assert encoder.config.size == encoder.framing.size == size
    assert ImageEncoder(ImageEncoderConfig(SMALL, size=64)).config.size == 64


@pytest.mark.parametrize("name", [SMALL, "mobilenet_v3_small", "timm/test_convnext"])
def test_checkpoint_of_any_network_is_opened_again(name: str, tmp_path: Path) -> None:
    torch.manual_seed(3)
    encoder = ImageEncoderConfig(name, size=64, stride=16, finer="join", start=(3.0, -1.5))
    model = build_model(encoder, DecoderConfig(dim=16), build_word_tokenizer(["a dog"], 1)).eval()
    save_checkpoint(tmp_path, model, SearchConfig(), "captioning", {"metrics": {}}, "# one\n")
    opened = load_checkpoint(tmp_path)[0]
    assert opened.encoder.config == model.encoder.config
    assert opened.encoder.geometry(101, 67) == model.encoder.geometry(101, 67)
    with torch.inference_mode():
        values, again = model.encoder(noise(2, 64)).values, opened.encoder(noise(2, 64)).values
    torch.testing.assert_close(again, values, rtol=2e-2, atol=2e-2 * float(values.abs().max()))  # stored as halves


def test_start_moves_the_grid_and_nothing_else() -> None:
    plain = ImageEncoder(ImageEncoderConfig("resnet18", size=64)).geometry(128, 64)
    moved = ImageEncoder(ImageEncoderConfig("resnet18", size=64, start=(5.5, -2.5))).geometry(128, 64)
    assert plain.box == (-31, -15.5, 97, 48.5)
    assert moved.box == (-21, -18.5, 107, 45.5)  # 5 pixels of 64 across are 10 of 128


def test_depthwise_convolutions_may_keep_their_parameters() -> None:
    encoder = ImageEncoder(ImageEncoderConfig(SMALL, size=64, trainable_from=2, train_depthwise=False))
    encoder.set_trainable(True)
    convolutions = [module for module in encoder.modules() if isinstance(module, torch.nn.Conv2d)]
    learning = [module.groups for module in convolutions if module.weight.requires_grad]
    assert learning and set(learning) == {1} and any(module.groups > 1 for module in convolutions)
    assert not any(parameter.requires_grad for parameter in encoder.trunk.model.conv_stem.parameters())


@pytest.mark.parametrize(
    "options, said",
    [
        ({"name": "tf_eficientnet_lite0"}, "tf_efficientnet_lite0"),
        ({"name": "hf-hub:somebody/network"}, "neither torchvision nor timm has"),
        ({"name": "vit_b_16"}, "gives no grid"),
        ({"name": "timm/vit_tiny_patch16_224"}, "gives no grid"),
        ({"name": "swin_t"}, "gives no grid"),
        ({"name": "timm/densenet121", "stride": 16}, "output_stride"),
        ({"name": "vgg11", "stride": 8, "finer": "early", "size": 32, "start": (1.0,)}, "start"),
        ({"name": SMALL, "stride": 8, "finer": "early", "weights": "nowhere.safetensors"}, "nowhere.safetensors"),
        ({"name": "timm/efficientformer_l1"}, "gives no grid"),
    ],
    ids=lambda value: value if isinstance(value, str) else value["name"],
)
def test_what_gives_no_such_grid_is_refused_in_one_line(options: dict, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ImageEncoder(ImageEncoderConfig(**{"size": 224} | options))
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [SMALL, "resnet18"])
def test_weights_that_cannot_be_fetched_are_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise OSError("no route\nto host")

    monkeypatch.setattr(trunks.timm, "create_model", fail)
    monkeypatch.setattr(trunks.torchvision.models, "get_model", fail)
    with pytest.raises(ConfigError, match="DEFAULT cannot be downloaded .no route to host.; give a file, or null"):
        ImageEncoder(ImageEncoderConfig(name, "DEFAULT", size=64))


@pytest.mark.parametrize("name, other", [(SMALL, "test_resnet"), (TENSORFLOW, "tf_efficientnet_lite1")])
def test_file_of_another_timm_network_is_refused_in_one_line(name: str, other: str, tmp_path: Path) -> None:
    path = write_state(timm.create_model(other), tmp_path / "other.safetensors")
    with pytest.raises(ConfigError) as caught:
        ImageEncoder(ImageEncoderConfig(name, str(path), size=64))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_classifier_of_a_file_is_left_and_half_floats_are_read(tmp_path: Path) -> None:
    torch.manual_seed(3)
    model = timm.create_model(SMALL, num_classes=7)
    path = write_state(model, tmp_path / "halves.safetensors", half=True)
    encoder = ImageEncoder(ImageEncoderConfig(SMALL, str(path), size=64))
    stem = encoder.trunk.model.conv_stem.weight
    assert stem.dtype == torch.float32
    torch.testing.assert_close(stem, model.conv_stem.weight.half().float())
