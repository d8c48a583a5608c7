"""Odd sounds that must be read right, each made here, and cutting long ones at pauses."""

import io
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from multimodal_attn.senses.sound.media import RATE, Sound, read_pieces, read_sound, sound_files
from multimodal_attn.senses.sound.pauses import split_at_pauses
from tests.conftest import SHARED, needs_shared


def tone(seconds: float = 1.37, rate: int = RATE, hertz: float = 440, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def encoded(samples: np.ndarray, format: str = "WAV", subtype: str | None = None, rate: int = RATE, **options) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format=format, subtype=subtype, **options)
    return stream.getvalue()


def loudness_at(heard: Sound, hertz: float) -> float:
    """The height of a sine of this frequency in the middle of a sound."""
    samples = heard.samples[RATE // 5 : -RATE // 5]
    wave = np.exp(-2j * np.pi * hertz * np.arange(len(samples)) / RATE)
    return 2 * abs(samples @ wave) / len(samples)


# What each must sound like


@pytest.mark.parametrize(
    "format, subtype",
    [
        ("WAV", "PCM_U8"),
        ("WAV", "PCM_16"),
        ("WAV", "PCM_24"),
        ("WAV", "PCM_32"),
        ("WAV", "FLOAT"),
        ("WAV", "DOUBLE"),
        ("WAV", "ULAW"),
        ("WAVEX", "PCM_16"),
        ("RF64", "PCM_16"),
        ("FLAC", "PCM_24"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", None),
    ],
)
def test_every_format_and_width_keeps_a_planted_tone(format: str, subtype: str | None) -> None:
    heard = read_sound(encoded(tone(), format, subtype))
    assert heard.samples.dtype == np.float32
    assert len(heard.samples) == round(1.37 * RATE)
    assert loudness_at(heard, 440) == pytest.approx(0.5, abs=0.02)
    assert loudness_at(heard, 1_234) < 0.01


@pytest.mark.parametrize("rate", [4_000, 8_000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_every_rate_keeps_the_tone_and_its_exact_length(rate: int) -> None:
    heard = read_sound(encoded(tone(rate=rate), rate=rate))
    assert len(heard.samples) == round(round(1.37 * rate) * RATE / rate)
    assert loudness_at(heard, 440) == pytest.approx(0.5, abs=0.005)


def test_what_is_too_high_for_the_rate_does_not_come_back_as_something_lower() -> None:
    heard = read_sound(encoded(tone(rate=44_100, hertz=13_000), rate=44_100))
    assert loudness_at(heard, 3_000) < 0.001  # 16,000 - 13,000


def test_channels_are_averaged() -> None:
    channels = np.stack([tone(hertz=hertz) for hertz in (300, 500, 700, 1_100, 1_300, 1_700)], 1)
    heard = read_sound(encoded(channels))
    assert [loudness_at(heard, hertz) for hertz in (300, 1_700)] == pytest.approx([0.5 / 6] * 2, abs=1e-3)


def test_the_content_decides_and_not_the_extension(tmp_path: Path) -> None:
    for name in ("sound.raw", "sound.jpg", "sound"):
        (tmp_path / name).write_bytes(encoded(tone(), "FLAC"))
        assert loudness_at(read_sound(tmp_path / name), 440) == pytest.approx(0.5, abs=0.01)


def test_a_path_reads_as_its_bytes_do(tmp_path: Path) -> None:
    data = encoded(tone(rate=44_100), "MP3", rate=44_100)
    (tmp_path / "tone.mp3").write_bytes(data)
    heard = read_sound(tmp_path / "tone.mp3")
    assert np.array_equal(heard.samples, read_sound(data).samples)
    assert (heard.name, heard.start) == (f"{tmp_path}/tone.mp3", 0)


@pytest.mark.parametrize("length", [2**32 - 1, 2**31, 2**31 - 37])
def test_wav_from_a_pipe_whose_writer_did_not_know_the_length_is_read_whole(length: int) -> None:
    data = bytearray(encoded(tone()))
    place = data.index(b"data") + 4
    data[place : place + 4] = struct.pack("<I", length)
    assert len(read_sound(bytes(data)).samples) == round(1.37 * RATE)


def test_tags_around_an_mp3_do_not_matter() -> None:
    data = encoded(tone(), "MP3")
    tagged = b"ID3\4\0\0\0\0\1\0" + bytes(128) + data + b"TAG" + b"title \xff\xfb\x90".ljust(125)
    assert len(read_sound(tagged).samples) == round(1.37 * RATE)


# Arrays


@pytest.mark.parametrize(
    "dtype, full_scale, offset",
    [("int16", 2**15, 0), ("int32", 2**31, 0), ("uint8", 128, 128), ("float32", 1, 0), ("float64", 1, 0)],
)
def test_arrays_of_every_type_count_to_full_scale(dtype: str, full_scale: int, offset: int) -> None:
    half = np.full(RATE, offset + full_scale / 2).astype(dtype)
    assert np.all(read_sound((half, RATE)).samples == 0.5)


def test_array_may_come_in_the_microphones_order_and_in_stereo() -> None:
    stereo = np.stack([tone(rate=48_000), np.zeros_like(tone(rate=48_000))], 1)
    heard = read_sound((48_000, (stereo * 32_767).astype(np.int16)))
    assert loudness_at(heard, 440) == pytest.approx(0.25, abs=1e-3)


# Nothing to hear


def test_too_short_and_silent_sounds_are_read_with_the_reason_why_they_say_nothing() -> None:
    def problem_of(samples: np.ndarray) -> str | None:
        return read_sound(encoded(samples)).problem

    assert problem_of(np.zeros(0)) == problem_of(tone(0.0249)) == "shorter than 25 ms"
    assert problem_of(np.zeros(RATE)) == problem_of(np.full(RATE, 0.25)) == problem_of(tone(level=4e-5)) == "silent"
    assert problem_of(tone(0.026)) is problem_of(tone(level=1e-3)) is None


# Pieces


def speech_like(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise in syllables with short dips, so that there is no silence but there are better and worse places."""
    rng = np.random.default_rng(seed)
    envelope = np.repeat(rng.uniform(0.3, 1, round(seconds * 10)), RATE // 10)
    return (0.1 * envelope * rng.standard_normal(len(envelope))).astype(np.float32)


def with_rests(samples: np.ndarray, *rests: tuple[float, float]) -> np.ndarray:
    """Makes it nearly silent from second to second."""
    samples = samples.copy()
    for start, end in rests:
        samples[round(start * RATE) : round(end * RATE)] *= 1e-3
    return samples


def cuts_of(samples: np.ndarray, max_seconds: float = 18.0) -> list[float]:
    return [piece.start for piece in read_pieces((samples, RATE), max_seconds)][1:]


def test_pieces_put_together_are_the_sound_and_their_starts_are_true() -> None:
    samples = speech_like(71.3)
    pieces = list(read_pieces((samples, RATE), 7))
    assert np.array_equal(np.concatenate([piece.samples for piece in pieces]), samples)
    assert all(piece.seconds <= 7 for piece in pieces) and len(pieces) > 10
    ends = np.cumsum([piece.seconds for piece in pieces])
    assert [piece.start for piece in pieces] == pytest.approx([0, *ends[:-1]])


def test_cut_lies_in_the_middle_of_a_planted_pause() -> None:
    assert cuts_of(with_rests(speech_like(25), (11.2, 11.8))) == pytest.approx([11.5], abs=0.011)


def test_first_long_pause_is_taken_and_none_before_eight_seconds() -> None:
    rests = [(4, 5), (9.5, 9.7), (12, 12.4), (14, 15)]  # too early; too short; the one; late
    assert cuts_of(with_rests(speech_like(25), *rests)) == pytest.approx([12.2], abs=0.011)


def test_without_a_pause_the_quietest_place_of_the_second_half_is_taken() -> None:
    samples = speech_like(20)
    samples[round(13.1 * RATE) : round(13.3 * RATE)] *= 0.2
    assert cuts_of(samples) == pytest.approx([13.2], abs=0.011)


def test_sound_that_fits_is_never_cut() -> None:
    assert cuts_of(with_rests(speech_like(18), (10, 12))) == []
    assert [len(piece.samples) for piece in read_pieces((np.zeros(0, np.int16), RATE))] == [0]


def test_pieces_do_not_depend_on_the_blocks_they_come_in() -> None:
    samples, n_max = speech_like(31), 7 * RATE
    whole = [len(piece) for piece in split_at_pauses([samples], n_max)]
    for n in (97, 1_009, 65_536, n_max + 1):
        blocks = (samples[i : i + n] for i in range(0, len(samples), n))
        assert [len(piece) for piece in split_at_pauses(blocks, n_max)] == whole


def test_silence_without_end_is_cut_into_silent_pieces() -> None:
    pieces = list(read_pieces((np.zeros(61 * RATE, np.int16), RATE)))
    assert {piece.problem for piece in pieces} == {"silent"}
    assert sum(len(piece.samples) for piece in pieces) == 61 * RATE


def test_an_hour_is_read_in_the_memory_of_some_pieces(tmp_path: Path) -> None:
    path, minute = tmp_path / "hour.flac", speech_like(60, seed=1) * 0.3
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        for _ in range(60):
            file.write(minute)
    tracemalloc.start()
    try:
        n_samples = sum(len(piece.samples) for piece in read_pieces(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert n_samples == 3_600 * RATE
    assert peak < 8 * 18 * RATE * 4  # bytes; the hour has 230 million


@needs_shared
def test_recordings_of_the_data_set_are_as_long_as_its_manifest_says() -> None:
    folder = SHARED / "data" / "speech"
    lines = (folder / "manifest.tsv").read_text(encoding="utf-8").splitlines()[1::997]
    for _, _, _, _, seconds, file, _ in (line.split("\t") for line in lines):
        heard = read_sound(folder / file)
        assert heard.seconds == pytest.approx(float(seconds), abs=0.011)
        assert heard.problem is None


def test_sounds_inside_folders_are_found_in_order(tmp_path: Path) -> None:
    for name in ("b/2.OPUS", "b/1.flac", "a.wav", "notes.txt", ".hidden.mp3", "c.mp3"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in sound_files([tmp_path])]
    assert found == ["a.wav", "c.mp3", "b/1.flac", "b/2.OPUS"]
    assert list(sound_files([tmp_path / "notes.txt", "none"])) == [tmp_path / "notes.txt", Path("none")]
