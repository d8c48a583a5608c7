"""Reading sound: everything people have becomes 16 kHz mono, in bounded memory. Every failure is one MediaError."""

import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from soundfile import SoundFile
from soxr import ResampleStream

from multimodal_attn.errors import ConfigError, MediaError
from multimodal_attn.files import in_hand, media_files, open_file, printable
from multimodal_attn.senses.sound.containers import Condition, condition_of, has_mp3, is_mp3, parts_of
from multimodal_attn.senses.sound.ffmpeg import ffmpeg_blocks, kind_of
from multimodal_attn.senses.sound.pauses import split_at_pauses

Source = str | Path | bytes | tuple[np.ndarray, int]

RATE = 16_000  # Hz
MIN_SECONDS = 0.025  # one window of the log-mel front end
MAX_PIECE_SECONDS = 18.0
MAX_SECONDS_AT_ONCE = 600.0
MAX_SECONDS = 24 * 3_600.0
MIN_RATE, MAX_RATE = 4_000, 192_000  # Hz
MAX_CHANNELS = 32
MAX_FILE_BYTES = 2_000_000_000
MAX_BYTES = 100_000_000
MAX_LEVEL = 1_000.0  # full scale is 1; some float recordings pass it, none that is honest by so much
SILENCE = 1e-4  # between the lowest and the highest sample: 80 dB below full scale
BLOCK = 1 << 16  # frames decoded at a time
SMALL_BLOCK = 1 << 12  # of a format whose decoder gives nothing of a block in which it finds damage
START = 1 << 16  # bytes in which the kind of a file shows
CANCELLED = 0.1  # of the power that channels of which one is heard have in their mean; below it they cancel
EXTENSIONS = frozenset([".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".caf"])
EXTENSIONS |= frozenset([".m4a", ".m4b", ".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".webm", ".mkv", ".mka"])
EXTENSIONS |= frozenset([".aac", ".amr", ".wma"])
FORMATS = "WAV, FLAC, OGG, Opus or MP3"  # to convert others to


@dataclass(frozen=True)
class Sound:
    """Samples (n,), float32 at RATE; `start`: seconds before them in the whole recording; `name` is for messages."""

    samples: np.ndarray
    start: float = 0.0
    name: str = "sound"

    @property
    def seconds(self) -> float:
        return len(self.samples) / RATE

    @property
    def problem(self) -> str | None:
        """Why there is nothing to hear in it, if so; its transcript is then empty, and this is the reason to give."""
        if self.seconds < MIN_SECONDS:
            return f"shorter than {MIN_SECONDS * 1000:.0f} ms"
        return "silent" if np.ptp(self.samples) < SILENCE else None


def read_sound(source: Source) -> Sound:
    """The whole of a sound of up to MAX_SECONDS_AT_ONCE.

    source: a file, an open one, its bytes, a pair (samples, rate), or {"array": samples, "sampling_rate": rate}: int16,
        int32, uint8 or float samples (n,), (n, channels) or (channels, n). Any rate of 4 to 192 kHz, any width and up
        to 32 channels, of which the mean is taken.
    Raises MediaError for what cannot be read, is cut short, or holds numbers that are not sound.
    """
    source = given(source)
    return decode_sound(source, name_of(source))


def given(source: Any) -> Source:
    """A source of whatever kind as one that is decoded here. Raises MediaError for what is none."""
    if isinstance(source, dict):
        if not {"array", "sampling_rate"} <= set(source):
            raise MediaError('a sound as a dictionary without "array" and "sampling_rate"; give both')
        source = source["array"], source["sampling_rate"]
    if isinstance(source, tuple) and len(source) == 2:
        return tuple(part if np.isscalar(part) else np.asarray(in_hand(part, 0)) for part in source)
    source = in_hand(source, MAX_BYTES)
    if not isinstance(source, str | Path | bytes | np.ndarray):
        kinds = 'a path, a file, its bytes, (samples, rate) or {"array": samples, "sampling_rate": rate}'
        raise MediaError(f"a sound of type {type(source).__name__}; give {kinds}, one at a time")
    return source


def decode_sound(source: Source | BinaryIO, name: str) -> Sound:
    """The same from an open file too, with the name that messages give it."""
    blocks = list(read_blocks(source, name, MAX_SECONDS_AT_ONCE))
    return Sound(np.concatenate([np.zeros(0, np.float32), *blocks]), 0.0, name)


def read_pieces(source: Source, max_seconds: float = MAX_PIECE_SECONDS) -> Iterator[Sound]:
    """A sound of any length in pieces of at most `max_seconds`, cut at pauses, one after the other without a gap.

    There is at least one piece. Memory is bounded whatever the length. Raises as `read_sound`; damage in the middle of
    a file shows only when it is reached.
    """
    check_piece_seconds(max_seconds)
    source = given(source)
    yield from decode_pieces(source, name_of(source), max_seconds)


def check_piece_seconds(max_seconds: float) -> None:
    if not 1 <= max_seconds <= MAX_SECONDS_AT_ONCE:
        raise ConfigError(f"pieces of {max_seconds:g} seconds; choose from 1 to {MAX_SECONDS_AT_ONCE:g}")


def decode_pieces(source: Source | BinaryIO, name: str, max_seconds: float) -> Iterator[Sound]:
    """The same from an open file too, with the name that messages give it. An error comes after all that was read."""
    errors: list[MediaError] = []

    def blocks() -> Iterator[np.ndarray]:
        try:
            yield from read_blocks(source, name, MAX_SECONDS)
        except MediaError as error:
            errors.append(error)

    n_read = 0
    for samples in split_at_pauses(blocks(), int(max_seconds * RATE)):
        if len(samples) or not errors:
            yield Sound(samples, n_read / RATE, name)
        n_read += len(samples)
    if errors:
        raise errors[0]


def sound_files(paths: Sequence[str | Path]) -> Iterator[Path]:
    """Files as given and the sounds inside folders; see `media_files`."""
    return media_files(paths, EXTENSIONS)


def name_of(source: Source) -> str:
    """What messages call the source: its path on one printable line, or its kind."""
    if isinstance(source, tuple | np.ndarray | bytes):
        return getattr(source, "name", "sound given as bytes") if isinstance(source, bytes) else "array"
    return printable(source)


def read_blocks(source: Source | BinaryIO, name: str, max_seconds: float) -> Iterator[np.ndarray]:
    """Consecutive blocks (n,) at RATE; their total length is exact."""
    if isinstance(source, np.ndarray):
        raise MediaError(f"{name}: without its rate; give the pair (samples, rate)")
    stream, last_rate, seconds = None, RATE, 0.0
    nothing = np.zeros(0, np.float32)
    try:
        try:
            for rate, block in array_blocks(*source, name) if isinstance(source, tuple) else file_blocks(source, name):
                seconds += len(block) / rate
                check_block(block, seconds, max_seconds, name)
                if rate != last_rate:  # at the beginning, or where another recording follows in the same file
                    if stream:
                        yield stream.resample_chunk(nothing, last=True)
                    stream = ResampleStream(rate, RATE, 1, dtype="float32") if rate != RATE else None
                    last_rate = rate
                mono = to_mono(block)  # (n,)
                yield stream.resample_chunk(mono) if stream else mono
        except Exception:
            if stream:
                yield stream.resample_chunk(nothing, last=True)
            raise
        if stream:
            yield stream.resample_chunk(nothing, last=True)
    except MediaError:
        raise
    except Exception as error:  # decoders have their own classes, and virtual files raise nearly anything
        reason = " ".join(str(getattr(error, "error_string", error)).split())[:80] or type(error).__name__
        raise MediaError(f"{name}: damaged or cut short ({reason}); save it again or take another file") from error


def to_mono(block: np.ndarray) -> np.ndarray:
    """(n,) the mean of the channels (n, channels); where they cancel, as with one that is inverted, the loudest."""
    mean = block.mean(1)
    n_channels = block.shape[1]
    if n_channels == 1:
        return mean
    powers = np.square(block, dtype=np.float64).sum(0)
    is_cancelled = np.square(mean, dtype=np.float64).sum() < CANCELLED * powers.max() / n_channels**2
    return block[:, powers.argmax()].copy() if is_cancelled else mean


def check_block(block: np.ndarray, seconds: float, max_seconds: float, name: str) -> None:
    if seconds > max_seconds:
        limit = f"{max_seconds / 60:.0f} minutes" if max_seconds < 3_600 else f"{max_seconds / 3_600:.0f} hours"
        raise MediaError(f"{name}: longer than {limit}; cut it into parts")
    level = np.abs(block).max(initial=0)
    if not level <= MAX_LEVEL:  # NaN compares false
        what = f"samples up to {level:.3g}" if np.isfinite(level) else "NaN or infinite samples"
        raise MediaError(f"{name}: {what}, where full scale is 1; save it again as 16-bit WAV")


def file_blocks(source: str | Path | bytes | BinaryIO, name: str) -> Iterator[tuple[int, np.ndarray]]:
    """The rate and a block (n, channels), until the end of a file or its bytes. What is wrong with it is told of after
    all that could be read."""
    with opened(source, name) as file:
        condition = check_content(file, MAX_BYTES if isinstance(source, bytes) else MAX_FILE_BYTES, name)
        size = file.seek(0, os.SEEK_END)
        if condition.decoder:
            file.seek(0)
            for rate, block in ffmpeg_blocks(file, condition.decoder, name):
                check_header(rate, block.shape[1], name)
                yield rate, to_float(block)
        else:
            for part in parts_of(file, size, condition):
                yield from sndfile_blocks(part, name)
        if condition.fault:
            advice = "" if condition.patches else "; copy it again or save it as WAV"
            raise MediaError(f"{name}: {condition.fault}{advice}")


def sndfile_blocks(file: BinaryIO, name: str) -> Iterator[tuple[int, np.ndarray]]:
    with SoundFile(file) as sound:
        check_header(sound.samplerate, sound.channels, name)
        if sound.frames > MAX_SECONDS * MAX_RATE:  # the library's way to say unknown, which it cannot read to the end
            raise MediaError(f"{name}: its header does not tell a true length; save it again as WAV")
        n_read, n_block = 0, SMALL_BLOCK if sound.format == "FLAC" else BLOCK
        while len(block := sound.read(n_block, dtype="float32", always_2d=True)):
            yield sound.samplerate, block
            n_read += len(block)
        if n_read < sound.frames and sound.format != "MP3":  # of an MP3 the library only estimates them
            raise MediaError(f"{name}: cut short; copy or download it again")


def opened(source: str | Path | bytes | BinaryIO, name: str) -> BinaryIO:
    if isinstance(source, str | Path):
        return open_file(Path(source), name, "sound")
    return io.BytesIO(source) if isinstance(source, bytes) else source


def check_content(file: BinaryIO, max_bytes: int, name: str) -> Condition:
    """Refuses by size, by the first bytes, and what is lost; the file's name counts for nothing."""
    size = file.seek(0, os.SEEK_END)
    if not size:
        raise MediaError(f"{name}: empty; copy or download it again")
    if size > max_bytes:
        raise MediaError(f"{name}: larger than {max_bytes // 10**6} MB; cut it into parts or save it as FLAC or Opus")
    file.seek(0)
    start = file.read(START)
    if decoder := kind_of(start):
        return Condition(decoder=decoder)
    is_wav = start[:4] in (b"RIFF", b"RF64") and start[8:12] == b"WAVE"
    if not (is_wav or start[:4] in (b"fLaC", b"OggS") or is_mp3(start)):
        if has_mp3(start):  # after something else
            return Condition(decoder="mp3")
        raise MediaError(f"{name}: not a sound of a known format; convert it to {FORMATS}")
    condition = condition_of(file, size)
    if condition.is_lost:
        raise MediaError(f"{name}: {condition.fault}; copy it again or save it as WAV")
    return condition


def check_header(rate: float, n_channels: int, name: str) -> None:
    if not MIN_RATE <= rate <= MAX_RATE:
        raise MediaError(f"{name}: {rate:g} samples a second; save it with {MIN_RATE} to {MAX_RATE}")
    if not 1 <= n_channels <= MAX_CHANNELS:
        raise MediaError(f"{name}: {n_channels} channels; save it with 1 to {MAX_CHANNELS}")


def array_blocks(samples: np.ndarray, rate: int, name: str) -> Iterator[tuple[int, np.ndarray]]:
    """The same of an array: integers are scaled by their range, floats count from -1 to 1."""
    if np.ndim(samples) == 0:  # the order in which Gradio's microphone gives them
        samples, rate = rate, samples
    samples = np.asarray(samples)
    if samples.ndim == 2 and samples.shape[0] < samples.shape[1] and samples.shape[0] <= MAX_CHANNELS:
        samples = samples.T  # channels first, as torchaudio has them
    kinds = ("uint8", "int16", "int32", "float16", "float32", "float64")
    if samples.dtype.name not in kinds or samples.ndim not in (1, 2):
        wanted = "give int16, int32 or float of shape (n,) or (n, channels), and its rate"
        raise MediaError(f"{name}: {samples.dtype} {samples.shape}; {wanted}")
    columns = samples.reshape(len(samples), -1) if len(samples) else np.zeros((0, 1), samples.dtype)  # (n, channels)
    check_header(rate, columns.shape[1], name)
    for start in range(0, len(columns), BLOCK):
        yield int(rate), to_float(columns[start : start + BLOCK])


def to_float(block: np.ndarray) -> np.ndarray:
    if np.issubdtype(block.dtype, np.floating):
        with np.errstate(over="ignore"):  # becomes infinite, which is refused
            return block.astype(np.float32)
    offset = 128 if block.dtype == np.uint8 else 0
    full_scale = 128 if block.dtype == np.uint8 else -float(np.iinfo(block.dtype).min)
    return ((block.astype(np.float64) - offset) / full_scale).astype(np.float32)
