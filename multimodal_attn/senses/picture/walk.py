"""Does a picture file ask for far more work than its size? Walked before decoding, up to the limits."""

import re
import struct
from collections.abc import Iterator

MAX_SCANS = 100  # a progressive JPEG has about ten; each costs a pass over the whole picture
MAX_SEGMENTS = 1_000  # an honest JPEG has some tens; 100 MB of empty ones cost the decoder 20 s
MAX_EXIF_SEGMENTS = 100  # the decoder joins them one by one, which is quadratic
MAX_FILL = 10_000  # bytes between two segments before the picture; the decoder takes them one by one
MAX_PNG_CHUNKS = 100_000  # 100 MB of data in chunks of a kilobyte; 20 MB of empty ones cost 10 s
MAX_GIF_BLOCKS = 100_000  # 25 MB of comment in full blocks; each is a step of this walk
MAX_TAGS = 1_000  # an honest TIFF has some tens
MAX_SHARED = 1_000_000  # bytes that several tags name, or none that are there
MAX_TAG_NUMBERS = 400_000  # offsets and lengths of the strips of 50 megapixels in tiles of 16 x 16; 5 million cost 19 s

EXIF = b"Exif\0\0"
SEGMENT = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")  # JPEG markers that a length follows, and the end of image
GIF_BLOCK = re.compile(rb"[!,;]")
TAG_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
PLAIN_TYPES = (1, 2, 7)  # bytes, text, undefined: taken as they are, not number by number


def excess_of(data: bytes) -> str | None:
    """What a JPEG, PNG or TIFF has too much of, in words; None if nothing shows, or for other kinds."""
    if data.startswith(b"\xff\xd8"):
        return jpeg_excess(data)
    if data.startswith(b"\x89PNG"):
        return png_excess(data)
    return tiff_excess(data) if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+") else None


def jpeg_excess(data: bytes) -> str | None:
    """An honest JPEG has few scans and segments; one of a few megabytes can ask for an hour of them."""
    position, n_scans, n_exif, n_segments, exif = 2, 0, 0, 0, b""
    while (segment := SEGMENT.search(data, position)) and segment[1] != b"\xd9":
        n_segments, n_before = n_segments + 1, n_scans
        n_scans += segment[1] == b"\xda"
        n_exif += segment[1] == b"\xe1" and data.startswith(EXIF, segment.end() + 2)
        if n_scans > MAX_SCANS:
            return f"a JPEG of more than {MAX_SCANS} scans"
        if n_segments > MAX_SEGMENTS or n_exif > MAX_EXIF_SEGMENTS:
            return "a JPEG of too many segments"
        if segment.start() - position > MAX_FILL and not n_before:
            return "a JPEG with too much between its segments"
        start, position = segment.end() + 2, segment.end() + int.from_bytes(data[segment.end() : segment.end() + 2])
        if segment[1] == b"\xe1":
            exif += exif_content(data[start:position])
    return excess_of_exif(exif)


def exif_content(segment: bytes) -> bytes:
    return segment[6:] if segment.startswith(EXIF) else b""


def excess_of_exif(exif: bytes) -> str | None:
    """EXIF is a TIFF without pictures; its tags, too, can each name all of it."""
    return exif and tiff_excess(exif) and "EXIF of too many or overlapping tags"


def png_excess(data: bytes) -> str | None:
    place, n_chunks = 8, 0
    while len(data) >= place + 8 and not data.startswith(b"IEND", place + 4):
        place, n_chunks = place + 12 + int.from_bytes(data[place : place + 4]), n_chunks + 1
        if n_chunks > MAX_PNG_CHUNKS:
            return "a PNG of too many chunks"
    return None


def tiff_excess(data: bytes) -> str | None:
    """Adds up what the tags of the first page name; overlapping ones count each time, as they are read each time."""
    n_numbers = n_bytes = 0
    for n_tags, (kind, count) in enumerate(tiff_tags(data), 1):
        n_numbers += 0 if kind in PLAIN_TYPES else count
        n_bytes += count * TAG_BYTES.get(kind, 1)
        if n_tags > MAX_TAGS or n_numbers > MAX_TAG_NUMBERS or n_bytes > len(data) + MAX_SHARED:
            return "a TIFF of too many strips or tags"
    return None


def tiff_tags(data: bytes) -> Iterator[tuple[int, int]]:
    """(type, count) of the tags of the first page; a BigTIFF has wider numbers."""
    order, is_big = "<" if data[:2] == b"II" else ">", b"+" in data[2:4]
    offset, n, tag = (order + code for code in (("Q", "Q", "HHQ8x") if is_big else ("I", "H", "HHI4x")))
    start = 8 if is_big else 4
    try:
        place = struct.unpack_from(offset, data, start)[0]
        n_tags = struct.unpack_from(n, data, place)[0]
        for index in range(n_tags):
            _, kind, count = struct.unpack_from(tag, data, place + struct.calcsize(n) + index * struct.calcsize(tag))
            yield kind, count
    except (struct.error, OverflowError):  # cut short: the decoder will tell
        return


def gif_without_extensions(data: bytes) -> bytes | None:
    """A GIF whose first picture keeps only its graphic control; comments, which the decoder joins in quadratic time,
    are dropped. None when there are too many blocks."""
    table = 3 << (data[10] & 7) + 1 if len(data) > 10 and data[10] & 0x80 else 0
    position, kept = 13 + table, [data[: 13 + table]]
    n_blocks = 0
    while (found := GIF_BLOCK.search(data, position)) and found[0] == b"!":  # as the decoder, over what is no block
        start, position = found.start(), found.end() + 1
        while position < len(data) and data[position] and n_blocks <= MAX_GIF_BLOCKS:
            position += 1 + data[position]
            n_blocks += 1
        position, n_blocks = position + 1, n_blocks + 1
        if data[start + 1 : start + 2] == b"\xf9":
            kept = [kept[0], data[start:position]]  # the last one counts
        if n_blocks > MAX_GIF_BLOCKS:
            return None
    return b"".join([*kept, data[position:]])
