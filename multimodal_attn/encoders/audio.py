"""Audio encoder: log-mel frames, convolutional subsampling, then a Conformer or a pyramid of BLSTMs."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torchaudio.models.conformer import ConformerLayer

from multimodal_attn.encoders.logmel import HOP, N_MELS, RATE, WINDOW, LogMel, SoundBatch, lengths_to_mask, n_frames
from multimodal_attn.errors import ConfigError
from multimodal_attn.geometry import SoundGeometry
from multimodal_attn.memory import Memory


@dataclass(frozen=True)
class AudioEncoderConfig:
    """Which network listens.

    Args:
        name: `conformer` (Gulati et al. 2020, torchaudio's layers) or `blstm` (Listen, Attend and Spell).
        dim: width of its layers and of the memory.
        layers: how many.
        heads: of the Conformer's self-attention.
        kernel: frames that the Conformer's depthwise convolution sees.
        channels: of the convolutions that subsample.
        stride: frames of 10 ms per place: 4 or 8.
        pyramid: so many of the BLSTM's layers, from the second on, join neighbours and halve time (Chan et al. 2016);
            the convolutions do the rest of the stride, which is cheaper.
        dropout: share of numbers dropped in training.
    """

    name: Literal["conformer", "blstm"] = "conformer"
    dim: int = 256
    layers: int = 8
    heads: int = 4
    kernel: int = 15
    channels: int = 64
    stride: Literal[4, 8] = 8
    pyramid: int = 0
    dropout: float = 0.1


class AudioEncoder(nn.Module):
    """SoundBatch -> Memory(values (B, S, D), mask (B, S)). What pads a batch changes nothing.

    `features` and `encode` are its two halves; training changes the features in between (SpecAugment).
    """

    sense = "sound"

    def __init__(self, config: AudioEncoderConfig) -> None:
        super().__init__()
        if config.name not in LISTENERS:
            raise ConfigError(f"encoder: no audio encoder {config.name!r}; choose one of {', '.join(LISTENERS)}")
        if config.stride not in (4, 8):
            raise ConfigError(f"encoder: stride is 4 or 8 frames, not {config.stride}")
        if config.dim % 2 or config.dim % config.heads or not config.kernel % 2:
            raise ConfigError(f"encoder: dim must be even and a multiple of heads, kernel odd: {config}")
        self.config, self.dim = config, config.dim
        self.logmel = LogMel()
        if config.pyramid and (
            config.name != "blstm" or config.pyramid >= min(math.log2(config.stride), config.layers)
        ):
            raise ConfigError(
                "encoder: only a blstm has a pyramid, of fewer joins than layers and halvings of the stride"
            )
        n_halvings = int(math.log2(config.stride)) - config.pyramid
        self.subsample = Subsampling(config.channels, config.dim, n_halvings, config.dropout)
        self.listener = LISTENERS[config.name](config)

    def features(self, sounds: SoundBatch) -> Memory:
        """Log-mel frames (B, F, 80) and their mask."""
        return self.logmel(sounds)

    def encode(self, features: Memory) -> Memory:
        return self.listener(self.subsample(features))

    def forward(self, sounds: SoundBatch) -> Memory:
        return self.encode(self.features(sounds))

    def set_trainable(self, trainable: bool) -> None:
        self.requires_grad_(trainable)

    def geometry(self, n_samples: int, start: float = 0.0) -> SoundGeometry:
        """Where the places lie in time, for a sound of n_samples that begins at second `start` of its recording.

        Each halving is centred on its even positions, so place i is centred on frame i * stride, half a window after
        the frame's first sample.
        """
        step = self.config.stride * HOP / RATE
        frames = int(n_frames(torch.tensor(n_samples)))
        n_places = halve(torch.tensor(frames), int(math.log2(self.config.stride))).item()
        return SoundGeometry(start + n_samples / RATE, start + WINDOW / 2 / RATE - step / 2, step, n_places)


def halve(lengths: Tensor, times: int = 1) -> Tensor:
    """Lengths after stride-2 steps, rounded up."""
    for _ in range(times):
        lengths = (lengths + 1) // 2
    return lengths


class Subsampling(nn.Module):
    """Stride-2 convolutions over time and frequency, then a projection: frames (B, F, 80) -> (B, S, D).

    All but the first are separable: a filter per channel, then a mix of channels (as in MobileNets), a tenth of the
    products of full ones.
    """

    def __init__(self, channels: int, dim: int, n_halvings: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, channels, 3, stride=2, padding=1)
        self.depthwise = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, stride=2, padding=1, groups=channels) for _ in range(n_halvings - 1)
        )
        self.mix = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(n_halvings - 1))
        n_bands = int(halve(torch.tensor(N_MELS), n_halvings))
        self.project = nn.Linear(channels * n_bands, dim)
        self.norm, self.dropout = nn.LayerNorm(dim), nn.Dropout(dropout)
        self.to(memory_format=torch.channels_last)

    def forward(self, features: Memory) -> Memory:
        mask = features.mask
        x = features.clean().unsqueeze(1).contiguous(memory_format=torch.channels_last)  # (B, 1, F, 80)
        x, mask = self._halved(torch.relu(self.first(x)), mask)
        for depthwise, mix in zip(self.depthwise, self.mix, strict=True):
            x, mask = self._halved(torch.relu(mix(depthwise(x))), mask)
        x = self.project(x.transpose(1, 2).flatten(2))
        return Memory(self.dropout(self.norm(x)), mask)

    @staticmethod
    def _halved(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Padding back to zero, since the next convolution sees it."""
        mask = mask[:, ::2]
        return x * mask[:, None, :, None], mask


class Conformer(nn.Module):
    """Self-attention for the whole, convolution for the near (Gulati et al. 2020), on torchaudio's layers."""

    def __init__(self, config: AudioEncoderConfig) -> None:
        super().__init__()
        options = {"dropout": config.dropout, "use_group_norm": True}  # replaced below, as it would see padding
        self.layers = nn.ModuleList(
            MaskedConformerLayer(config.dim, 4 * config.dim, config.heads, config.kernel, **options)
            for _ in range(config.layers)
        )

    def forward(self, memory: Memory) -> Memory:
        x, keep = memory.clean().transpose(0, 1), memory.mask  # (S, B, D)
        for layer in self.layers:
            x = layer(x, keep)
        return Memory(x.transpose(0, 1), keep)


class MaskedConformerLayer(ConformerLayer):
    """torchaudio's layer, whose convolution reads padding and normalises over it; here neither does."""

    def __init__(self, input_dim: int, *args: int, **options: float | bool) -> None:
        super().__init__(input_dim, *args, **options)
        normalise = next(i for i, part in enumerate(self.conv_module.sequential) if isinstance(part, nn.GroupNorm))
        self.conv_module.sequential[normalise] = ChannelNorm(input_dim)

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        """x (S, B, D), keep (B, S)."""
        x = x + 0.5 * self.ffn1(x)
        normed = self.self_attn_layer_norm(x)
        attended, _ = self.self_attn(normed, normed, normed, key_padding_mask=~keep, need_weights=False)
        x = x + self.self_attn_dropout(attended)
        x = x + self._convolve(x, keep)
        x = x + 0.5 * self.ffn2(x)
        return self.final_layer_norm(x)

    def _convolve(self, x: Tensor, keep: Tensor) -> Tensor:
        expand, gate, *rest = self.conv_module.sequential
        y = gate(expand(self.conv_module.layer_norm(x).permute(1, 2, 0)))  # (B, D, S)
        y = y * keep.unsqueeze(1)
        for part in rest:
            y = part(y)
        return y.permute(2, 0, 1)


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of (B, C, S), each place for itself."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class BLSTM(nn.Module):
    """Bidirectional LSTMs; the first `pyramid` layers after the first join neighbours in time.

    Each is added to its input and the sum normalised, without which four of them take many epochs to begin to learn.
    """

    def __init__(self, config: AudioEncoderConfig) -> None:
        super().__init__()
        self.joins = range(1, 1 + config.pyramid)
        widths = (config.dim * (2 if n in self.joins else 1) for n in range(config.layers))
        self.layers = nn.ModuleList(FlippedBLSTM(width, config.dim) for width in widths)
        self.norms = nn.ModuleList(nn.LayerNorm(config.dim) for _ in range(config.layers))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, memory: Memory) -> Memory:
        x, mask = memory.clean(), memory.mask
        for n, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            heard, same = x, x
            if n in self.joins:
                heard, mask = _join_neighbours(x, mask)
                same = heard.unflatten(2, (2, -1)).mean(2)
            x = norm(same + self.dropout(layer(heard, mask))) * mask.unsqueeze(-1)
        return Memory(x, mask)


