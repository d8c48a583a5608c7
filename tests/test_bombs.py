"""Small files that ask for minutes of work: each is made here, and is refused or read without them."""

import struct

import pytest

from multimodal_attn.media import read_picture
from tests.test_media import encoded, line_of, noise


def gif_with(extensions: bytes) -> bytes:
    gif = encoded(noise().convert("P"), "GIF")
    table = 13 + (3 << (gif[10] & 7) + 1)
    return gif[:table] + extensions + gif[table:]


@pytest.mark.parametrize("size", [2_000_000, 19_600_000])
def test_files_of_too_many_parts_are_refused(size: int) -> None:
    jpeg = encoded(noise(), "JPEG")
    assert "too many segments" in line_of(jpeg[:2] + b"\xff\xe1\0\x09Exif\0\0x" * (size // 11) + jpeg[2:])
    assert "too many segments" in line_of(jpeg[:2] + b"\xff\xfe\0\x02" * (size // 4) + jpeg[2:])
    assert "too many comments" in line_of(gif_with(b"\x21\xfe\x01x\0" * (size // 5)))
    assert "too many comments" in line_of(gif_with(b"\x21\xfe" + b"\x01x" * (size // 2) + b"\0"))
    count = size // 4
    tags = [(256, 4, 1, 10), (257, 4, 1, 10), (273, 4, count, 8 + 2 + 3 * 12 + 4)]
    ifd = struct.pack("<H", 3) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + b"\0" * 4
    assert "too many strips" in line_of(b"II*\0\x08\0\0\0" + ifd + b"\0" * size)


def test_gif_with_a_long_comment_is_just_a_gif() -> None:
    picture = read_picture(gif_with(b"\x21\xfe" + (b"\xff" + b"x" * 255) * 75_000 + b"\0"))
    assert picture.image.size == noise().size and "comment" not in picture.image.info
