"""CNN image encoder: any suitable torchvision classifier without its head; its last feature grid is the memory.

Layers of self-attention over that grid may follow.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn

from multimodal_attn.encoders.framing import Box, Framing, view_box
from multimodal_attn.encoders.self_attention import GridSelfAttention
from multimodal_attn.errors import ConfigError
from multimodal_attn.memory import Memory
from multimodal_attn.senses.picture.geometry import PictureGeometry

ARCHITECTURES = (
    *("mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0", "efficientnet_b1"),
    *("efficientnet_b2", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"),
    *("convnext_tiny", "convnext_small"),
)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colours
RESNET_BLOCKS = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")


@dataclass(frozen=True)
class ImageEncoderConfig:
    """Which CNN reads the pictures.

    Args:
        name: a torchvision architecture, such as mobilenet_v2, resnet101 or convnext_tiny.
        weights: parameters to start from: DEFAULT for torchvision's own (downloaded), a .safetensors or .pth file with
            a torchvision state dict, or none.
        size: side of the square input, in pixels.
        fit: squash the whole picture to the square, or crop the centre.
        stride: pixels per place: 32 is the native grid (7 x 7 at 224), 16 dilates the last stage (14 x 14).
        trainable_from: the first of the CNN's blocks that is trained when the encoder is fine-tuned; 0 trains all.
        self_attention: layers over the grid, in which places look at each other; 0 for the CNN alone.
        dim: width of those layers and then of the memory.
        dropout: share of numbers dropped from what they add.
    """

    name: str = "mobilenet_v2"
    weights: str | None = None
    size: int = 224
    fit: str = "squash"
    stride: int = 32
    trainable_from: int = 0
    self_attention: int = 0
    dim: int = 512
    dropout: float = 0.1

    sense = "picture"


class Centre(NamedTuple):
    """Receptive fields: place i of an axis is centred on pixel position start + i * stride of the input."""

    start: float
    stride: int


class ImageEncoder(nn.Module):
    """uint8 pictures (B, 3, size, size) -> Memory(values (B, rows * cols, D), mask None).

    Declares `dim` (D), `grid` (rows, cols) and `geometry`, so that a caller can go back to pixels. Batch norms always
    use their stored statistics: a caption must not depend on what else is in the batch.
    """

    sense = "picture"

    def __init__(self, config: ImageEncoderConfig) -> None:
        super().__init__()
        if config.name not in ARCHITECTURES:
            raise ConfigError(
                f"encoder: no architecture {config.name!r} here; choose one of {', '.join(ARCHITECTURES)}"
            )
        if config.stride not in (8, 16, 32):
            raise ConfigError(f"encoder: stride is 8, 16 or 32, not {config.stride}")
        self.config = config
        self.framing = Framing(config.size, config.fit)
        self.trunk = _build_trunk(config).eval()
        self.centre = _receptive_centre(self.trunk)
        if self.centre.stride != config.stride:
            raise ConfigError(
                f"encoder: {config.name} has a stride of {self.centre.stride}, {config.stride} is not to be had"
            )
        for name, colour in (("mean", MEAN), ("std", STD)):
            # on the CPU also in a model that is on the meta device until it is filled: no file has these
            self.register_buffer(name, torch.tensor(colour, device="cpu").view(3, 1, 1) * 255, persistent=False)
        self.dim, side = _output_size(self.trunk, config.size)
        self.grid = side, side
        self.top = nn.Identity()
        if config.self_attention:
            self.top = GridSelfAttention(self.dim, config.dim, config.self_attention, self.grid, config.dropout)
            self.dim = config.dim
        self.to(memory_format=torch.channels_last)

    def forward(self, pictures: Tensor) -> Memory:
        x = ((pictures - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        return self.top(Memory(self.trunk(x).flatten(2).transpose(1, 2)))  # (B, S, D)

    def train(self, mode: bool = True) -> "ImageEncoder":
        """Frozen blocks stay in evaluation mode, so that their features are the same at every pass."""
        super().train(mode)
        for block in self.trunk:
            block.train(mode and any(parameter.requires_grad for parameter in block.parameters()))
        for module in self.trunk.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def set_trainable(self, trainable: bool) -> None:
        """Freeze all blocks of the CNN, or train those from `trainable_from` on; layers on top may always be."""
        for position, block in enumerate(self.trunk):
            block.requires_grad_(trainable and position >= self.config.trainable_from)
        self.train(self.training)

    def geometry(self, width: int, height: int) -> PictureGeometry:
        """Where the grid lies in an upright picture of width x height pixels."""
        rows, cols = self.grid
        start, stride = self.centre
        first = start - stride / 2  # the left edge of the first cell, in pixels of the input
        view: Box = (first, first, first + cols * stride, first + rows * stride)
        box = view_box(self.framing.box(width, height), self.config.size, view)
        return PictureGeometry(width, height, box, rows, cols)


def _build_trunk(config: ImageEncoderConfig) -> nn.Sequential:
    default = config.weights == "DEFAULT"
    try:
        model = torchvision.models.get_model(config.name, weights="DEFAULT" if default else None)
    except OSError as error:
        raise ConfigError(f"encoder weights: DEFAULT cannot be downloaded ({error}); give a file, or null") from error
    if config.weights and not default:
        load_parameters(model, config.weights)
    blocks = model.features if hasattr(model, "features") else [getattr(model, name) for name in RESNET_BLOCKS]
    return _dilate(nn.Sequential(*blocks), config.stride)


def load_parameters(model: nn.Module, path: str) -> None:
    """Fill a torchvision model from a state dict in a file. Raises ConfigError when it is missing or does not fit."""
    try:
        safe = str(path).endswith(".safetensors")
        state = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(state)
    except FileNotFoundError as error:
        raise ConfigError(f"encoder weights: no file {path}; give a path, DEFAULT (downloads), or null") from error
    except Exception as error:  # a file of another kind makes the readers raise nearly every class there is
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise ConfigError(f"encoder weights: {path} does not fit {type(model).__name__}: {why}") from error


def _windows(trunk: nn.Module) -> list[tuple[bool, nn.Module]]:
    """(is a shortcut, module) of every convolution and pooling in order; a shortcut runs beside the path before it."""
    kinds = (nn.Conv2d, nn.MaxPool2d)
    return [("downsample" in name, module) for name, module in trunk.named_modules() if isinstance(module, kinds)]


def _dilate(trunk: nn.Sequential, stride: int) -> nn.Sequential:
    """Turn every stride past `stride` into dilation of what follows: the same function on a finer grid (a trous)."""
    total, dilation = 1, 1
    for shortcut, window in _windows(trunk):
        step = _first(window.stride)
        if shortcut:
            window.stride = (step, step) if dilation == 1 else (1, 1)
        elif total * step <= stride:
            total *= step
            if dilation > 1:
                window.dilation, window.padding = (dilation, dilation), "same"
        else:
            window.stride, window.dilation, window.padding = (1, 1), (dilation, dilation), "same"
            dilation *= step
    return trunk


def _receptive_centre(trunk: nn.Sequential) -> Centre:
    """Where the receptive field of place 0 is centred, in pixels from the input's edge, and the stride between places.

    A stride-2 convolution padded by 1 on both sides is centred on even pixels, so after five of them the grid sits half
    a cell to the left and above the tiling that one would draw without looking.
    """
    start, stride = 0.5, 1
    for shortcut, window in _windows(trunk):
        if not shortcut:
            reach = _first(window.dilation) * (_first(window.kernel_size) - 1)
            padding = reach // 2 if window.padding == "same" else _first(window.padding)
            start += stride * (reach / 2 - padding)
            stride *= _first(window.stride)
    return Centre(start, stride)


def _output_size(trunk: nn.Sequential, size: int) -> tuple[int, int]:
    """(channels, places along a side) of the features of size x size pixels, by the arithmetic of convolutions."""
    for shortcut, window in _windows(trunk):
        if not shortcut and window.padding != "same":
            reach = _first(window.dilation) * (_first(window.kernel_size) - 1)
            size = (size + 2 * _first(window.padding) - reach - 1) // _first(window.stride) + 1
    last = [window for _, window in _windows(trunk) if isinstance(window, nn.Conv2d)][-1]
    return last.out_channels, size


def _first(value: int | tuple[int, ...]) -> int:
    return value[0] if isinstance(value, tuple) else value