def _join_neighbours(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """(B, S, D) -> (B, S / 2, 2 D), the last place alone where S is odd (Chan et al. 2016, eq. 7)."""
    x = nn.functional.pad(x, (0, 0, 0, x.shape[1] % 2))
    return x.unflatten(1, (-1, 2)).flatten(2), mask[:, ::2]


class FlippedBLSTM(nn.Module):
    """A BLSTM whose backward half is a forward LSTM over the sound reversed within its own length.

    The same function as packing the sequences, which on a CPU is many times slower in training.
    """

    def __init__(self, input_dim: int, dim: int) -> None:
        super().__init__()
        self.ahead = nn.LSTM(input_dim, dim // 2, batch_first=True)
        self.back = nn.LSTM(input_dim, dim // 2, batch_first=True)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, S, X), zeros on padding; mask (B, S) -> (B, S, D), zeros on padding."""
        places = torch.arange(x.shape[1], device=x.device)
        mirrored = mask.sum(1, keepdim=True) - 1 - places  # (B, S)
        index = torch.where(mirrored >= 0, mirrored, places).unsqueeze(-1)
        ahead, _ = self.ahead(x)
        back, _ = self.back(x.gather(1, index.expand_as(x)))
        return torch.cat([ahead, back.gather(1, index.expand_as(back))], -1) * mask.unsqueeze(-1)


LISTENERS: dict[str, type[nn.Module]] = {"conformer": Conformer, "blstm": BLSTM}

__all__ = ["AudioEncoder", "AudioEncoderConfig", "SoundBatch", "lengths_to_mask"]
