"""Log-mel front end: waveforms in a batch -> normalised log-mel frames, on the device of the batch."""

from typing import Any, NamedTuple

import torch
import torchaudio
from torch import Tensor, nn
from torchaudio.transforms import MelSpectrogram

from multimodal_attn.memory import Memory
from multimodal_attn.senses.sound.media import RATE

WINDOW = 400  # samples, 25 ms
HOP = 160  # samples, 10 ms
N_FFT = 512
N_MELS = 80
LOWEST, HIGHEST = 20.0, 7_600.0  # Hz
FLOOR = 1e-7  # of mel power, about -70 dB of full scale: silence stays finite


class SoundBatch(NamedTuple):
    """samples (B, n) in -1..1 at 16 kHz, padded with anything; lengths (B,), how many of them are real."""

    samples: Tensor
    lengths: Tensor

    @property
    def mask(self) -> Tensor:
        """(B, n), True = real."""
        return lengths_to_mask(self.lengths, self.samples.shape[1])


def at_speed(sounds: SoundBatch, speed: float) -> SoundBatch:
    """The sounds played so many times as fast, in steps of 1 %, by resampling: pitch moves with tempo."""
    if round(100 * speed) == 100:
        return sounds
    silenced = sounds.samples.float().masked_fill(~sounds.mask, 0.0)
    with torch.autocast(silenced.device.type, enabled=False):  # 8 bits of bfloat16 would drown the high frequencies
        samples = torchaudio.functional.resample(silenced, round(100 * speed), 100)
    lengths = (sounds.lengths * 100 / round(100 * speed)).ceil().long()
    return SoundBatch(samples, lengths.clamp(max=samples.shape[1]))


def build_mel(n_fft: int, lowest: float, highest: float, n_mels: int, **options: Any) -> MelSpectrogram:
    """Samples (B, n) -> power in mel bands (B, n_mels, F), windows of WINDOW samples and a frame for every HOP.

    Its constants are on the CPU also in a model that is on the meta device until it is filled, since no file has them.
    """
    with torch.device("cpu"):
        mel = MelSpectrogram(RATE, n_fft, WINDOW, HOP, lowest, highest, n_mels=n_mels, power=2.0, **options)
    mel.mel_scale._non_persistent_buffers_set.add("fb")
    mel.spectrogram._non_persistent_buffers_set.add("window")
    return mel


class LogMel(nn.Module):
    """SoundBatch -> Memory(frames (B, F, 80), mask (B, F)), a frame every 10 ms.

    Frame f sees samples 160 f .. 160 f + 400; frames that lie wholly inside the sound are real, but there is always
    one. Every sound is normalised by its own mean and deviation over all bands together, so loudness does not matter.
    Not band by band: of a word that is one vowel, that would take away what tells it from others.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mel = build_mel(N_FFT, LOWEST, HIGHEST, N_MELS, center=False)

    @torch.no_grad()
    def forward(self, sounds: SoundBatch) -> Memory:
        samples = sounds.samples.float().masked_fill(~sounds.mask, 0.0)
        # the transform's window is 400 samples in the middle of 512
        edge = (N_FFT - WINDOW) // 2
        short = max(0, WINDOW - samples.shape[1])
        samples = nn.functional.pad(samples, (edge, edge + short + HOP))
        with torch.autocast(samples.device.type, enabled=False):
            frames = self.mel(samples).clamp_min(FLOOR).log().transpose(1, 2)  # (B, F, 80)
        lengths = n_frames(sounds.lengths)
        frames = frames[:, : int(lengths.max())]
        mask = lengths_to_mask(lengths, frames.shape[1])
        return Memory(_normalise(frames, mask), mask)


def n_frames(n_samples: Tensor) -> Tensor:
    """Frames that lie inside a sound, at least one."""
    return ((n_samples - WINDOW) // HOP + 1).clamp_min(1)


def lengths_to_mask(lengths: Tensor, longest: int) -> Tensor:
    """(B,) -> (B, longest), True = real."""
    return torch.arange(longest, device=lengths.device) < lengths.unsqueeze(1)


def _normalise(frames: Tensor, mask: Tensor) -> Tensor:
    real = mask.unsqueeze(-1)
    n = real.sum(1, keepdim=True) * frames.shape[-1]  # (B, 1, 1)
    centred = (frames - (frames * real).sum((1, 2), keepdim=True) / n) * real
    variance = centred.square().sum((1, 2), keepdim=True) / n
    return centred / (variance + 1e-3).sqrt()
