"""Files with changed bytes, by a fixed seed: each gives a picture, a sound, or one line. A slow test tries more."""

import struct
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from multimodal_attn.errors import MediaError
from multimodal_attn.senses.picture.media import Picture, read_picture
from multimodal_attn.senses.sound.media import Sound, read_sound
from tests.bombs import OGG_CRC, ogg_page_with_checksum, ogg_pages
from tests.senses.test_media import encoded, noise
from tests.senses.test_sound import encoded as encoded_sound
from tests.senses.test_sound import tone

MAX_CPU = 10  # seconds
PLACES = (0, 1, 127, 128, 254, 255)  # where counts and signs turn over


def pictures(format: str, *options: dict) -> list[bytes]:
    return [encoded(noise(), format, **some) for some in ({}, *options)]


def sounds(format: str, subtype: str | None = None) -> list[bytes]:
    stereo = np.stack([tone(0.21, 8_000), tone(0.21, 8_000, 700)], 1)
    return [encoded_sound(tone(0.21), format, subtype), encoded_sound(stereo, format, subtype, rate=8_000)]


def seeds() -> dict[str, list[bytes]]:
    """Some small files a format."""
    exif = noise().getexif()
    exif[0x0112] = 6
    grey16 = Image.fromarray(np.arange(35, dtype=np.uint16).reshape(5, 7) * 1_871)
    many = {"save_all": True, "append_images": [noise(seed=1), noise(seed=2)]}
    return {
        "jpeg": [*pictures("JPEG", {"exif": exif}, {"progressive": True}), encoded(noise().convert("CMYK"), "JPEG")],
        "png": [*pictures("PNG", {"exif": exif}, many), encoded(noise().convert("P"), "PNG"), encoded(grey16, "PNG")],
        "webp": pictures("WEBP", {"exif": exif}, {"lossless": True}, many),
        "gif": pictures("GIF", {"comment": b"x" * 300}, many),
        "bmp": [*pictures("BMP"), encoded(noise().convert("P"), "BMP"), encoded(noise().convert("1"), "BMP")],
        "tiff": [*pictures("TIFF", many), *(pictures("TIFF", {"compression": "tiff_" + kind})[1] for kind in KINDS)],
        "wav": [*sounds("WAV"), *sounds("WAV", "FLOAT"), *sounds("RF64", "PCM_16")],
        "flac": sounds("FLAC"),
        "ogg": sounds("OGG", "VORBIS"),
        "opus": sounds("OGG", "OPUS"),
        "mp3": sounds("MP3"),
    }


KINDS = ("lzw", "deflate", "jpeg")
FORMATS = ("jpeg", "png", "webp", "gif", "bmp", "tiff", "wav", "flac", "ogg", "opus", "mp3")
SOUNDS = ("wav", "flac", "ogg", "opus", "mp3")


# How files are changed


def flipped(data: bytearray, rng: np.random.Generator) -> bytearray:
    for place in rng.integers(len(data), size=rng.integers(1, 9)):
        data[place] ^= 1 << rng.integers(8)
    return data


def edited(data: bytearray, rng: np.random.Generator) -> bytearray:
    """Single bytes, mostly of the header, become those where counts turn over."""
    end = min(len(data), 200) if rng.random() < 0.7 else len(data)
    for place in rng.integers(end, size=rng.integers(1, 9)):
        data[place] = rng.choice(PLACES)
    return data


def resized(data: bytearray, rng: np.random.Generator) -> bytearray:
    """Two or four bytes, as lengths are, become a number of some size."""
    width = int(rng.choice([2, 4]))
    number = int(2 ** rng.uniform(0, 8 * width)) - 1
    place = int(rng.integers(min(len(data), 400)))
    data[place : place + width] = number.to_bytes(width, "big" if rng.random() < 0.5 else "little")
    return data


def truncated(data: bytearray, rng: np.random.Generator) -> bytearray:
    return data[: rng.integers(len(data))]


def spliced(data: bytearray, rng: np.random.Generator) -> bytearray:
    """A part of the file is repeated in another place of it."""
    start, place = rng.integers(len(data), size=2)
    return data[:place] + data[start : start + rng.integers(1, 300)] + data[place:]


CHANGES: tuple[Callable, ...] = (flipped, edited, resized, truncated, spliced)


def with_checksums(format: str, data: bytes) -> bytes:
    """What was changed is as if it were meant, so that the decoder goes on."""
    if format == "png":
        return png_with_checksums(data)
    pages = ogg_pages(data)
    return b"".join(map(ogg_page_with_checksum, pages)) + data[sum(map(len, pages)) :]


def png_with_checksums(data: bytes) -> bytes:
    chunks, place = [data[:8]], 8
    while len(data) >= place + 12:
        end = place + 8 + struct.unpack(">I", data[place : place + 4])[0]
        chunks.append(data[place:end] + struct.pack(">I", zlib.crc32(data[place + 4 : end])))
        place = end + 4
    return b"".join(chunks) + data[place:]


def mutated(format: str, files: list[bytes], rng: np.random.Generator) -> bytes:
    data = bytearray(files[rng.integers(len(files))])
    for change in rng.choice(len(CHANGES), rng.integers(1, 3)):
        data = CHANGES[change](data or bytearray(b"\0"), rng)
    if format in ("png", "ogg", "opus") and rng.random() < 0.5:
        return with_checksums(format, bytes(data))
    return bytes(data)


# What comes of them


def outcome_of(format: str, data: bytes) -> str:
    """Anything but a good picture, a good sound or one short line is raised."""
    try:
        result = read_sound(data) if format in SOUNDS else read_picture(data, min_side_hint=5)
    except MediaError as error:
        assert "\n" not in str(error) and len(str(error)) < 300 and str(error).isprintable()
        return "refused"
    if isinstance(result, Picture):
        assert result.image.mode == "RGB" and min(result.image.size) > 0
    else:
        assert isinstance(result, Sound) and np.isfinite(result.samples).all()
    return "read"


def try_many(format: str, n: int, seed: int) -> tuple[Counter, float]:
    """Counts of the outcomes, and the most CPU seconds that one file took."""
    rng, files, slowest = np.random.default_rng(seed), seeds()[format], 0.0
    outcomes: Counter[str] = Counter()
    for _ in range(n):
        data = mutated(format, files, rng)
        start = time.process_time()
        outcomes[outcome_of(format, data)] += 1
        slowest = max(slowest, time.process_time() - start)
    return outcomes, slowest


def test_checksums_are_those_of_the_formats() -> None:
    files = seeds()
    for format in ("png", "ogg", "opus"):
        assert all(with_checksums(format, data) == data for data in files[format])
    assert OGG_CRC[1] == 0x04C11DB7


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", FORMATS)
def test_changed_files_give_a_picture_a_sound_or_one_line(format: str) -> None:
    outcomes, slowest = try_many(format, 500, seed=7)
    assert min(outcomes["read"], outcomes["refused"]) > 5, outcomes  # both ends are reached
    assert slowest < MAX_CPU


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format", FORMATS)
def test_twenty_thousand_changed_files_of_a_format(format: str) -> None:
    outcomes, slowest = try_many(format, 20_000, seed=11)
    print(f"{format}: {dict(outcomes)}, slowest {slowest:.2f} s", file=sys.stderr)
    assert outcomes.total() == 20_000 and slowest < MAX_CPU
