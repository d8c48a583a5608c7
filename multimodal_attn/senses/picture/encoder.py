"""CNN image encoder: a classifier of torchvision or timm without its head; a grid of its features is the memory.

Layers of self-attention over that grid may follow.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from multimodal_attn.errors import ConfigError
from multimodal_attn.layers.folding import fold_batch_norms
from multimodal_attn.layers.self_attention import GridSelfAttention
from multimodal_attn.memory import Memory
from multimodal_attn.senses.picture.centres import resampling
from multimodal_attn.senses.picture.framing import Framing, PicturePlaces
from multimodal_attn.senses.picture.geometry import PictureGeometry
from multimodal_attn.senses.picture.trunks import build_trunk, trunk_maps


@dataclass(frozen=True)
class ImageEncoderConfig:
    """Which CNN reads the pictures.

    Args:
        name: a CNN of torchvision or timm, such as mobilenet_v2, resnet101 or tf_efficientnet_lite0; `timm/resnet101`
            where both have one of that name.
        weights: parameters to start from: DEFAULT for the library's own (downloaded), a .safetensors or .pth file with
            a state dict in its names, or none.
        size: side of the square input, in pixels; null for the network's own.
        fit: squash the whole picture to the square, or crop the centre.
        stride: pixels per place: 32 is the native grid (7 x 7 at 224), 16 a finer one (14 x 14).
        finer: how a grid is made finer than the native one: `dilate` the last stage, take an `early` stage instead, or
            `join` that with the last, which is interpolated to its places.
        start: pixel of the input, across and down, on which the first place is centred, as `captioning export
            --calibrate` measures it; null: by the arithmetic of the convolutions.
        trainable_from: the first of the CNN's blocks that is trained when the encoder is fine-tuned; 0 trains all.
        train_depthwise: whether these blocks' depthwise convolutions are trained too: they have a twentieth of the
            parameters, and take a CPU more than half of the time.
        self_attention: layers over the grid, in which places look at each other; 0 for the CNN alone.
        dim: width of those layers and then of the memory.
        dropout: share of numbers dropped from what they add.
    """

    name: str = "mobilenet_v2"
    weights: str | None = None
    size: int | None = None
    fit: str = "squash"
    stride: int = 32
    finer: Literal["dilate", "early", "join"] = "dilate"
    start: tuple[float, float] | None = None
    trainable_from: int = 0
    train_depthwise: bool = True
    self_attention: int = 0
    dim: int = 512
    dropout: float = 0.1

    sense = "picture"


class ImageEncoder(nn.Module):
    """uint8 pictures (B, 3, size, size) -> Memory(values (B, rows * cols, D), mask None).

    Declares `dim` (D), `grid` (rows, cols) and `geometry`, so that a caller can go back to pixels. Batch norms always
    use their stored statistics: a caption must not depend on what else is in the batch.
    """

    sense = "picture"

    def __init__(self, config: ImageEncoderConfig) -> None:
        super().__init__()
        if config.stride not in (8, 16, 32):
            raise ConfigError(f"encoder: stride is 8, 16 or 32, not {config.stride}")
        if config.start is not None and len(config.start) != 2:
            raise ConfigError(f"encoder: start is a pixel across and one down, not {config.start}")
        self.trunk, native = build_trunk(config.name, config.weights, config.stride, config.finer)
        self.config = config = replace(config, size=config.size or native.size)
        self.framing = Framing(config.size, config.fit)
        for name, colour in (("mean", native.mean), ("std", native.std)):
            # on the CPU also in a model that is on the meta device until it is filled: no file has these
            self.register_buffer(name, torch.tensor(colour, device="cpu").view(3, 1, 1) * 255, persistent=False)
        dims, centres = zip(*trunk_maps(self.trunk, config.size, config.name), strict=True)
        self.dim, self.centre = sum(dims), centres[0]  # of the finest map
        if self.centre.stride != config.stride:
            raise ConfigError(
                f"encoder: {config.name} has a stride of {self.centre.stride}, {config.stride} is not to be had"
            )
        to_fine = resampling(centres[0], centres[-1]) if len(centres) > 1 else None
        self.register_buffer("to_fine", to_fine, persistent=False)
        self.grid = self.centre.n, self.centre.n
        self.top = nn.Identity()
        if config.self_attention:
            self.top = GridSelfAttention(self.dim, config.dim, config.self_attention, self.grid, config.dropout)
            self.dim = config.dim
        self.to(memory_format=torch.channels_last)

    def forward(self, pictures: Tensor) -> Memory:
        return self.top(self._grid(pictures))

    @property
    def n_looks(self) -> tuple[int, int]:
        """Layers of self-attention over the grid and heads of each; (0, 0) for the CNN alone."""
        return getattr(self.top, "n_looks", (0, 0))

    def looks(self, pictures: Tensor) -> Iterator[Tensor]:
        """The self-attention of one layer after the other, (B, N, S, S), the place that looks first."""
        return self.top.looks(self._grid(pictures))

    def _grid(self, pictures: Tensor) -> Memory:
        x = ((pictures - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        maps = self.trunk(x)
        if self.to_fine is not None:
            rows, cols = self.to_fine, self.to_fine
            maps = [maps[0], torch.einsum("fi,bdij,gj->bdfg", rows, maps[1], cols)]
        return Memory(torch.cat(maps, 1).flatten(2).transpose(1, 2))  # (B, S, D)

    def train(self, mode: bool = True) -> "ImageEncoder":
        """Frozen blocks stay in evaluation mode, so that their features are the same at every pass."""
        super().train(mode)
        for block in self.trunk.blocks:
            block.train(mode and any(parameter.requires_grad for parameter in block.parameters()))
        for module in self.trunk.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def set_trainable(self, trainable: bool) -> None:
        """Freeze all blocks of the CNN, or train those from `trainable_from` on; layers on top may always be."""
        self.trunk.requires_grad_(False)
        for block in self.trunk.blocks[self.config.trainable_from :]:
            block.requires_grad_(trainable)
        if not self.config.train_depthwise:
            for module in self.trunk.modules():
                if isinstance(module, nn.Conv2d) and module.groups > 1:
                    module.requires_grad_(False)
        self.train(self.training)

    def fold(self) -> None:
        """For an encoder that is not trained any more: the same maps, up to rounding, in less time."""
        size = self.config.size
        colours = torch.linspace(-2, 2, 3 * size * size, device=self.mean.device).view(1, 3, size, size)
        fold_batch_norms(self.trunk, lambda: self.trunk(colours.contiguous(memory_format=torch.channels_last)))

    @property
    def start(self) -> np.ndarray:
        """Pixel of the input, across and down, on which the first place is centred. (2,)"""
        return np.array(self.config.start or (self.centre.start,) * 2)

    @property
    def places(self) -> PicturePlaces:
        return PicturePlaces(self.framing, *self.grid, tuple(self.start.tolist()), self.centre.stride)

    def geometry(self, width: int, height: int) -> PictureGeometry:
        """Where the grid lies in an upright picture of width x height pixels."""
        return self.places.geometry(width, height)
