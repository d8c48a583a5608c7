"""Small files that ask for minutes of work: each is made here, and is refused or read without them."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from multimodal_attn.senses.picture.media import read_picture
from multimodal_attn.senses.picture.walk import MAX_FILL, MAX_PNG_CHUNKS
from multimodal_attn.senses.sound import containers
from multimodal_attn.senses.sound.media import read_sound
from tests.bombs import KNOWN, OTHERS, gif_with, jpeg_with, mp3_of_small_frames, png_of_many
from tests.conftest import ROOT
from tests.senses.test_media import encoded, line_of, noise
from tests.senses.test_sound import encoded as encoded_sound
from tests.senses.test_sound import tone
from tests.senses.test_sound_refusals import line_of as line_of_sound

MAX_UPLOAD = 20_000_000  # bytes, of the page
MAX_CPU, MAX_MEMORY = 10, 1 << 20  # seconds, kB
SOUNDS = ("FLAC", "MP3", "Opus", "Vorbis", "WAV")

# in the process that reads; the time-out of the old code, which took minutes, is its own limit
MEASURED = """
import resource, sys, time
from pathlib import Path
resource.setrlimit(resource.RLIMIT_CPU, (15, 15))
from multimodal_attn.senses.picture import media
from multimodal_attn.senses.sound import media as sound
from multimodal_attn.errors import MediaError
try:
    (sound.read_sound if sys.argv[1] == "sound" else media.read_picture)(sys.argv[2])
except MediaError as error:
    assert len(str(error)) < 300 and "\\n" not in str(error)
peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
print(time.process_time(), peak)
"""


def cost_of(name: str, size: int, folder: Path) -> tuple[float, int]:
    """CPU seconds and peak memory in kB of a process that reads such a file in place, its start included."""
    bomb = (KNOWN | OTHERS)[name](size)
    (folder / "bomb").write_bytes(bomb[:MAX_UPLOAD])
    kind = "sound" if name.startswith(SOUNDS) else "picture"
    command = [sys.executable, "-c", MEASURED, kind, str(folder / "bomb")]
    read = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert read.returncode == 0, f"ended by {read.returncode}: {read.stderr[-300:]}"
    seconds, peak = read.stdout.split()
    return float(seconds), int(peak)


needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is looked up in /proc")


@needs_proc
@pytest.mark.parametrize("size", [MAX_UPLOAD // 10, MAX_UPLOAD])
@pytest.mark.parametrize("name", KNOWN)
def test_known_bomb_costs_little(name: str, size: int, tmp_path: Path) -> None:
    seconds, peak = cost_of(name, size, tmp_path)
    assert seconds < MAX_CPU and peak < MAX_MEMORY


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("name", OTHERS)
def test_other_bomb_costs_little(name: str, tmp_path: Path) -> None:
    seconds, peak = cost_of(name, MAX_UPLOAD, tmp_path)
    assert seconds < MAX_CPU and peak < MAX_MEMORY


@pytest.mark.parametrize("size", [2_000_000, 19_600_000])
def test_files_of_too_many_parts_are_refused(size: int) -> None:
    words = {
        "JPEG of many EXIF segments": "too many segments",
        "JPEG of many empty comments": "too many segments",
        "GIF of many comments": "too many comments",
        "GIF of one comment in blocks of a byte": "too many comments",
        "TIFF of many strips": "too many strips",
    }
    for name, reason in words.items():
        assert reason in line_of(KNOWN[name](size))
    assert "not an MP3 in one piece" in line_of_sound(KNOWN["MP3 of small frames with gaps"](size))


def test_png_of_many_chunks_and_jpeg_of_fill_bytes_are_refused() -> None:
    assert "too many chunks" in line_of(png_of_many(b"abCd")(12 * (MAX_PNG_CHUNKS + 1)))
    assert read_picture(png_of_many(b"abCd")(12 * 1_009)).width == noise().width
    assert "too much between" in line_of(jpeg_with(b"\xff" * (MAX_FILL + 2)))
    assert read_picture(jpeg_with(b"\xff" * 101)).width == noise().width


def test_exif_of_overlapping_tags_is_not_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "overlapping tags" in line_of(OTHERS["JPEG of overlapping EXIF tags"](100_003))
    taken_apart = []
    monkeypatch.setattr(Image.Image, "getexif", taken_apart.append)
    for name in (
        "PNG of overlapping EXIF tags",
        "PNG of overlapping EXIF tags in hexadecimals",
        "WebP of overlapping EXIF tags",
    ):
        assert read_picture(OTHERS[name](100_003)).width == noise().width
    assert not taken_apart


def test_turn_told_in_hexadecimals_is_taken() -> None:
    exif, notes = noise().getexif(), PngImagePlugin.PngInfo()
    exif[0x0112] = 6
    notes.add_text("Raw profile type exif", f"\nexif\n20\n{exif.tobytes().hex()}")
    assert read_picture(encoded(noise(), "PNG", pnginfo=notes)).image.size == noise().size[::-1]


def test_scan_of_any_length_is_no_fill() -> None:
    assert read_picture(encoded(noise(401, 307), "JPEG", quality=95)).width == 401


def test_jpeg_with_megabytes_of_xmp_is_just_a_jpeg() -> None:
    xmp = b"http://ns.adobe.com/xap/1.0/\0" + bytes(65_000)
    segment = b"\xff\xe1" + (len(xmp) + 2).to_bytes(2) + xmp
    assert read_picture(jpeg_with(segment * 200)).width == noise().width


def test_gif_with_a_long_comment_is_just_a_gif() -> None:
    picture = read_picture(gif_with(b"\x21\xfe" + (b"\xff" + b"x" * 255) * 75_000 + b"\0"))
    assert picture.image.size == noise().size and "comment" not in picture.image.info


def test_mp3_of_more_frames_than_a_day_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "MAX_FRAMES", 1_009)
    assert "longer than a day" in line_of_sound(mp3_of_small_frames(b"")(24 * 1_010))
    assert read_sound(mp3_of_small_frames(b"")(24 * 1_009)).seconds > 0


@pytest.mark.parametrize("length", [2**62, 2**32])
def test_rf64_whose_header_lies_is_named(length: int) -> None:
    data = bytearray(encoded_sound(tone(), "RF64", "PCM_16"))
    place = data.index(b"ds64") + 16
    data[place : place + 8] = length.to_bytes(8, "little")
    assert "true length" in line_of_sound(bytes(data))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "TIFF"])
def test_nothing_but_the_picture_travels(format: str) -> None:
    exif = noise().getexif()
    exif[0x010E], exif[0x0132] = "at home", "2020:01:01 00:00:00"
    options = {"comment": b"at home"} if format in ("JPEG", "GIF") else {}
    picture = read_picture(encoded(noise(), format, exif=exif, dpi=(72, 72), **options))
    assert picture.image.info == {} and not picture.image.getexif()
