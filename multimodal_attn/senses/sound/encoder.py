"""Audio encoder: log-mel frames, convolutional subsampling, then a Conformer, a Transformer or a pyramid of BLSTMs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchaudio.models.conformer import ConformerLayer

from multimodal_attn.errors import ConfigError
from multimodal_attn.layers.blocks import look_weights
from multimodal_attn.layers.dropout import Dropout
from multimodal_attn.layers.linear import Linear, linear
from multimodal_attn.layers.positions import Sinusoidal
from multimodal_attn.layers.recurrent import FlippedBLSTM
from multimodal_attn.layers.self_attention import SelfAttentionEncoder
from multimodal_attn.memory import Memory
from multimodal_attn.senses.sound.geometry import SoundGeometry
from multimodal_attn.senses.sound.logmel import HOP, N_MELS, RATE, WINDOW, LogMel, SoundBatch, lengths_to_mask, n_frames
from multimodal_attn.senses.sound.media import MAX_PIECE_SECONDS

CONVOLVED = 4  # frames per position of the convolutions


@dataclass(frozen=True)
class AudioEncoderConfig:
    """Which network listens.

    Args:
        name: `conformer` (Gulati et al. 2020, torchaudio's layers), `transformer` (self-attention alone), or `blstm`
            (Listen, Attend and Spell).
        dim: width of its layers and of the memory.
        layers: how many.
        heads: of the self-attention.
        kernel: frames that the Conformer's depthwise convolution sees.
        channels: of the convolutions that subsample.
        stride: frames of 10 ms per place: 4 or 8.
        pyramid: so many of the BLSTM's last layers join neighbours and halve time (Chan et al. 2016); what is left of
            the stride is joined before the first, which is cheaper.
        dropout: share of numbers dropped in training.
    """

    name: Literal["conformer", "transformer", "blstm"] = "conformer"
    dim: int = 256
    layers: int = 8
    heads: int = 4
    kernel: int = 15
    channels: int = 32
    stride: Literal[4, 8] = 8
    pyramid: int = 0
    dropout: float = 0.1

    sense = "sound"


@dataclass(frozen=True)
class SoundPlaces:
    """Where an encoder's places lie in any sound, `stride` frames each. Small, so that processes which read sounds need
    no network."""

    stride: int

    def geometry(self, n_samples: int, start: float = 0.0) -> SoundGeometry:
        """Position j of the convolutions is centred on frame 4 j, and a place joins the positions of its stride; a
        frame is centred half a window after its first sample."""
        n_places = -(-int(n_frames(torch.tensor(n_samples))) // self.stride)
        first = (WINDOW - CONVOLVED * HOP) / 2 / RATE  # where the first position begins
        return SoundGeometry(start + n_samples / RATE, start + first, self.stride * HOP / RATE, n_places)


class AudioEncoder(nn.Module):
    """SoundBatch -> Memory(values (B, S, D), mask (B, S)). What pads a batch changes nothing.

    `features` and `encode` are its two halves; training changes the features in between (SpecAugment).
    """

    sense = "sound"
    max_seconds = MAX_PIECE_SECONDS

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
        if config.pyramid and (config.name != "blstm" or config.stride >> config.pyramid < CONVOLVED):
            raise ConfigError(f"encoder: only a blstm has a pyramid, above a stride of {CONVOLVED}: {config}")
        self.subsample = Subsampling(config.channels, config.dim, config.stride >> config.pyramid, config.dropout)
        self.listener = LISTENERS[config.name](config)

    def features(self, sounds: SoundBatch) -> Memory:
        """Log-mel frames (B, F, 80) and their mask."""
        return self.logmel(sounds)

    def encode(self, features: Memory) -> Memory:
        return self.listener(self.subsample(features))

    def forward(self, sounds: SoundBatch) -> Memory:
        return self.encode(self.features(sounds))

    @property
    def n_looks(self) -> tuple[int, int]:
        """Layers of self-attention and heads of each; (0, 0) for BLSTMs."""
        return getattr(self.listener, "n_looks", (0, 0))

    def looks(self, sounds: SoundBatch) -> Iterator[Tensor]:
        """The self-attention of one layer after the other, (B, N, S, S), the place that looks first."""
        return self.listener.looks(self.subsample(self.features(sounds)))

    def set_trainable(self, trainable: bool) -> None:
        self.requires_grad_(trainable)

    @property
    def places(self) -> SoundPlaces:
        return SoundPlaces(self.config.stride)

    def geometry(self, n_samples: int, start: float = 0.0) -> SoundGeometry:
        """Where the places lie in time, for a sound of n_samples that begins at second `start` of its recording."""
        return self.places.geometry(n_samples, start)


class Subsampling(nn.Module):
    """Two stride-2 convolutions over time and frequency, then a projection that joins what is left of the stride:
    frames (B, F, 80) -> (B, S, D), S = F / stride rounded up.

    He initialisation without biases, so that after two of them what changes still outweighs what does not. One wide
    convolution over time alone is cheaper and begins sooner, but new speakers are understood worse (docs/results.md).
    """

    def __init__(self, channels: int, dim: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.n_joined = stride // CONVOLVED
        self.first = nn.Conv2d(1, channels, 3, stride=2, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        for convolution in (self.first, self.second):
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            nn.init.zeros_(convolution.bias)
        self.project = Linear(self.n_joined * channels * N_MELS // CONVOLVED, dim)
        self.norm, self.dropout = nn.LayerNorm(dim), Dropout(dropout)
        self.to(memory_format=torch.channels_last)

    def forward(self, features: Memory) -> Memory:
        mask = features.mask[:, ::2]
        x = features.clean().unsqueeze(1).contiguous(memory_format=torch.channels_last)  # (B, 1, F, 80)
        x = _silenced(self.first(x), mask)
        mask = mask[:, ::2]
        x = _silenced(self.second(x), mask).transpose(1, 2).flatten(2)
        x = functional.pad(x, (0, 0, 0, -x.shape[1] % self.n_joined)).unflatten(1, (-1, self.n_joined)).flatten(2)
        return Memory(self.dropout(self.norm(self.project(x))), mask[:, :: self.n_joined])


def _silenced(x: Tensor, mask: Tensor) -> Tensor:
    """relu, with zeros on padding, since the next convolution sees it: x (B, C, S, bands), mask (B, S).

    In place, and without a product by the mask in either direction: these are the largest tensors there are, and new
    memory costs more than the arithmetic.
    """
    barrier = torch.zeros_like(mask, dtype=x.dtype).masked_fill_(~mask, -torch.inf)
    return x.add_(barrier[:, None, :, None]).relu_()


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
        x = memory.clean()
        for layer in self.layers:
            x = layer(x, memory.mask)
        return Memory(x, memory.mask)

    @property
    def n_looks(self) -> tuple[int, int]:
        return len(self.layers), self.layers[0].self_attn.num_heads if len(self.layers) else 0

    def looks(self, memory: Memory) -> Iterator[Tensor]:
        x = memory.clean()
        for layer in self.layers:
            yield layer.weights(x, memory.mask)
            x = layer(x, memory.mask)


class MaskedConformerLayer(ConformerLayer):
    """torchaudio's layer, whose convolution reads padding and normalises over it; here neither does.

    Its parameters and its function, but products by way of `linear`, and inputs first.
    """

    def __init__(self, input_dim: int, *args: int, **options: float | bool) -> None:
        super().__init__(input_dim, *args, **options)
        for parent in list(self.modules()):
            for name, part in parent.named_children():
                if isinstance(part, nn.GroupNorm):
                    setattr(parent, name, nn.LayerNorm(input_dim))
                elif isinstance(part, nn.Dropout):
                    setattr(parent, name, Dropout(part.p))
                elif type(part) is nn.Linear:
                    setattr(parent, name, Linear(part.in_features, part.out_features))

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        """x (B, S, D), keep (B, S)."""
        x = x + 0.5 * self.ffn1(x)
        x = x + self.self_attn_dropout(self._attend(self.self_attn_layer_norm(x), keep))
        x = x + self._convolve(x, keep)
        x = x + 0.5 * self.ffn2(x)
        return self.final_layer_norm(x)

    def weights(self, x: Tensor, keep: Tensor) -> Tensor:
        """What it looks with: (B, N, S, S), the place that looks first."""
        queries, keys, _ = self._heads(self.self_attn_layer_norm(x + 0.5 * self.ffn1(x)))
        return look_weights(queries, keys, keep[:, None, None])

    def _heads(self, x: Tensor) -> Tensor:
        """Queries, keys and values, (3, B, N, S, A)."""
        maps = self.self_attn
        joint = linear(x, maps.in_proj_weight, maps.in_proj_bias).unflatten(-1, (3, maps.num_heads, -1))
        return joint.permute(2, 0, 3, 1, 4)

    def _attend(self, x: Tensor, keep: Tensor) -> Tensor:
        maps = self.self_attn
        queries, keys, values = self._heads(x)
        p = maps.dropout if self.training else 0.0
        x = functional.scaled_dot_product_attention(queries, keys, values, keep[:, None, None], p)
        return linear(x.transpose(1, 2).flatten(2), maps.out_proj.weight, maps.out_proj.bias)

    def _convolve(self, x: Tensor, keep: Tensor) -> Tensor:
        expand, _, depthwise, norm, activate, mix, dropout = self.conv_module.sequential
        y = functional.glu(_pointwise(expand, self.conv_module.layer_norm(x))) * keep.unsqueeze(-1)
        y = activate(norm(depthwise(y.transpose(1, 2)).transpose(1, 2)))
        return dropout(_pointwise(mix, y))


def _pointwise(layer: nn.Conv1d, x: Tensor) -> Tensor:
    """A convolution that sees one place is a linear map of it: x (B, S, D)."""
    return linear(x, layer.weight.squeeze(-1), layer.bias)


class BLSTM(nn.Module):
    """Bidirectional LSTMs; the last `pyramid` of them join neighbours in time.

    Each is added to its input and the sum normalised, without which four of them take many epochs to begin to learn.
    """

    def __init__(self, config: AudioEncoderConfig) -> None:
        super().__init__()
        self.joins = range(config.layers - config.pyramid, config.layers)
        widths = (config.dim * (2 if n in self.joins else 1) for n in range(config.layers))
        self.layers = nn.ModuleList(FlippedBLSTM(width, config.dim) for width in widths)
        self.norms = nn.ModuleList(nn.LayerNorm(config.dim) for _ in range(config.layers))
        self.dropout = Dropout(config.dropout)

    def forward(self, memory: Memory) -> Memory:
        x, mask = memory.clean(), memory.mask
        for n, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            heard, same = x, x
            if n in self.joins:
                heard, mask = join_neighbours(x, mask)
                same = heard.unflatten(2, (2, -1)).mean(2)
            x = norm(same + self.dropout(layer(heard, mask)))
        return Memory(x, mask)


def join_neighbours(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """(B, S, D) -> (B, S / 2, 2 D), the last place alone where S is odd (Chan et al. 2016, eq. 7)."""
    x = functional.pad(x * mask.unsqueeze(-1), (0, 0, 0, x.shape[1] % 2))
    return x.unflatten(1, (-1, 2)).flatten(2), mask[:, ::2]


def build_transformer(config: AudioEncoderConfig) -> nn.Module:
    """Self-attention alone (Vaswani et al. 2017), over frames that are told their place."""
    return SelfAttentionEncoder(config.dim, config.layers, Sinusoidal(config.dim), config.heads, config.dropout)


LISTENERS: dict[str, Callable[[AudioEncoderConfig], nn.Module]] = {
    "conformer": Conformer,
    "blstm": BLSTM,
    "transformer": build_transformer,
}

__all__ = ["AudioEncoder", "AudioEncoderConfig", "SoundBatch", "lengths_to_mask"]
