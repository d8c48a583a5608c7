"""How training sounds are changed: planted tones, measured noise, and stripes that stay inside their sound."""

import pytest
import torch

from multimodal_attn.memory import Memory
from multimodal_attn.senses.sound.logmel import LogMel, SoundBatch
from multimodal_attn.senses.sound.media import RATE
from tasks.speech.transforms import (
    Augmentation,
    add_noise,
    change_features,
    change_sounds,
    mask_features,
    random_curves,
    warp_bands,
)

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


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.25])
def test_a_throat_changed_by_a_factor_moves_every_pitch_by_it_and_no_time(factor: float) -> None:
    samples = torch.stack([tone(8_000, 1000 * factor), tone(8_000, 1000)])
    given, wanted = LogMel()(SoundBatch(samples, torch.tensor([8_000, 8_000]))).values
    warped = warp_bands(given.unsqueeze(0), torch.tensor([factor]))[0]
    assert warped.shape == given.shape
    assert (warped.argmax(1) - wanted.argmax(1)).abs().max() <= (0 if factor == 1 else 1)
    assert torch.equal(warped.argmax(1), given.argmax(1)) == (factor == 1)


def test_bands_beyond_the_last_are_like_it() -> None:
    frames = torch.arange(80.0).expand(2, 3, 80)
    low, high = warp_bands(frames, torch.tensor([0.5, 2.0]))
    assert (high.diff(dim=1) >= 0).all() and (high[:, -7:] == 79).all()
    assert (low.diff(dim=1) >= 0).all() and (low[:, 0] == 0).all() and (low[:, -1] < 60).all()


def test_a_microphone_is_one_smooth_curve_that_changes_no_loudness() -> None:
    torch.manual_seed(5)
    curves = random_curves(997)
    assert float(curves.mean(1).abs().max()) < 1e-5
    assert float(curves.square().mean().sqrt()) == pytest.approx(1, abs=0.05)
    assert float(curves.diff(dim=1).abs().max()) < 1
    frames = Memory(torch.zeros(5, 7, 80), torch.ones(5, 7, dtype=torch.bool))
    coloured = change_features(frames, Augmentation(n_bands=0, n_pauses=0, colour=0.3)).values
    assert (coloured == coloured[:, :1]).all() and 0.1 < float(coloured.std()) < 0.6
    assert torch.equal(change_features(frames, OFF).values, frames.values)
