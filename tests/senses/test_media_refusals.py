"""Hostile pictures, each made here: one clear line, never anything else."""

import os
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from multimodal_attn.errors import MediaError
from multimodal_attn.senses.picture import media
from multimodal_attn.senses.picture.media import Picture, name_of, read_picture
from tests.senses.test_media import encoded, line_of, noise


def png_header_only(width: int, height: int) -> bytes:
    """A PNG of some eighty bytes that claims any size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


def test_missing_file_folder_and_empty_file_are_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jpg"
    empty.touch()
    os.mkfifo(tmp_path / "pipe.jpg")
    assert line_of(tmp_path / "none.jpg") == f"{tmp_path}/none.jpg: no such file; check the path"
    assert line_of(str(tmp_path)).startswith(f"{tmp_path}: a folder")
    assert line_of(empty).startswith(f"{empty}: empty")
    assert "not a regular file" in line_of(tmp_path / "pipe.jpg")
    assert "too long" in line_of(tmp_path / ("x" * 300))
    line_of("zero\0byte.jpg")


def test_names_are_made_printable_and_one_line() -> None:
    assert name_of("two\nlines\x1b[2J\udcff.jpg") == "two?lines?[2J\\xff.jpg"  # a byte that is not UTF-8
    assert name_of("été 山.jpg") == "été 山.jpg"
    assert line_of("two\nlines.jpg").startswith("two?lines.jpg: ")


@pytest.mark.parametrize(
    "data",
    [
        b"hello, I am a text",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
        b'<svg xmlns="http://www.w3.org/2000/svg" width="5" height="5"/>',
        b"%PDF-1.7\n",
        b"P6\n1 1\n255\nabc",
        b"\0",
    ],
)
def test_other_formats_are_refused_by_content(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "renamed.jpg"
    path.write_bytes(data)
    assert line_of(path) == f"{path}: not a picture of a known format; convert it to JPEG, PNG, WEBP, GIF, BMP or TIFF"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("part", [0.02, 0.3, 0.5, 0.9])
def test_truncated_files_are_refused(format: str, part: float) -> None:
    data = encoded(noise(67, 53), format)
    part = min(part, 0.75) if format == "JPEG" else part  # with more of it, it is one that lacks its end
    line_of(data[: int(len(data) * part)])


def test_decompression_bombs_are_refused_from_the_header_without_a_warning() -> None:
    gif = b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0) + b",\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;"
    bmp = bytearray(encoded(noise(), "BMP"))
    bmp[18:26] = struct.pack("<ii", 30_000, 30_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for width, height in ((20_000, 20_000), (10_000, 10_000), (7_100, 7_100), (50_000_001, 1)):
            assert "more than 50 million" in line_of(png_header_only(width, height))
        assert "65535 x 65535" in line_of(gif)
        assert "30000 x 30000" in line_of(bytes(bmp))


def test_jpeg_that_asks_for_thousands_of_passes_is_refused() -> None:
    data = encoded(Image.new("L", (640, 480), 90), "JPEG", progressive=True)
    last_scan = data[data.rindex(b"\xff\xda") : -2]
    assert "scans" in line_of(data[:-2] + last_scan * 200 + b"\xff\xd9")
    assert "scans" in line_of(data[:-2] + b"\xff\xfe\0\x04\xff\xd9" + last_scan * 200)  # an end hidden in a comment


def test_what_follows_the_end_of_a_jpeg_is_not_counted_as_scans() -> None:
    assert read_picture(encoded(noise(), "JPEG") + b"\xff\xda\0\x02" * 999).image.size == (41, 29)


def test_file_larger_than_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(media.MAX_BYTES + 1)  # sparse: takes no room
    assert "larger than 100 MB" in line_of(path)


def result_of(data: bytes) -> Picture | MediaError:
    try:
        return read_picture(data, min_side_hint=5)
    except MediaError as error:
        return error


def sources_to_mutate() -> list[bytes]:
    grey16 = Image.fromarray(np.arange(35, dtype=np.uint16).reshape(5, 7) * 1_871)
    exif = Image.Exif()
    exif[0x0112] = 6
    return [
        encoded(noise(), "JPEG", exif=exif),
        encoded(noise(), "JPEG", progressive=True),
        encoded(noise().convert("CMYK"), "JPEG"),
        encoded(noise().convert("P"), "PNG", transparency=3),
        encoded(grey16, "PNG"),
        encoded(noise(), "WEBP"),
        encoded(noise(), "GIF", save_all=True, append_images=[noise(seed=1)]),
        encoded(noise(), "BMP"),
        encoded(grey16, "TIFF"),
        encoded(noise(), "TIFF", compression="tiff_deflate"),
    ]


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """A few bytes changed, mostly in the header where the sizes and counts are; one in three also cut."""
    changed = bytearray(data)
    end = 100 if rng.random() < 0.7 else len(data)
    for at in rng.integers(0, min(end, len(data)), rng.integers(1, 9)):
        changed[at] = rng.choice([0, 1, 127, 128, 255, int(rng.integers(256))])
    return bytes(changed[: rng.integers(len(data))] if rng.random() < 0.33 else changed)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_mutated_files_give_a_picture_or_the_one_error() -> None:
    rng = np.random.default_rng(7)
    results = [result_of(mutated(data, rng)) for data in sources_to_mutate() for _ in range(60)]
    pictures = [result for result in results if isinstance(result, Picture)]
    errors = [str(result) for result in results if isinstance(result, MediaError)]
    assert len(pictures) > 50 and len(errors) > 50  # both ends are reached
    assert all(picture.image.mode == "RGB" for picture in pictures)
    assert not any("\n" in error for error in errors)


@pytest.mark.parametrize("error", [SyntaxError("bad"), MemoryError(), struct.error("two\nlines"), KeyError(3)])
def test_whatever_a_decoder_raises_is_one_line(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object) -> None:
        raise error

    monkeypatch.setattr(media.PngImageFile, "load", load)
    assert line_of(encoded(noise(), "PNG")).startswith("picture given as bytes: damaged or cut short (")


@pytest.mark.filterwarnings("ignore:Truncated File Read")
def test_threads_do_not_disturb_each_other() -> None:
    jobs: list[tuple[bytes, int]] = []
    for seed in range(20):
        format = ("PNG", "GIF", "BMP", "TIFF")[seed % 4]
        image = noise(41 + seed, 29, seed).convert("P") if format == "GIF" else noise(41 + seed, 29, seed)
        jobs += [(encoded(image, format), seed), (encoded(image, format)[:60], -1), (png_header_only(9_999, 9_999), -1)]
    expected = [result_of(data) for data, _ in jobs]
    filters = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda job: result_of(job[0]), jobs * 3))
    assert list(warnings.filters) == filters
    for result, once in zip(results, expected * 3, strict=True):
        assert type(result) is type(once)
        if isinstance(result, Picture):
            assert np.array_equal(np.asarray(result.image), np.asarray(once.image))
