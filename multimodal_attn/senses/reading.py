"""Reading people's files where it can be ended: `media` and `sound` in another process, with the same functions.

Decoders are large libraries in C that work on what strangers wrote. A file that asks for too much time or memory, or
that crashes its decoder, costs this process nothing but one MediaError. Sources that are decoded already are taken as
they are. Training, whose loaders are processes of their own, calls `media` and `sound` themselves.
"""

import atexit
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import Any, NamedTuple

import numpy as np
from PIL.Image import frombytes

from multimodal_attn.errors import MediaError
from multimodal_attn.files import open_file
from multimodal_attn.senses.messages import receive, send
from multimodal_attn.senses.picture import media
from multimodal_attn.senses.picture.media import Picture
from multimodal_attn.senses.sound import media as sound
from multimodal_attn.senses.sound.media import MAX_PIECE_SECONDS, Sound

MODULE = "multimodal_attn.senses.reading_process"
MAX_AT_REST = 2
CAN_START = hasattr(socket, "send_fds") and bool(sys.executable)  # not on Windows: there it is read in place


class Way(NamedTuple):
    """decoder: of reading_process.ANSWERS. wanted: what a file should hold. plain: a form that is sure to be read."""

    decoder: str
    wanted: str
    plain: str


WHOLE_PICTURE = Way("picture_answers", "picture", "a plain JPEG or PNG")
WHOLE_SOUND = Way("sound_answers", "sound", "16-bit WAV")
IN_PIECES = Way("piece_answers", "sound", "16-bit WAV")


def read_picture(source: media.Source, *, min_side_hint: int = 0) -> Picture:
    """As `media.read_picture`. Raises MediaError too when it takes too long or too much memory."""
    source = media.given(source)
    if not (CAN_START and isinstance(source, str | Path | bytes)):
        return media.read_picture(source, min_side_hint=min_side_hint)
    name = media.name_of(source)
    with READERS.at_once:
        [(header, pixels)] = answers(source, WHOLE_PICTURE, name, min_side_hint)
    image = frombytes("RGB", header["size"], pixels)
    return Picture(image, header["width"], header["height"], name, header["note"])


def read_sound(source: sound.Source) -> Sound:
    """As `sound.read_sound`. Raises MediaError too when it takes too long or too much memory."""
    source = sound.given(source)
    if not (CAN_START and isinstance(source, str | Path | bytes)):
        return sound.read_sound(source)
    name = sound.name_of(source)
    with READERS.at_once:
        [(_, samples)] = answers(source, WHOLE_SOUND, name)
    return Sound(np.frombuffer(samples, np.float32), 0.0, name)


def read_pieces(source: sound.Source, max_seconds: float = MAX_PIECE_SECONDS) -> Iterator[Sound]:
    """As `sound.read_pieces`; the time limit is that of a piece."""
    sound.check_piece_seconds(max_seconds)
    source = sound.given(source)
    if not (CAN_START and isinstance(source, str | Path | bytes)):
        yield from sound.read_pieces(source, max_seconds)
        return
    name = sound.name_of(source)
    for header, samples in answers(source, IN_PIECES, name, max_seconds):
        yield Sound(np.frombuffer(samples, np.float32), header["start"], name)


def answers(
    source: str | Path | bytes, way: Way, name: str, option: float = 0
) -> Iterator[tuple[dict[str, Any], bytearray]]:
    """(header, payload) of each answer. A process whose answers were not all taken is ended: it would go on."""
    request = {"decoder": way.decoder, "name": name, "option": option}
    with BytesIO() if isinstance(source, bytes) else open_file(Path(source), name, way.wanted) as file:
        process, at_rest = READERS.take(), False
        try:
            if isinstance(source, bytes):
                send(process.socket, request, source)
            else:
                send(process.socket, request, file=file)
            while (answer := receive(process.socket))[0].pop("kind") == "answer":
                yield answer[:2]
            at_rest = True
        except (EOFError, OSError):
            raise MediaError(f"{name}: {process.end()}; save it again as {way.plain}") from None
        finally:
            READERS.give_back(process) if at_rest else process.end()
    if "message" in answer[0]:
        raise MediaError(answer[0]["message"])


class ReadingProcess:
    """A process that decodes one file at a time."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair()
        path = os.pathsep.join([*filter(None, sys.path), str(Path(__file__).resolve().parents[2])])
        threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # each reserves memory, none is used
        with theirs:
            self.popen = subprocess.Popen(
                [sys.executable, "-P", "-m", MODULE],  # -P: nothing is imported from the folder people work in
                stdin=theirs,
                stdout=subprocess.DEVNULL,
                env=os.environ | threads | {"PYTHONPATH": path},
            )

    @property
    def is_alive(self) -> bool:
        return self.popen.poll() is None

    def end(self) -> str:
        """Ends it, if it has not ended, and says why it did."""
        self.socket.close()
        try:
            self.popen.wait(1)  # it may be about to end by itself
        except subprocess.TimeoutExpired:
            self.popen.kill()
        code = self.popen.wait()
        return "takes too long to read" if code == -signal.SIGXCPU else f"the decoder stopped ({code})"


class Readers:
    """The processes at rest. Threads may share it; at most `at_once` of them read whole files."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Without ending them: after a fork they are the parent's."""
        self.at_rest: list[ReadingProcess] = []
        self.lock, self.at_once = Lock(), BoundedSemaphore(os.cpu_count() or 1)

    def take(self) -> ReadingProcess:
        with self.lock:
            while self.at_rest:
                process = self.at_rest.pop()
                if process.is_alive:
                    return process
                process.end()
        return ReadingProcess()

    def give_back(self, process: ReadingProcess) -> None:
        with self.lock:
            self.at_rest.append(process)
            spare = self.at_rest.pop(0) if len(self.at_rest) > MAX_AT_REST else None
        if spare:
            spare.end()

    def end(self) -> None:
        while self.at_rest:
            self.at_rest.pop().end()


READERS = Readers()
atexit.register(READERS.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=READERS.forget)
