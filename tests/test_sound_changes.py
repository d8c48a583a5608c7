"""How training sounds are changed: planted tones, measured noise, and stripes that stay inside their sound."""

import pytest
import torch

from multimodal_attn.encoders import SoundBatch
from multimodal_attn.memory import Memory
from multimodal_attn.sound import RATE
from tasks.speech.transforms import Augmentation, add_noise, change_sounds, mask_features

OFF = Augmentation(speeds=(1.0,), noise=0.0, n_bands=0, n_pauses=0)


def tone(n_samples: int, frequency: float = 1000.0) -> torch.Tensor:
    return torch.sin(2 * torch.pi * frequency * torch.arange(n_samples) / RATE)


def batch(*lengths: int) -> SoundBatch:
    samples = torch.zeros(len(lengths), max(lengths))
    for row, n in zip(samples, lengths, strict=True):
        row[:n] = tone(n)
    return SoundBatch(samples, torch.tensor(lengths))


@pytest.mark.parametrize("speed", [0.9, 1.1])
def test_speed_moves_length_and_pitch_together(speed: float) -> None:
    changed = change_sounds(batch(16_000, 7_001), Augmentation(speeds=(speed, speed * 1.0000001)))
    assert changed.lengths.tolist() == pytest.approx([16_000 / speed, 7_001 / speed], abs=2)
    spectrum = torch.fft.rfft(changed.samples[0, : int(changed.lengths[0])]).abs()
    assert float(spectrum.argmax() * RATE / changed.lengths[0]) == pytest.approx(1000 * speed, rel=0.01)


def test_speed_is_as_exact_in_bfloat16_training_as_in_any() -> None:
    options = Augmentation(speeds=(0.9, 0.9000001))
    torch.manual_seed(1)
    plain = change_sounds(batch(16_001), options).samples
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = change_sounds(batch(16_001), options).samples
    assert mixed.dtype == torch.float32 and torch.equal(plain, mixed)


def test_noise_has_the_wanted_ratio_and_reaches_its_share_of_the_sounds() -> None:
    sounds = batch(*[4_999] * 101)
    torch.manual_seed(2)
    noise = add_noise(sounds, Augmentation(noise=0.3, snr=(10.0, 10.0))) - sounds.samples
    loud = noise.abs().amax(1) > 0
    assert 15 < int(loud.sum()) < 45
    ratio = 10 * torch.log10(sounds.samples[loud].square().mean(1) / noise[loud].square().mean(1))
    assert ratio.tolist() == pytest.approx([10.0] * len(ratio), abs=0.1)


@pytest.mark.parametrize("share", [0.0, 1e-9])
def test_a_batch_without_a_noisy_sound_stays_as_it_is(share: float) -> None:
    sounds = batch(401, 997)
    changed = change_sounds(sounds, Augmentation(speeds=(1.0,), noise=share))
    assert torch.equal(changed.samples, sounds.samples) and torch.equal(changed.lengths, sounds.lengths)


def test_stripes_hide_some_of_every_sound_and_no_more_than_asked() -> None:
    n_frames = torch.tensor([211, 97])
    mask = torch.arange(211) < n_frames.unsqueeze(1)
    frames = Memory(torch.ones(2, 211, 80), mask)
    torch.manual_seed(3)
    bands = mask_features(frames, Augmentation(n_bands=2, band=7, n_pauses=0)).values
    assert (bands == bands[:, :1]).all() and 0 < int((bands[:, 0] == 0).sum(1).max()) <= 2 * 8
    pauses = mask_features(frames, Augmentation(n_bands=0, n_pauses=3, pause=0.1)).values[..., 0]
    hidden = (pauses == 0).sum(1)
    assert (hidden > 0).all() and (hidden <= 3 * (0.1 * n_frames + 1)).all()
    assert (pauses[1, 97:] == 1).all()
    assert torch.equal(mask_features(frames, OFF).values, frames.values)
