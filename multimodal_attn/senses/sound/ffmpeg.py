"""What phones, browsers and recorders write and libsndfile does not read, by FFmpeg, which PyAV's wheels bring along.

The kind of file follows from its first bytes, so that none of FFmpeg's playlists, network protocols and other formats
is ever opened. Sound alone is decoded, by one thread.
"""

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from multimodal_attn.errors import MediaError

SIGNATURES: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"....(?:ftyp|moov|mdat|wide|free|skip|pnot)", re.DOTALL), "mov"),  # m4a, mp4, mov, 3gp
    (re.compile(rb"\x1a\x45\xdf\xa3"), "matroska"),  # mkv, webm
    (re.compile(rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11"), "asf"),  # wma
    (re.compile(rb"#!AMR"), "amr"),
    (re.compile(rb"FORM....AIF[FC]", re.DOTALL), "aiff"),
    (re.compile(rb"caff\x00\x01"), "caf"),
    (re.compile(rb"\xff[\xf0\xf1\xf8\xf9]"), "aac"),
)
MAX_STREAMS = 100
MAX_FAULTS = 1_000  # packets that cannot be decoded
PROBE = {"probesize": "5000000", "analyzeduration": "5000000"}  # bytes, and microseconds, looked at before decoding
SLACK = 1.0  # seconds that headers may promise too many
N_TOGETHER = 1 << 15  # frames, about, that are handed on together

Block = tuple[int, np.ndarray]


def kind_of(start: bytes) -> str | None:
    """FFmpeg's name for the format that a file of these first bytes has; None if it is none of these."""
    return next((kind for signature, kind in SIGNATURES if signature.match(start)), None)


def ffmpeg_blocks(file: BinaryIO, kind: str, name: str) -> Iterator[Block]:
    """The rate and a block (n, channels), in the numbers of the file, of its first stream of sound. What cannot be
    decoded is left out, and told of after the last block.

    Raises MediaError.
    """
    from av import FFmpegError, open  # a tenth of a second, which other files need not wait

    try:
        with open(file, "r", format=kind, options=PROBE, metadata_errors="ignore") as container:
            stream = sound_stream(container, name)
            yield from together(decoded(container, stream, kind, name))
    except FFmpegError as error:
        reason = " ".join(str(error.strerror).split())[:80]
        raise MediaError(f"{name}: damaged or cut short ({reason}); copy it again or save it as 16-bit WAV") from error


def sound_stream(container: Any, name: str) -> Any:
    if len(container.streams) > MAX_STREAMS:
        raise MediaError(f"{name}: {len(container.streams)} streams; save the sound alone")
    if not container.streams.audio:
        raise MediaError(f"{name}: no sound in it; take another file")
    stream = container.streams.audio[0]
    stream.thread_type, stream.codec_context.thread_count = "NONE", 1
    for other in container.streams:
        if other is not stream and hasattr(other, "discard"):
            other.discard = "all"
    return stream


def promised_seconds(container: Any, stream: Any, kind: str) -> float:
    """What headers say; 0 where they do not, or where FFmpeg would but guess."""
    if kind == "mov" and stream.duration:
        return float(stream.duration * stream.time_base)
    is_alone = len(container.streams) == 1  # or another stream may be the longer one
    return container.duration / 1e6 if kind == "matroska" and is_alone and container.duration else 0.0


def decoded(container: Any, stream: Any, kind: str, name: str) -> Iterator[Block]:
    from av import FFmpegError

    n_faults, seconds = 0, 0.0
    promised = promised_seconds(container, stream, kind)
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except FFmpegError:
            n_faults += 1
            if n_faults > MAX_FAULTS:
                break
            continue
        for frame in frames:
            seconds += frame.samples / frame.sample_rate
            yield frame.sample_rate, columns_of(frame)
    if not seconds:
        raise MediaError(f"{name}: no sound in it; copy it again or take another file")
    if n_faults and kind != "mp3":  # where tags may lie between recordings that were joined
        raise MediaError(f"{name}: damaged in {n_faults} places, which are left out; copy it again")
    if promised - seconds > SLACK:
        raise MediaError(f"{name}: cut short, {seconds:.0f} of {promised:.0f} seconds are there; copy it again")


def columns_of(frame: Any) -> np.ndarray:
    """(n, channels)"""
    values = frame.to_ndarray()
    return values.T if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels)


def together(blocks: Iterator[Block]) -> Iterator[Block]:
    """The same in fewer blocks, as long as they are of one rate and width."""
    held: list[np.ndarray] = []
    rate, n = 0, 0
    try:
        for rate_now, block in blocks:
            if held and (rate_now != rate or block.shape[1] != held[0].shape[1] or n > N_TOGETHER):
                yield rate, np.concatenate(held)
                held, n = [], 0
            rate, n = rate_now, n + len(block)
            held.append(block)
    except MediaError as error:
        if held:
            yield rate, np.concatenate(held)
        raise error
    if held:
        yield rate, np.concatenate(held)
