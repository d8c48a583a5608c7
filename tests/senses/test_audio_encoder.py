"""The audio encoder: what pads a batch changes nothing, and every place lies where the geometry says."""

import math

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from multimodal_attn.errors import ConfigError
from multimodal_attn.layers.recurrent import FlippedBLSTM
from multimodal_attn.memory import Memory
from multimodal_attn.senses.sound.encoder import AudioEncoder, AudioEncoderConfig
from multimodal_attn.senses.sound.logmel import FLOOR, HOP, RATE, WINDOW, LogMel, SoundBatch

KINDS = [("conformer", 4, 0), ("conformer", 8, 0), ("transformer", 4, 0), ("transformer", 8, 0)]
KINDS += [("blstm", 4, 0), ("blstm", 8, 0), ("blstm", 8, 1)]


def build(name: str, stride: int, pyramid: int = 0) -> AudioEncoder:
    torch.manual_seed(5)
    options = {"dim": 24, "layers": 2, "heads": 2, "kernel": 5}
    return AudioEncoder(AudioEncoderConfig(name, stride=stride, pyramid=pyramid, **options)).eval()


def sounds(*seconds: float) -> list[torch.Tensor]:
    torch.manual_seed(11)
    return [torch.randn(int(each * RATE)) * 0.1 for each in seconds]


def batch_of(some: list[torch.Tensor], padding: float = 0.0, extra: int = 0) -> SoundBatch:
    samples = torch.full((len(some), max(map(len, some)) + extra), padding)
    for row, sound in zip(samples, some, strict=True):
        row[: len(sound)] = sound
    return SoundBatch(samples, torch.tensor([len(sound) for sound in some]))


@pytest.mark.parametrize("name, stride, pyramid", KINDS)
@pytest.mark.parametrize("padding", [0.0, 1e3, math.nan])
def test_a_sound_is_encoded_alike_alone_and_in_a_batch(name: str, stride: int, pyramid: int, padding: float) -> None:
    encoder, some = build(name, stride, pyramid), sounds(0.31, 1.7, 0.027, 0.9, 0.53)
    with torch.inference_mode():
        together = encoder(batch_of(some, padding, extra=3001))
        for row, sound in enumerate(some):
            alone = encoder(batch_of([sound]))
            n = int(together.mask[row].sum())
            assert alone.values.shape[1] == n == int(alone.mask.sum()) > 0
            assert (together.values[row, :n] - alone.values[0]).abs().max() < 1e-4
            assert together.mask[row, :n].all() and not together.mask[row, n:].any()


@pytest.mark.parametrize("name, stride, pyramid", KINDS)
def test_padding_changes_no_gradient(name: str, stride: int, pyramid: int) -> None:
    gradients = []
    for padding, extra in ((0.0, 0), (math.nan, 4099)):
        encoder = build(name, stride, pyramid)
        encoder(batch_of(sounds(0.4, 0.7), padding, extra)).clean().sum(1).square().sum().backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in encoder.parameters()]))
    assert gradients[0].abs().max() > 1e-3
    assert (gradients[0] - gradients[1]).abs().max() < 1e-3 * gradients[0].abs().max()


@pytest.mark.parametrize("name, stride, pyramid", KINDS)
@pytest.mark.parametrize("n_samples", [1, 400, 401, 559, 560, 1039, 12_345, 16_001])
def test_geometry_counts_the_places_of_the_memory(name: str, stride: int, pyramid: int, n_samples: int) -> None:
    encoder = build(name, stride, pyramid)
    memory = encoder(SoundBatch(torch.zeros(1, n_samples), torch.tensor([n_samples])))
    assert encoder.geometry(n_samples).n_places == memory.values.shape[1]


@pytest.mark.parametrize("second", [0.4, 0.95, 1.31])
def test_a_click_is_in_the_frame_of_its_moment(second: float) -> None:
    samples = torch.zeros(1, 2 * RATE)
    samples[:, int(second * RATE)] = 0.9
    loudest = int(LogMel()(SoundBatch(samples, torch.tensor([2 * RATE]))).values.mean(-1).argmax())
    assert abs(loudest * HOP / RATE + WINDOW / 2 / RATE - second) <= HOP / RATE


@pytest.mark.parametrize("stride", [4, 8])
@pytest.mark.parametrize("frame", [40, 83, 121])
def test_a_planted_frame_changes_the_places_around_its_moment(stride: int, frame: int) -> None:
    centres = []
    for seed in range(7):
        torch.manual_seed(seed)
        encoder = AudioEncoder(AudioEncoderConfig(dim=24, layers=1, stride=stride)).eval()
        quiet = torch.randn(1, 198, 80)
        loud = quiet.clone()
        loud[:, frame] += 9.0
        mask = torch.ones(1, 198, dtype=torch.bool)
        change = [encoder.subsample(Memory(x, mask)).values.detach() for x in (quiet, loud)]
        geometry = encoder.geometry(2 * RATE, start=7.0)
        centres.append(geometry.centre((change[1] - change[0]).norm(dim=-1)[0].numpy()))
    moment = 7.0 + frame * HOP / RATE + WINDOW / 2 / RATE
    assert abs(sum(centres) / 7 - moment) < geometry.step / 2


def test_flipping_is_the_same_function_as_packing() -> None:
    torch.manual_seed(3)
    flipped = FlippedBLSTM(5, 6).double()
    packed = nn.LSTM(5, 3, batch_first=True, bidirectional=True).double()
    for name, parameter in packed.named_parameters():
        half = flipped.back if name.endswith("_reverse") else flipped.ahead
        parameter.data = getattr(half, name.removesuffix("_reverse")).data
    lengths = torch.tensor([7, 1, 4])
    mask = torch.arange(7) < lengths.unsqueeze(1)
    x = torch.randn(3, 7, 5, dtype=torch.double) * mask.unsqueeze(-1)
    expected, _ = pad_packed_sequence(
        packed(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))[0], batch_first=True
    )
    assert torch.allclose(flipped(x, mask), expected, atol=1e-12)


def test_loudness_does_not_matter() -> None:
    sound = sounds(1.1)[0]
    quiet, loud = (LogMel()(batch_of([sound * gain])).values for gain in (1.0, 7.0))
    assert (quiet - loud).abs().max() < 0.02


def test_silence_is_finite() -> None:
    frames = LogMel()(SoundBatch(torch.zeros(1, RATE), torch.tensor([RATE])))
    assert frames.values.shape == (1, (RATE - 400) // HOP + 1, 80)
    assert frames.values.isfinite().all() and math.log(FLOOR) < 0


@pytest.mark.parametrize(
    "options",
    [
        {"name": "ear"},
        {"stride": 3},
        {"dim": 10, "heads": 4},
        {"kernel": 4},
        {"pyramid": 1},
        {"name": "blstm", "pyramid": 2},
    ],
)
def test_an_impossible_encoder_is_refused_in_one_line(options: dict) -> None:
    with pytest.raises(ConfigError) as refusal:
        AudioEncoder(AudioEncoderConfig(**options))
    assert "\n" not in str(refusal.value)
