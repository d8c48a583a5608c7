"""Small files that ask for far more work than their size: each is made here, as large as wanted."""

import struct
import zlib
from collections.abc import Callable

from PIL import Image

from tests.senses.test_media import encoded, noise
from tests.senses.test_sound import encoded as encoded_sound
from tests.senses.test_sound import tone

Bomb = Callable[[int], bytes]


def gif_with(extensions: bytes) -> bytes:
    gif = encoded(noise().convert("P"), "GIF")
    table = 13 + (3 << (gif[10] & 7) + 1)
    return gif[:table] + extensions + gif[table:]


def jpeg_with(segments: bytes) -> bytes:
    jpeg = encoded(noise(), "JPEG")
    return jpeg[:2] + segments + jpeg[2:]


def tiff_of(tags: list[tuple[int, int, int, int]], more: bytes, following: int = 0) -> bytes:
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0\x08\0\0\0" + directory + struct.pack("<I", following) + more


def tiff_of_strips(size: int) -> bytes:
    return tiff_of([(256, 4, 1, 10), (257, 4, 1, 10), (273, 4, size // 4, 50)], b"\0" * size)


def mp3_of_small_frames(between: bytes) -> Bomb:
    frame = b"\xff\xf3\x14\xc4"  # MPEG-2 layer III, 8 kbit/s, 24 kHz: 24 bytes
    return lambda size: (frame.ljust(24, b"\0") + between) * (size // (24 + len(between)))


# Of these each held the reader up for seconds to hours, the smaller ones of the first four by the square of their size
KNOWN: dict[str, Bomb] = {
    "GIF of many comments": lambda size: gif_with(b"\x21\xfe\x01x\0" * (size // 5)),
    "GIF of one comment in blocks of a byte": lambda size: gif_with(b"\x21\xfe" + b"\x01x" * (size // 2) + b"\0"),
    "GIF of one long comment": lambda size: gif_with(b"\x21\xfe" + (b"\xff" + b"x" * 255) * (size // 256) + b"\0"),
    "JPEG of many EXIF segments": lambda size: jpeg_with(b"\xff\xe1\0\x09Exif\0\0x" * (size // 11)),
    "JPEG of many empty comments": lambda size: jpeg_with(b"\xff\xfe\0\x02" * (size // 4)),
    "TIFF of many strips": tiff_of_strips,
    "MP3 of small frames with gaps": mp3_of_small_frames(b"\0"),
}


def png_chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_with(chunks: bytes) -> bytes:
    """Between the header and the rest."""
    png = encoded(noise(), "PNG")
    return png[:33] + chunks + png[33:]


def png_of_many(kind: bytes, data: bytes = b"") -> Bomb:
    chunk = png_chunk(kind, data)
    return lambda size: png_with(chunk * (size // len(chunk)))


def png_of_unpacking_texts(size: int) -> bytes:
    text = png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000), 9))
    return png_with(text * (size // len(text)))


def png_of_many_frames(size: int) -> bytes:
    control = png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 41, 29, 0, 0, 1, 1, 0, 0))
    png = png_with(png_chunk(b"acTL", struct.pack(">II", size // 60, 0)))
    end = png.index(b"IEND") - 4
    data = png_chunk(b"fdAT", b"\0\0\0\1x")
    return png[:end] + (control + data) * (size // len(control + data)) + png[end:]


def webp_of_chunks(chunk: bytes, flags: int) -> Bomb:
    def bomb(size: int) -> bytes:
        picture = encoded(noise(), "WEBP", lossless=True)[12:]
        header = b"VP8X" + struct.pack("<IIHBHB", 10, flags, 40, 0, 28, 0)
        body = b"WEBP" + header + (picture + chunk * (size // len(chunk)))
        return b"RIFF" + struct.pack("<I", len(body)) + body

    return bomb


def webp_of_many_frames(size: int) -> bytes:
    picture = encoded(Image.new("RGB", (1, 1)), "WEBP", lossless=True)[12:]
    frame = struct.pack("<HBHBHBHBHBB", 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0) + picture
    frame = b"ANMF" + struct.pack("<I", len(frame)) + frame + b"\0" * (len(frame) % 2)
    header = b"VP8X" + struct.pack("<IIHBHB", 10, 2, 40, 0, 28, 0) + b"ANIM" + struct.pack("<IIH", 6, 0, 0)
    body = b"WEBP" + header + frame * (size // len(frame))
    return b"RIFF" + struct.pack("<I", len(body)) + body


def tiff_of_pages_in_a_loop(size: int) -> bytes:
    tags = [(256, 4, 1, 10), (257, 4, 1, 10), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, 1, 8), (279, 4, 1, 100)]
    return tiff_of(tags, bytes(size), following=8)


def tiff_of_nested_exif(size: int) -> bytes:
    tags = [(256, 4, 1, 10), (257, 4, 1, 10), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, 1, 8), (279, 4, 1, 100)]
    return tiff_of([*tags, (34665, 4, 1, 8)], bytes(size))


def gif_of_many_frames(size: int) -> bytes:
    gif = encoded(noise().convert("P"), "GIF")
    frame = b",\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0"
    return gif[:-1] + frame * (size // len(frame)) + b";"


def flac_of_blocks(kind: int, content: bytes) -> Bomb:
    def bomb(size: int) -> bytes:
        flac = encoded_sound(tone(), "FLAC")
        block = bytes([kind]) + len(content).to_bytes(3) + content
        return flac[:4] + b"\0" + flac[5:42] + block * (size // len(block)) + flac[42:]

    return bomb


def flac_of_seek_points(size: int) -> bytes:
    points = b"".join(struct.pack(">QQH", n, n, 1) for n in range(min(size, 16_000_000) // 18))
    return flac_of_blocks(3, points)(len(points) + 4)


OGG_CRC = [0] * 256
for _n in range(256):
    _value = _n << 24
    for _ in range(8):
        _value = (_value << 1 ^ (0x04C11DB7 if _value & 0x80000000 else 0)) & 0xFFFFFFFF
    OGG_CRC[_n] = _value


def ogg_page_with_checksum(page: bytes) -> bytes:
    """RFC 3533: over the whole page with its own four bytes zero."""
    value = 0
    for byte in page[:22] + bytes(4) + page[26:]:
        value = (value << 8 & 0xFFFFFFFF) ^ OGG_CRC[value >> 24 ^ byte]
    return page[:22] + struct.pack("<I", value) + page[26:]


def ogg_pages(data: bytes) -> list[bytes]:
    pages, place = [], 0
    while data[place : place + 4] == b"OggS" and len(data) > place + 27:
        n = data[place + 26]
        length = 27 + n + sum(data[place + 27 : place + 27 + n])
        pages.append(data[place : place + length])
        place += length
    return pages


def ogg_of_empty_pages(subtype: str) -> Bomb:
    def bomb(size: int) -> bytes:
        first, *others = ogg_pages(encoded_sound(tone(), "OGG", subtype))
        empty = ogg_page_with_checksum(others[-1][:4] + b"\0\0" + others[-1][6:26] + b"\0")
        return b"".join([first, *others[:-1], empty * (size // len(empty)), others[-1]])

    return bomb


def opus_of_comments(size: int) -> bytes:
    """One packet of comments over many pages, each comment four bytes."""
    first, *others = ogg_pages(encoded_sound(tone(), "OGG", "OPUS"))
    n = size // 8
    packet = b"OpusTags" + struct.pack("<II", 0, n) + b"\4\0\0\0a=bc" * n
    serial, pages = first[14:18], [first]
    for place in range(0, len(packet), 255 * 255):
        part = packet[place : place + 255 * 255]
        lacing = b"\xff" * (len(part) // 255) + (bytes([len(part) % 255]) if len(part) < 255 * 255 else b"")
        head = b"OggS\0" + bytes([1 if place else 0]) + bytes(8) + serial + struct.pack("<I", len(pages)) + bytes(4)
        pages.append(ogg_page_with_checksum(head + bytes([len(lacing)]) + lacing + part))
    audio = others[1:]
    for page in audio:
        pages.append(ogg_page_with_checksum(page[:18] + struct.pack("<I", len(pages)) + page[22:]))
    return b"".join(pages)


def wav_of_many_chunks(size: int) -> bytes:
    wav = encoded_sound(tone())
    return wav[:12] + b"junk\0\0\0\0" * (size // 8) + wav[12:]


def wav_of_many_labels(size: int) -> bytes:
    wav = encoded_sound(tone())
    labels = b"INAM\2\0\0\0a\0" * (size // 10)
    return wav[:36] + b"LIST" + struct.pack("<I", len(labels) + 4) + b"INFO" + labels + wav[36:]


def mp3_of_tags(size: int) -> bytes:
    return b"ID3\4\0\0\0\0\0\0" * (size // 10) + encoded_sound(tone(), "MP3")


def mp3_of_many_texts(size: int) -> bytes:
    frames = b"TXXX\0\0\0\4\0\0\0a\0b" * (size // 14)
    length = bytes(len(frames) >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3\4\0\0" + length + frames + encoded_sound(tone(), "MP3")


def exif_of_overlapping_tags(size: int) -> bytes:
    """Each of 60,000 tags names all that follows them."""
    n = min(60_000, size // 24)
    start = 8 + 2 + 12 * n + 4
    tags = [(1 + tag, 7, size - start, start) for tag in range(n)]
    return tiff_of(tags, bytes(size - start))


def jpeg_of_overlapping_tags(size: int) -> bytes:
    exif, part = exif_of_overlapping_tags(min(size, 6_000_000)), 65_000
    parts = [b"Exif\0\0" + exif[place : place + part] for place in range(0, len(exif), part)]
    return jpeg_with(b"".join(b"\xff\xe1" + struct.pack(">H", len(each) + 2) + each for each in parts))


def png_of_overlapping_tags_in_hexadecimals(size: int) -> bytes:
    text = b"Raw profile type exif\0\nexif\n1\n" + exif_of_overlapping_tags(size // 2).hex().encode()
    return png_with(png_chunk(b"tEXt", text))


def webp_of_overlapping_tags(size: int) -> bytes:
    exif = exif_of_overlapping_tags(size - size % 2)
    return webp_of_chunks(b"EXIF" + struct.pack("<I", len(exif)) + exif, 8)(len(exif) + 8)


OTHERS: dict[str, Bomb] = {
    "PNG of many private chunks": png_of_many(b"abCd"),
    "PNG of many empty data chunks": png_of_many(b"IDAT"),
    "PNG of many short texts": png_of_many(b"tEXt", b"a\0b"),
    "PNG of unpacking texts": png_of_unpacking_texts,
    "PNG of many EXIF chunks": png_of_many(b"eXIf", b"II*\0"),
    "PNG of overlapping EXIF tags": lambda size: png_with(png_chunk(b"eXIf", exif_of_overlapping_tags(size))),
    "PNG of overlapping EXIF tags in hexadecimals": png_of_overlapping_tags_in_hexadecimals,
    "WebP of overlapping EXIF tags": webp_of_overlapping_tags,
    "JPEG of overlapping EXIF tags": jpeg_of_overlapping_tags,
    "PNG of many frames": png_of_many_frames,
    "WebP of many private chunks": webp_of_chunks(b"abcd\0\0\0\0", 0),
    "WebP of many EXIF chunks": webp_of_chunks(b"EXIF\4\0\0\0II*\0", 8),
    "WebP of many frames": webp_of_many_frames,
    "TIFF of pages in a loop": tiff_of_pages_in_a_loop,
    "TIFF of nested EXIF": tiff_of_nested_exif,
    "GIF of many frames": gif_of_many_frames,
    "JPEG of many application segments": lambda size: jpeg_with(b"\xff\xed\0\x10Photoshop 3.0\0" * (size // 18)),
    "JPEG of fill bytes": lambda size: jpeg_with(b"\xff" * size),
    "JPEG of bytes that are no marker": lambda size: jpeg_with(b"\0" * size),
    "JPEG of restarts": lambda size: encoded(noise(), "JPEG")[:-2] + b"\xff\xd0" * (size // 2) + b"\xff\xd9",
    "JPEG of one row": lambda size: encoded(noise(65_500, 1), "JPEG") + bytes(size),
    "FLAC of many empty blocks": flac_of_blocks(1, b""),
    "FLAC of many comments": flac_of_blocks(4, struct.pack("<II", 0, 0)),
    "FLAC of many pictures": flac_of_blocks(6, bytes(32)),
    "FLAC of many seek points": flac_of_seek_points,
    "Vorbis of many empty pages": ogg_of_empty_pages("VORBIS"),
    "Opus of many empty pages": ogg_of_empty_pages("OPUS"),
    "Opus of many comments": opus_of_comments,
    "WAV of many chunks": wav_of_many_chunks,
    "WAV of many labels": wav_of_many_labels,
    "MP3 of small frames": mp3_of_small_frames(b""),
    "MP3 of many tags": mp3_of_tags,
    "MP3 of many texts": mp3_of_many_texts,
    "MP3 of large gaps": lambda size: encoded_sound(tone(), "MP3") + b"\xff\xfb" * (size // 2),
}
