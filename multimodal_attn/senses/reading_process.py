"""The process in which files are decoded: `python -m multimodal_attn.senses.reading_process`, whose input is a socket.

Knows nothing of models, so it starts in a third of a second. It ends when a file takes too long, or when its parent is
gone. Limits: https://man7.org/linux/man-pages/man2/setrlimit.2.html
"""

import math
import os
import resource
import signal
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from multimodal_attn.errors import MediaError
from multimodal_attn.senses.messages import receive, send
from multimodal_attn.senses.picture.media import decode_picture
from multimodal_attn.senses.sound.media import Sound, decode_pieces, decode_sound

MAX_CPU = 8  # seconds for a picture, or for the next piece of a sound; honest ones of the largest size take up to 3
MAX_MEMORY = 1 << 30  # bytes; honest pictures of the largest size take up to 750 MB

Answer = tuple[dict[str, Any], bytes | memoryview]


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    warnings.simplefilter("ignore")  # of files; what matters is an error
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    bound_memory()
    with socket.socket(fileno=os.dup(0)) as parent:
        try:
            while True:
                serve(parent)
        except (EOFError, OSError):  # the parent is gone
            return


def serve(parent: socket.socket) -> None:
    """One file: any number of answers, then the end or the error."""
    bound_time()
    request, data, file = receive(parent)
    bound_time()
    try:
        for header, payload in answers(file or BytesIO(data), **request):
            send(parent, {"kind": "answer"} | header, payload)
            bound_time()
        send(parent, {"kind": "end"})
    except MediaError as error:
        send(parent, {"kind": "error", "message": str(error)})


def answers(file: BinaryIO, decoder: str, name: str, option: float) -> Iterator[Answer]:
    return ANSWERS[decoder](file, name, option)


def picture_answers(file: BinaryIO, name: str, min_side: float) -> Iterator[Answer]:
    picture = decode_picture(file, name, int(min_side))
    size = {"size": picture.image.size, "width": picture.width, "height": picture.height, "note": picture.note}
    yield size, picture.image.tobytes()


def sound_answers(file: BinaryIO, name: str, option: float) -> Iterator[Answer]:
    yield sound_answer(decode_sound(file, name))


def piece_answers(file: BinaryIO, name: str, max_seconds: float) -> Iterator[Answer]:
    yield from map(sound_answer, decode_pieces(file, name, max_seconds))


Answers = Callable[[BinaryIO, str, float], Iterator[Answer]]
ANSWERS: dict[str, Answers] = {each.__name__: each for each in (picture_answers, sound_answers, piece_answers)}


def sound_answer(sound: Sound) -> Answer:
    return {"start": sound.start}, sound.samples.data.cast("B") if len(sound.samples) else b""


def bound_time() -> None:
    """Past the soft limit the system ends this process; the limit is in whole seconds since its start."""
    soft, (_, hard) = math.ceil(time.process_time()) + MAX_CPU, resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def bound_memory() -> None:
    """The system limits addresses, of which some never become memory; where it cannot, as on macOS, only the limits of
    the formats hold."""
    try:
        addresses, memory = (int(n) * resource.getpagesize() for n in Path("/proc/self/statm").read_text().split()[:2])
        resource.setrlimit(resource.RLIMIT_AS, (addresses - memory + MAX_MEMORY,) * 2)
    except (OSError, ValueError):
        return


if __name__ == "__main__":
    main()
