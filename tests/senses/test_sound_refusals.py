"""Hostile sounds, each made here: one clear line, never anything else."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from multimodal_attn.errors import ConfigError, MediaError
from multimodal_attn.senses.sound import media as sound
from multimodal_attn.senses.sound.media import RATE, Sound, Source, read_pieces, read_sound
from tests.senses.test_sound import encoded, tone


def line_of(source: Source) -> str:
    """The message of the refusal, which must be one line, and the same whole or in pieces."""
    with pytest.raises(MediaError) as caught:
        read_sound(source)
    with pytest.raises(MediaError, match="."):
        list(read_pieces(source))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_file_folder_and_empty_file_are_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.wav"
    empty.touch()
    os.mkfifo(tmp_path / "pipe.wav")
    assert line_of(tmp_path / "none.wav") == f"{tmp_path}/none.wav: no such file; check the path"
    assert line_of(str(tmp_path)).startswith(f"{tmp_path}: a folder, not a sound")
    assert line_of(empty).startswith(f"{empty}: empty")
    assert "not a regular file" in line_of(tmp_path / "pipe.wav")
    assert line_of("two\nlines.wav").startswith("two?lines.wav: ")
    line_of("zero\0byte.wav")


@pytest.mark.parametrize(
    "data",
    [
        b"hello, I am a text",
        b"RIFF\x24\0\0\0WEBPVP8 ",
        b"\0",
        bytes(4_001),
    ],
)
def test_other_formats_are_refused_by_content(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "renamed.wav"
    path.write_bytes(data)
    assert line_of(path) == f"{path}: not a sound of a known format; convert it to WAV, FLAC, OGG, Opus or MP3"


@pytest.mark.parametrize(
    "data", [b"\0\0\0\x20ftypM4A ", b"\x1aE\xdf\xa3webm", b"FORM\0\0\0\0AIFF", b"#!AMR\n", b"caff\0\1", b"\xff\xf1\0"]
)
def test_the_beginning_alone_of_other_formats_is_one_line(data: bytes) -> None:
    line_of(data)


@pytest.mark.parametrize(
    "format, subtype",
    [
        ("WAV", "PCM_16"),
        ("WAVEX", "PCM_24"),
        ("RF64", "PCM_16"),
        ("FLAC", None),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", None),
    ],
)
@pytest.mark.parametrize("part", [0.004, 0.3, 0.51, 0.9])
def test_truncated_files_are_refused(format: str, subtype: str | None, part: float) -> None:
    data = encoded(tone(5.3, rate=48_000), format, subtype, rate=48_000)
    line_of(data[: int(len(data) * part)])


def test_half_a_wav_says_how_much_is_missing() -> None:
    data = encoded(tone(1))
    assert "cut short: 16022 of 32000 bytes are missing" in line_of(data[: len(data) // 2])


def mp3_of(mode: str) -> tuple[bytes, int]:
    """An MP3 whose loudness varies, and where its second frame begins."""
    samples = tone(5, hertz=3_000) * np.linspace(0, 1, 5 * RATE) ** 3
    samples *= 1 + np.random.default_rng(0).normal(0, 0.1, len(samples))
    data = encoded(samples, "MP3", bitrate_mode=mode, compression_level=0.5)
    return data, data.index(data[:2], 4)


def test_mp3_of_constant_bit_rate_needs_no_index() -> None:
    data, second = mp3_of("CONSTANT")
    assert read_sound(data[second:]).seconds == pytest.approx(5, abs=0.2)
    assert "last frame" in line_of(data[second:-50])


@pytest.mark.parametrize("n_frames", [2**36 - 1, 10**11 >> 4])
def test_flac_with_a_false_length_is_refused_without_room_being_made_for_it(n_frames: int) -> None:
    data = bytearray(encoded(tone(), "FLAC"))
    data[21] = data[21] & 0xF0 | n_frames >> 32 & 0x0F  # the 36 bits of total samples in STREAMINFO
    data[22:26] = struct.pack(">I", n_frames & 0xFFFFFFFF)
    line_of(bytes(data))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, 5_000])
def test_numbers_that_are_not_sound_are_refused(value: float) -> None:
    samples = tone()
    samples[20_011] = value
    for source in (encoded(samples, "WAV", "FLOAT"), (samples, RATE), (samples.astype(np.float64), RATE)):
        assert "where full scale is 1" in line_of(source)
    assert "where full scale is 1" in line_of((np.full(99, 1e300), RATE))


def test_rates_and_channels_beyond_the_limits_are_refused() -> None:
    assert "1 samples a second" in line_of(encoded(tone(), rate=1))
    assert "1e+06 samples a second" in line_of(encoded(tone(), rate=1_000_000))
    assert "33 channels" in line_of(encoded(np.zeros((101, 33))))
    assert "0 channels" in line_of((np.zeros((101, 0)), RATE))
    assert "33 channels" in line_of((np.zeros((33, 16_000)).T, RATE))
    assert "-16000 samples" in line_of((np.zeros(99), -16_000))


@pytest.mark.parametrize(
    "samples", [np.zeros(9, np.int64), np.zeros(9, complex), np.zeros((9, 2, 2)), np.array(["a"]), np.array(0.5)]
)
def test_arrays_of_other_kinds_are_refused_with_what_to_give(samples: np.ndarray) -> None:
    assert "give int16, int32 or float" in line_of((samples, RATE))


def test_array_without_a_rate_is_refused() -> None:
    assert "give the pair (samples, rate)" in line_of(tone())


def test_files_larger_than_the_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "large.wav"
    with path.open("wb") as file:
        file.truncate(sound.MAX_FILE_BYTES + 1)  # sparse: takes no room
    assert "larger than 2000 MB" in line_of(path)
    monkeypatch.setattr(sound, "MAX_BYTES", 1_009)
    assert "larger than" in line_of(encoded(tone()))


def test_small_file_that_unpacks_to_hours_is_refused_at_once_and_read_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "bomb.flac"
    with soundfile.SoundFile(path, "w", 4_000, 1, "PCM_16") as file:
        for _ in range(11):
            file.write(np.zeros(60 * 4_000, np.int16))
    assert path.stat().st_size < 100_000
    with pytest.raises(MediaError, match="longer than 10 minutes; cut it into parts"):
        read_sound(path)
    assert sum(len(piece.samples) for piece in read_pieces(path)) == 11 * 60 * RATE


def test_reading_in_pieces_has_its_limit_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound, "MAX_SECONDS", 120)
    with pytest.raises(MediaError, match="longer than 2 minutes"):
        list(read_pieces((np.zeros(4_000 * 121, np.int16), 4_000)))


@pytest.mark.parametrize("max_seconds", [0, -3, 0.9, 601, np.nan])
def test_pieces_of_a_senseless_length_are_refused(max_seconds: float) -> None:
    with pytest.raises(ConfigError, match="choose from 1 to 600"):
        list(read_pieces((tone(), RATE), max_seconds))


def result_of(data: bytes) -> Sound | MediaError:
    try:
        return read_sound(data)
    except MediaError as error:
        return error


@pytest.mark.parametrize("format, subtype", [("WAV", "FLOAT"), ("FLAC", None), ("OGG", "OPUS"), ("MP3", None)])
def test_changed_bytes_give_a_sound_or_one_line(format: str, subtype: str | None) -> None:
    rng = np.random.default_rng(3)
    data = encoded(tone(0.3), format, subtype)
    for _ in range(60):
        mutated = np.frombuffer(data, np.uint8).copy()
        places = rng.integers(0, rng.choice([64, len(mutated)]), rng.integers(1, 9))
        mutated[places] = rng.integers(0, 256, len(places))
        result = result_of(mutated.tobytes())
        if isinstance(result, Sound):
            assert np.isfinite(result.samples).all() and result.seconds < 600
        else:
            assert "\n" not in str(result)
