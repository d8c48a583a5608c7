"""The encoder of Whisper (Radford et al. 2022): its own log-mel, two convolutions, and self-attention over 30 seconds.

A sound is padded with silence to 30 s, as in its training; of the places only those of the sound are memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from multimodal_attn.errors import ConfigError
from multimodal_attn.layers.positions import Learned
from multimodal_attn.layers.self_attention import SelfAttentionEncoder
from multimodal_attn.memory import Memory
from multimodal_attn.senses.sound.encoder import join_neighbours
from multimodal_attn.senses.sound.geometry import SoundGeometry
from multimodal_attn.senses.sound.logmel import HOP, RATE, WINDOW, SoundBatch, build_mel, lengths_to_mask
from multimodal_attn.senses.sound.whisper_files import encoder_parameters, read_published

N_FRAMES = 3000  # of 10 ms
N_PLACES = N_FRAMES // 2
LONGEST = N_FRAMES * HOP  # samples: 30 s
LEAST_POWER, RANGE = 1e-10, 8.0  # powers of ten below the loudest that are told apart


@dataclass(frozen=True)
class WhisperEncoderConfig:
    """Whisper's encoder, in any of its sizes.

    Args:
        name: `whisper`.
        weights: parameters to start from: DEFAULT for OpenAI's of this size (downloaded), a .safetensors file or one of
            openai-whisper (.pt), a folder of Hugging Face's, or none.
        dim: width of its layers and of the memory: tiny 384, base 512, small 768, medium 1024, large 1280.
        layers: how many: tiny 4, base 6, small 12, medium 24, large 32.
        bands: of the log-mel: 80, and 128 of large-v3.
        stride: frames of 10 ms per place: 2, or 4, the mean of two neighbours.
        window: the silence behind the sound is memory too, all 30 s of it; Whisper's own decoder needs it to find its
            end. Weights there lie outside the geometry, and count as a look elsewhere.
        trainable_from: the first of its layers that is trained when the encoder is fine-tuned; 0 trains all, the
            convolutions too.
        dropout: share of numbers dropped from what layers add.
    """

    name: Literal["whisper"] = "whisper"
    weights: str | None = None
    dim: int = 384
    layers: int = 4
    bands: int = 80
    stride: Literal[2, 4] = 2
    window: bool = False
    trainable_from: int = 0
    dropout: float = 0.0

    sense = "sound"


@dataclass(frozen=True)
class WhisperPlaces:
    """Where an encoder's places lie in any sound, `stride` frames each. Small, so that processes which read sounds need
    no network."""

    stride: int

    def geometry(self, n_samples: int, start: float = 0.0) -> SoundGeometry:
        """Frame f is centred on sample 160 f, and position j of the second convolution on frame 2 j."""
        n_places = -(-int(n_frames(torch.tensor(n_samples))) // self.stride)
        return SoundGeometry(start + n_samples / RATE, start - HOP / RATE, self.stride * HOP / RATE, n_places)


class WhisperEncoder(nn.Module):
    """SoundBatch -> Memory(values (B, S, D), mask (B, S)). What pads a batch changes nothing.

    `features` and `encode` are its two halves; training changes the features in between (SpecAugment).
    Raises ConfigError for sounds that are longer than `max_seconds`.
    """

    sense = "sound"
    max_seconds = LONGEST / RATE

    def __init__(self, config: WhisperEncoderConfig) -> None:
        super().__init__()
        if config.stride not in (2, 4):
            raise ConfigError(f"encoder: stride is 2 or 4 frames, not {config.stride}")
        self.config, self.dim = config, config.dim
        self.logmel = WhisperLogMel(config.bands)
        self.first = nn.Conv1d(config.bands, config.dim, 3, padding=1)
        self.second = nn.Conv1d(config.dim, config.dim, 3, stride=2, padding=1)
        positions = Learned(config.dim, N_PLACES)
        self.listener = SelfAttentionEncoder(
            config.dim, config.layers, positions, dropout=config.dropout, activation=nn.GELU
        )
        if config.weights:
            self._fill(config.weights)

    def features(self, sounds: SoundBatch) -> Memory:
        """Log-mel frames (B, 3000, bands); the mask tells those of the sound from the silence behind it."""
        return self.logmel(sounds)

    def encode(self, features: Memory) -> Memory:
        mask = features.mask[:, ::2]
        heard = self.listener(self._convolve(features)).values
        n_places = N_PLACES if self.config.window else int(mask.sum(1).max())
        memory = Memory(heard[:, :n_places], (mask | self.config.window)[:, :n_places])
        return memory if self.config.stride == 2 else _mean_of_neighbours(*memory)

    def forward(self, sounds: SoundBatch) -> Memory:
        return self.encode(self.features(sounds))

    @property
    def n_looks(self) -> tuple[int, int]:
        """Layers, and heads of each."""
        return self.listener.n_looks

    def looks(self, sounds: SoundBatch) -> Iterator[Tensor]:
        """The self-attention of one layer after the other over all 30 s, (B, N, S, S), the place that looks first."""
        for weights in self.listener.looks(self._convolve(self.features(sounds))):
            yield weights if self.config.stride == 2 else _join_looks(weights)

    def _convolve(self, features: Memory) -> Memory:
        x = functional.gelu(self.first(features.values.transpose(1, 2)))
        return Memory(functional.gelu(self.second(x)).transpose(1, 2))  # (B, 1500, D)

    def set_trainable(self, trainable: bool) -> None:
        """Freeze all, or train the layers from `trainable_from` on."""
        first = self.config.trainable_from
        self.requires_grad_(trainable and not first)
        for layer in self.listener.layers[first:]:
            layer.requires_grad_(trainable)
        self.listener.norm.requires_grad_(trainable)

    @property
    def places(self) -> WhisperPlaces:
        return WhisperPlaces(self.config.stride)

    def geometry(self, n_samples: int, start: float = 0.0) -> SoundGeometry:
        """Where the places lie in time, for a sound of n_samples that begins at second `start` of its recording."""
        return self.places.geometry(n_samples, start)

    def _fill(self, weights: str) -> None:
        config = self.config
        parameters = encoder_parameters(read_published(weights, config.dim, config.layers, config.bands))
        own = {name: tensor.shape for name, tensor in self.state_dict().items()}
        if own != {name: tensor.shape for name, tensor in parameters.items()}:
            layers = sum(name.endswith("network.1.weight") for name in parameters)
            bands, dim = parameters["first.weight"].shape[1], len(parameters["first.bias"])
            raise ConfigError(
                f"encoder weights: {weights} has dim {dim}, layers {layers}, bands {bands}; write these into the config"
            )
        self.load_state_dict(parameters)


class WhisperLogMel(nn.Module):
    """SoundBatch -> Memory(frames (B, 3000, bands), mask (B, 3000)), a frame every 10 ms.

    Frame f is centred on sample 160 f. Decades of power in mel bands (Slaney's), of which RANGE below the loudest are
    kept, moved and scaled to about -1..1.
    """

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.mel = build_mel(WINDOW, 0.0, RATE / 2, bands, norm="slaney", mel_scale="slaney")

    @torch.no_grad()
    def forward(self, sounds: SoundBatch) -> Memory:
        if int(sounds.lengths.max()) > LONGEST:
            seconds, most = int(sounds.lengths.max()) / RATE, LONGEST / RATE
            raise ConfigError(
                f"encoder: whisper hears {most:g} s at once, not {seconds:.1f}; cut the sound, or its speed"
            )
        samples = sounds.samples.float().masked_fill(~sounds.mask, 0.0)
        samples = functional.pad(samples, (0, 2 * WINDOW))  # frames that hold a last bit of the sound
        with torch.autocast(samples.device.type, enabled=False):
            power = self.mel(samples)[..., :N_FRAMES].transpose(1, 2)  # (B, F, bands)
            power = functional.pad(power, (0, 0, 0, N_FRAMES - power.shape[1]))
            decades = power.clamp_min(LEAST_POWER).log10()
            decades = decades.maximum(decades.amax((1, 2), keepdim=True) - RANGE)
        return Memory((decades + 4) / 4, lengths_to_mask(n_frames(sounds.lengths), N_FRAMES))


def n_frames(n_samples: Tensor) -> Tensor:
    """Frames that are centred on a sample of the sound."""
    return -(-n_samples // HOP)


def _join_looks(weights: Tensor) -> Tensor:
    """(B, N, 1500, 1500) -> (B, N, 750, 750): where two neighbours look on the mean, at both of two neighbours."""
    return weights.unflatten(2, (-1, 2)).mean(3).unflatten(3, (-1, 2)).sum(4)


def _mean_of_neighbours(x: Tensor, mask: Tensor) -> Memory:
    """(B, S, D) -> (B, S / 2, D), the last place alone where S is odd."""
    pairs, joined = join_neighbours(x, mask)
    n_real = functional.pad(mask, (0, mask.shape[1] % 2)).unflatten(1, (-1, 2)).sum(2, keepdim=True)
    return Memory(pairs.unflatten(2, (2, -1)).sum(2) / n_real.clamp_min(1), joined)
