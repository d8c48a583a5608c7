"""Is a sound file whole, and how is all of it read? Decoders read what is left of a truncated one without a word, and
of several recordings the first, so its own headers are asked."""

import io
import os
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import BinaryIO

SLACK = 256  # bytes that sloppy writers count too many in a WAV header; a few milliseconds at most
UNKNOWN_LENGTH = 2**31 - 2**16  # bytes: from about 2 GB on it is what writers to a pipe put down, who cannot know
MAX_CHUNKS = 1_000
MAX_LINKS = 10_000  # recordings in one Ogg file
MAX_GAPS = 10_000  # places in an MP3 that are no frame; each costs a search
MAX_FRAMES = 4_000_000  # of an MP3: a day at 48 kHz has 3.6 million
WINDOW = 1 << 20  # bytes of an MP3 that are looked at together
MAX_PAGE = 65_307  # bytes, RFC 3533
MAX_FRAME = 2_881  # bytes of an MPEG frame

# MPEG-1 and MPEG-2 layer III, ISO 11172-3 and 13818-3: kbit/s by index, Hz by index
BITRATES = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
MPEG_RATES = (44_100, 48_000, 32_000)
SPARE_FRAMES = 5  # the encoder's delay, padding and index frame, which not every writer counts


@dataclass(frozen=True)
class Condition:
    """fault: what is wrong with a file, in words. is_lost: nothing of it is to be read. decoder: FFmpeg's name of the
    format where libsndfile would not read all. links: where the recordings begin that follow one another. patches:
    bytes to be read in place of others, by their position."""

    fault: str | None = None
    is_lost: bool = False
    decoder: str | None = None
    links: tuple[int, ...] = (0,)
    patches: Mapping[int, bytes] = field(default_factory=dict)


WHOLE = Condition()


def lost(fault: str) -> Condition:
    return Condition(fault, is_lost=True)


def condition_of(file: BinaryIO, size: int) -> Condition:
    """Of a WAV, Ogg, FLAC or MP3 file of `size` bytes; WHOLE if nothing shows, or for other kinds.

    Reads headers only; of an MP3 those of all frames, as no other place tells how many there are.
    """
    file.seek(0)
    start = file.read(26)
    if start[:4] in (b"RIFF", b"RF64"):
        return wav_condition(file, size)
    if start[:4] == b"OggS":
        return ogg_condition(file, size)
    if start[:4] == b"fLaC":  # 36 bits of STREAMINFO; a recorder that streams cannot know them
        n_samples = int.from_bytes(start[21:26]) & (1 << 36) - 1
        return Condition(decoder="flac") if not n_samples else WHOLE
    return mp3_condition(file, size) if is_mp3(start) else WHOLE


def is_mp3(start: bytes) -> bool:
    """By an ID3 tag or the header of a frame, whose layer is not 0 as that of AAC is."""
    return start[:3] == b"ID3" or re.match(rb"\xff[\xe2-\xef\xf2-\xf7\xfa-\xff]", start) is not None


def has_mp3(start: bytes) -> bool:
    """Whether three frames of an MP3 follow one another somewhere in the first bytes of a file."""
    for found in re.finditer(rb"\xff[\xe2-\xef\xf2-\xf7\xfa-\xff]", start):
        position = found.start()
        for _ in range(3):
            frame = frame_of(start[position : position + 4])
            if not frame or start[position + 1 : position + 2] != found[0][1:]:
                break
            position += frame[0]
        else:
            return True
    return False


def wav_condition(file: BinaryIO, size: int) -> Condition:
    """Compares the length of the data chunk with what follows it."""
    position, long_length = 12, UNKNOWN_LENGTH
    for _ in range(MAX_CHUNKS):
        file.seek(position)
        header = file.read(24)
        if len(header) < 8:
            return lost("cut short: no sound in it")
        kind, length = struct.unpack("<4sI", header[:8])
        if kind == b"ds64":  # of RF64, EBU Tech 3306: lengths of more than 32 bits
            long_length = int.from_bytes(header[16:24], "little")
        if kind == b"data":
            if length == 2**32 - 1 and long_length > max(size, UNKNOWN_LENGTH):
                return lost("its header does not tell a true length")
            return data_condition(position, long_length if length == 2**32 - 1 else length, size - position - 8)
        position += 8 + length + length % 2
    return lost("no sound in it")


def data_condition(position: int, declared: int, present: int) -> Condition:
    if not declared and present > SLACK:
        told = "its header says that it is empty: the recorder was stopped before it could finish; read to its end"
        return Condition(told, patches={position + 4: struct.pack("<I", min(present, UNKNOWN_LENGTH))})
    is_short = declared < UNKNOWN_LENGTH and declared - present > SLACK
    return Condition(f"cut short: {declared - present} of {declared} bytes are missing") if is_short else WHOLE


def ogg_condition(file: BinaryIO, size: int) -> Condition:
    """The last page has to be there in full. Its end-of-stream flag may be missing if nothing follows: some recorders
    never set it."""
    file.seek(max(0, size - 2 * MAX_PAGE))
    tail = file.read()
    page = tail[tail.rfind(b"OggS") :]
    length = 27 + page[26] + sum(page[27 : 27 + page[26]]) if len(page) > 26 else len(page) + 1
    ends = len(page) >= length and (page[5] & 4 or len(page) == length)
    fault = None if ends else "cut short: the last page is not complete"
    links = ogg_links(file, size)
    return lost("too many recordings in one file") if len(links) > MAX_LINKS else Condition(fault, links=links)


