"""Is a picture or sound whole? Told by its header and its end, so that all files of a data set can be asked at once."""

from contextlib import suppress
from pathlib import Path

from soundfile import SoundFile

from multimodal_attn.files import open_file
from multimodal_attn.senses.picture.media import check_size, open_picture, read_file, read_picture
from multimodal_attn.senses.sound.containers import WHOLE
from multimodal_attn.senses.sound.media import (
    MAX_FILE_BYTES,
    MAX_SECONDS_AT_ONCE,
    check_content,
    check_header,
    read_sound,
)

ENDS = {"JPEG": b"\xff\xd9", "PNG": b"IEND", "GIF": b"\x3b"}
TAIL = 64  # bytes in which the end is looked for: some cameras add a few


def check_picture(path: Path) -> None:
    """Raises MediaError for a picture that cannot be read or is cut short. Only one that does not end as its format
    does is decoded; damage in the middle shows when it is read."""
    with suppress(Exception):  # `read_picture` says what it is
        data = read_file(path, path.name)
        image = open_picture(data, path.name)
        check_size(*image.size, path.name)
        if ENDS[image.format] in data[-TAIL:]:
            return
    read_picture(path)


def check_sound(path: Path) -> None:
    """The same of a sound; a FLAC file is asked for its last sample."""
    with suppress(Exception), open_file(path, path.name, "sound") as file:
        if check_content(file, MAX_FILE_BYTES, path.name) != WHOLE:
            raise ValueError
        with SoundFile(file) as sound:
            check_header(sound.samplerate, sound.channels, path.name)
            if sound.frames <= MAX_SECONDS_AT_ONCE * sound.samplerate and has_end(sound):
                return
    read_sound(path)


def has_end(sound: SoundFile) -> bool:
    if sound.format != "FLAC":
        return True  # `check_content` has compared their lengths
    sound.seek(max(0, sound.frames - 1))
    return len(sound.read(1)) == min(1, sound.frames)
