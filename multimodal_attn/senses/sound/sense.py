"""The sense of hearing: a file -> Sound, long ones in pieces -> padded samples."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.nn.functional import avg_pool1d

from multimodal_attn.senses.reading import read_pieces, read_sound
from multimodal_attn.senses.sense import Sense
from multimodal_attn.senses.sound.encoder import AudioEncoder, AudioEncoderConfig
from multimodal_attn.senses.sound.geometry import SoundGeometry
from multimodal_attn.senses.sound.logmel import SoundBatch, at_speed
from multimodal_attn.senses.sound.media import RATE, Sound, Source, sound_files
from multimodal_attn.senses.sound.whisper import WhisperEncoder, WhisperEncoderConfig

AHEAD = 4  # batches that are read before they are sorted by length
FADE = 80  # samples, 5 ms, on either side of an edge


def build(config: AudioEncoderConfig | WhisperEncoderConfig) -> AudioEncoder | WhisperEncoder:
    return (WhisperEncoder if isinstance(config, WhisperEncoderConfig) else AudioEncoder)(config)


def read(source: Source, model: Any) -> Sound:
    return read_sound(source)


def pieces(source: Source | Sound, model: Any) -> Iterator[Sound]:
    """Of as many seconds at most as the encoder hears at once, cut at pauses."""
    longest = model.encoder.max_seconds
    if isinstance(source, Sound) and source.seconds <= longest:
        yield source
    else:
        yield from read_pieces((source.samples, RATE) if isinstance(source, Sound) else source, longest)


def batch(sounds: Sequence[Sound], model: Any) -> tuple[SoundBatch, list[SoundGeometry]]:
    lengths = torch.tensor([len(sound.samples) for sound in sounds])
    samples = torch.zeros(len(sounds), int(lengths.max()))
    for row, sound in zip(samples, sounds, strict=True):
        row[: len(sound.samples)] = torch.from_numpy(sound.samples)
    return SoundBatch(samples, lengths), [model.encoder.geometry(len(sound.samples), sound.start) for sound in sounds]


def word_rows(trace: Any) -> list[dict[str, Any]]:
    """JSON-ready: every word with its start and end in seconds, and how probable it is where that is known."""
    sure = ({} if word.probability is None else {"probability": round(word.probability, 3)} for word in trace.words)
    times = ({"text": word.text, "start": round(word.start, 3), "end": round(word.end, 3)} for word in trace.words)
    return [time | known for time, known in zip(times, sure, strict=True)]


def hide(sounds: SoundBatch, keep: torch.Tensor, model: Any) -> SoundBatch:
    """Silence in those stretches, faded in and out so that no click is heard as a consonant."""
    n_samples = sounds.samples.shape[1]
    where = model.encoder.geometry(n_samples, 0.0)
    seconds = torch.arange(n_samples, device=sounds.samples.device) / RATE
    places = ((seconds - where.start) / where.step).long().clamp(0, keep.shape[1] - 1)
    heard = keep.to(sounds.samples)[:, places].unsqueeze(1)  # (G, 1, samples)
    gain = avg_pool1d(heard, 2 * FADE + 1, 1, FADE, count_include_pad=False).squeeze(1)
    return SoundBatch(sounds.samples * gain, sounds.lengths.expand(len(keep)))


SENSE = Sense(
    kind="sound",
    item=Sound,
    config=AudioEncoderConfig,
    configs={"whisper": WhisperEncoderConfig},
    encoder=build,
    files=sound_files,
    read=read,
    batch=batch,
    figure="multimodal_attn.figures.alignment.render_sound",
    maps="multimodal_attn.senses.sound.maps.draw_maps",
    media="multimodal_attn.senses.sound.viewer.sound_media",
    pieces=pieces,
    problem=lambda sound: sound.problem,
    size=lambda sound: len(sound.samples),
    ahead=AHEAD,
    at_speed=at_speed,
    hide=hide,
    timed=True,
    columns={"words": word_rows},
)