def ogg_links(file: BinaryIO, size: int) -> tuple[int, ...]:
    """Where the recordings of a chained file begin, RFC 3533: at pages that begin streams after ones that do not."""
    links, position, was_first = [0], 0, True
    while position < size and len(links) <= MAX_LINKS:
        file.seek(position)
        page = file.read(27 + 255)
        if page[:4] != b"OggS" or len(page) < 28:
            break
        is_first = bool(page[5] & 2)
        if is_first and not was_first:
            links.append(position)
        was_first = is_first
        position += 27 + page[26] + sum(page[27 : 27 + page[26]])
    return tuple(links)


class Part(io.RawIOBase):
    """A stretch of a file as a file of its own, with some of its bytes replaced."""

    def __init__(self, file: BinaryIO, start: int, end: int, patches: Mapping[int, bytes]) -> None:
        self.file, self.start, self.length, self.patches, self.position = file, start, end - start, patches, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self.length}[whence]
        return self.position

    def readinto(self, buffer: memoryview) -> int:
        self.file.seek(self.start + self.position)
        data = bytearray(self.file.read(max(0, min(len(buffer), self.length - self.position))))
        for place, patch in self.patches.items():
            for offset, byte in enumerate(patch, place - self.start - self.position):
                if 0 <= offset < len(data):
                    data[offset] = byte
        buffer[: len(data)] = data
        self.position += len(data)
        return len(data)


def parts_of(file: BinaryIO, size: int, condition: Condition) -> Iterator[BinaryIO]:
    """The recordings of a file, one after the other, each as a file."""
    if condition.links == (0,) and not condition.patches:
        file.seek(0)
        yield file
        return
    for start, end in pairwise((*condition.links, size)):
        yield Part(file, start, end, condition.patches)


def mp3_condition(file: BinaryIO, size: int) -> Condition:
    """Walks over the frames and compares their number with the index in the first one ("Xing" or "Info"). Without an
    index, or past it, libsndfile would guess the length from the bit rate of the first frame."""
    position = after_tag(file)
    file.seek(position)
    first = file.read(MAX_FRAME)
    if not frame_of(first):
        return WHOLE  # another layer, a free format or garbage: the decoder will tell
    n_frames, n_gaps, bitrates = 0, 0, set()
    for start, end, bitrate in frames_from(file, position, like=first):
        if end > size and start == position:  # after other bytes it is no frame but looks like one by chance
            return Condition("cut short: the last frame is not complete", decoder="mp3")
        n_gaps += start != position
        if n_gaps > MAX_GAPS:
            return lost("not an MP3 in one piece")
        n_frames, position = n_frames + 1, end
        if n_frames > MAX_FRAMES:
            return lost("longer than a day")
        bitrates.add(bitrate)
    n_indexed = indexed_frames(first)
    if n_indexed is None:
        return Condition(decoder="mp3") if len(bitrates) > 1 or n_gaps else WHOLE
    slack = SPARE_FRAMES + n_indexed // 100
    if n_frames > n_indexed + slack:  # several, joined
        return Condition(decoder="mp3")
    told = f"cut short: the index tells of {n_indexed} frames, {n_frames} are there"
    return Condition(told, decoder="mp3") if n_frames < n_indexed - slack else WHOLE


def after_tag(file: BinaryIO) -> int:
    """Where the ID3v2 tag ends; its length has seven bits a byte."""
    file.seek(0)
    start = file.read(10)
    if start[:3] != b"ID3" or len(start) < 10:
        return 0
    return 10 + sum(byte << shift for byte, shift in zip(start[6:], (21, 14, 7, 0), strict=True))


def frame_of(header: bytes) -> tuple[int, int] | None:
    """(bytes, bit rate in kbit/s) of the layer III frame that begins here."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:
        return None
    version, bitrate, rate = header[1] >> 3 & 3, header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or rate == 3 or bitrate in (0, 15):
        return None
    old = version == 3  # MPEG-1; 2 is MPEG-2 of half its rates, 0 is MPEG-2.5 of a quarter
    kbits = BITRATES[0 if old else 1][bitrate]
    hertz = MPEG_RATES[rate] >> {3: 0, 2: 1, 0: 2}[version]
    return (144_000 if old else 72_000) * kbits // hertz + (header[2] >> 1 & 1), kbits


def frames_from(file: BinaryIO, position: int, like: bytes) -> Iterator[tuple[int, int, int]]:
    """(start, end, bit rate) of each frame of the same version, layer and rate; what lies between frames is skipped."""
    same = bytes(byte for byte in range(0x10, 0xF0) if byte & 0x0C == like[2] & 0x0C)
    header = re.compile(b"\xff" + re.escape(like[1:2]) + b"[" + re.escape(same) + b"]", re.DOTALL)
    known: dict[bytes, tuple[int, int]] = {}  # a day has millions of frames but only some dozens of headers
    window, base = b"", 0
    while True:
        if not base <= position <= base + len(window) - 4:
            file.seek(position)
            window, base = file.read(WINDOW), position
            if len(window) < 4:
                return
        start = window[position - base : position - base + 4]
        frame = known.get(start)
        if frame is None and header.match(start):
            frame = known[start] = frame_of(start)
        if frame:
            yield position, position + frame[0], frame[1]
            position += frame[0]
        else:
            file.seek(position)
            found = header.search(file.read(4 + MAX_PAGE))
            position += found.start() if found else MAX_PAGE


def indexed_frames(first: bytes) -> int | None:
    """The number of frames that the index in the first frame gives, if there is one."""
    found = re.search(rb"(?:Xing|Info)...[\x01\x03\x05\x07\x09\x0b\x0d\x0f](....)", first[:200], re.DOTALL)
    return int.from_bytes(found[1]) if found else None
