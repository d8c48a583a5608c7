"""How training sounds are changed: on the device, a batch at a time, before and after the log-mel front end."""

from dataclasses import dataclass

import torch
from torch import Tensor

from multimodal_attn.memory import Memory
from multimodal_attn.senses.sound.logmel import HIGHEST, LOWEST, N_MELS, SoundBatch, at_speed

FAST = 1024  # a multiple of it has a fast Fourier transform; a prime length takes several times as long


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training sounds.

    Args:
        speeds: factors of tempo and pitch, one drawn for every batch (Ko et al. 2015); one factor changes nothing.
        noise: share of the sounds that get noise of a random colour mixed in.
        snr: lowest and highest signal-to-noise ratio of those, in dB.
        warp: every speaker's throat becomes up to this share longer or shorter (Jaitly, Hinton 2013).
        colour: every sound's microphone is changed by a smooth curve of this deviation, in those of the sound.
        n_bands: SpecAugment's stripes of masked frequencies (Park et al. 2019), and
        band: the widest, of 80 mel bands.
        n_pauses: its stripes of masked time, and
        pause: the longest, as a share of the sound.
        join: clips shorter than so many seconds are joined to strings of up to six by the same speaker; 0 for never.
        splice: share of the utterances that end as another of the same speaker does; for those with word times, see
            SpeechData's alignments.
    """

    speeds: tuple[float, ...] = (0.9, 1.0, 1.1)
    noise: float = 0.0
    snr: tuple[float, float] = (5.0, 25.0)
    warp: float = 0.0
    colour: float = 0.0
    n_bands: int = 2
    band: int = 27
    n_pauses: int = 10
    pause: float = 0.05
    join: float = 1.0
    splice: float = 0.0


def change_sounds(sounds: SoundBatch, options: Augmentation) -> SoundBatch:
    """Speed and noise; samples (B, n) -> (B, m)."""
    if len(set(options.speeds)) > 1:
        sounds = at_speed(sounds, options.speeds[int(torch.randint(len(options.speeds), ()))])
    if options.noise:
        sounds = sounds._replace(samples=add_noise(sounds, options))
    return sounds


def add_noise(sounds: SoundBatch, options: Augmentation) -> Tensor:
    """Noise whose power falls by 0 to 6 dB an octave, at a random ratio to the sound's own power, for some of them."""
    noisy = (torch.rand(len(sounds.samples), device=sounds.samples.device) < options.noise).nonzero().squeeze(1)
    if not len(noisy):
        return sounds.samples
    samples, real = sounds.samples[noisy], sounds.mask[noisy]
    n = samples.shape[1]
    steepness, ratio = torch.rand(2, len(noisy), 1, device=samples.device)
    spectrum = torch.fft.rfft(torch.randn(len(noisy), n + -n % FAST, device=samples.device))
    tilt = torch.arange(1, spectrum.shape[1] + 1, device=samples.device).float() ** -steepness
    noise = torch.fft.irfft(spectrum * tilt)[:, :n]
    power = (samples * real).square().sum(1, keepdim=True) / real.sum(1, keepdim=True)
    low, high = options.snr
    wanted = power / 10 ** ((low + (high - low) * ratio) / 10)
    noise = noise * (wanted / noise.square().mean(1, keepdim=True)).sqrt()
    return sounds.samples.index_add(0, noisy, noise)


def change_features(features: Memory, options: Augmentation) -> Memory:
    """Throat and microphone of every sound, then SpecAugment; frames (B, F, 80)."""
    frames, mask = features
    draw = torch.rand(len(frames), device=frames.device) * 2 - 1
    if options.warp:
        frames = warp_bands(frames, 1 + options.warp * draw)
    if options.colour:
        frames = frames + random_curves(len(frames), frames.device).unsqueeze(1) * options.colour
    return mask_features(Memory(frames, mask), options)


def warp_bands(frames: Tensor, factors: Tensor) -> Tensor:
    """Every band of frames (B, F, 80) gets what stood at its frequency times the sound's factor (B,); beyond the
    lowest and highest band there is more of them."""
    ends = torch.tensor([LOWEST, HIGHEST], device=frames.device)
    lowest, highest = _mel(ends).tolist()
    step = (highest - lowest) / (N_MELS + 1)
    centres = lowest + step * torch.arange(1, N_MELS + 1, device=frames.device)
    wanted = _mel(700 * (10 ** (centres / 2595) - 1) * factors.unsqueeze(1))
    place = ((wanted - lowest) / step - 1).clamp(0, N_MELS - 1).unsqueeze(1)  # (B, 1, 80)
    below = place.long().clamp(max=N_MELS - 2)
    low, high = (frames.gather(2, index.expand_as(frames)) for index in (below, below + 1))
    return torch.lerp(low, high, place - below)


def _mel(hertz: Tensor) -> Tensor:
    return 2595 * torch.log10(1 + hertz / 700)


def random_curves(n: int, device: torch.device | str = "cpu", n_waves: int = 4) -> Tensor:
    """(n, 80) smooth curves over the bands without mean, of deviation 1 on average: n_waves half-waves of a cosine,
    as a microphone's response is a constant in the first cepstral coefficients."""
    band = (torch.arange(N_MELS, device=device) + 0.5) / N_MELS
    waves = torch.cos(torch.pi * torch.arange(1, n_waves + 1, device=device).unsqueeze(1) * band)
    return torch.randn(n, n_waves, device=device) @ waves * (2 / n_waves) ** 0.5


def mask_features(features: Memory, options: Augmentation) -> Memory:
    """SpecAugment without time warping (Park et al. 2019): stripes of frames (B, F, 80) become 0, which is the mean."""
    frames, mask = features
    n_frames, n_bands = mask.sum(1), torch.full((len(frames),), frames.shape[2], device=frames.device)
    hidden = _stripes(n_frames, frames.shape[1], options.n_pauses, (n_frames * options.pause).unsqueeze(1)).unsqueeze(2)
    hidden = hidden | _stripes(n_bands, frames.shape[2], options.n_bands, options.band).unsqueeze(1)
    return Memory(frames.masked_fill(hidden, 0.0), mask)


def _stripes(lengths: Tensor, longest: int, n: int, widest: Tensor | float) -> Tensor:
    """(B, longest), True inside one of n stripes of random place and width within each length."""
    draw = torch.rand(2, len(lengths), n, device=lengths.device)
    width = draw[0] * (widest + 1)
    first = (draw[1] * (lengths.unsqueeze(1) - width)).clamp_min(0)
    place = torch.arange(longest, device=lengths.device)
    first, last = first.long().unsqueeze(2), (first + width).long().unsqueeze(2)  # (B, n, 1)
    return ((place >= first) & (place < last)).any(1)
