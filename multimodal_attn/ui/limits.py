"""What a request may cost: the size of its body, and the space of the folder that uploads go to."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive

MAX_FILE = 20_000_000  # bytes of one uploaded file
MAX_UPLOAD = 21_000_000  # bytes of an upload with its boundaries
MAX_BODY = 1_000_000  # bytes of any other request
QUOTA = 200_000_000  # bytes that the temporary folder may hold, uploads under way included
MAX_FILES = 1_000  # files that it may hold
PATIENCE = 20  # seconds between two parts of a body


class TooMany(Exception):
    """An upload of more than one file, or for which there is no room."""


class Room:
    """The space of the temporary folder. An upload reserves its length before its first byte is read.

    The oldest files make way, for people look at the newest; uploads under way never do, so a flood is refused.
    """

    def __init__(self, folder: Path, quota: int = QUOTA, max_files: int = MAX_FILES) -> None:
        self.folder, self.quota, self.max_files = folder, quota, max_files
        self.reserved = self.n_reserved = 0
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def reserve(self, n_bytes: int) -> AsyncIterator[None]:
        """Room for one file while it is uploaded. Raises TooMany."""
        if self.reserved + n_bytes > self.quota or self.n_reserved >= self.max_files:
            raise TooMany("Too many uploads at once; try again in a moment.")
        self.reserved, self.n_reserved = self.reserved + n_bytes, self.n_reserved + 1
        try:
            async with self._lock:
                bounds = self.quota - self.reserved, self.max_files - self.n_reserved
                await asyncio.to_thread(make_room, self.folder, *bounds)
            yield
        finally:
            self.reserved, self.n_reserved = self.reserved - n_bytes, self.n_reserved - 1


class OneFile:
    """The receive of an upload; raises TooMany at its second part. The browser draws a boundary that no file holds."""

    def __init__(self, receive: Receive, content_type: bytes) -> None:
        found = re.search(rb'boundary="?([^";,]+)', content_type)
        self.receive, self.mark = receive, b"--" + found[1] if found else b""
        self.n_parts, self.tail = 0, b""

    async def __call__(self) -> Message:
        message = await self.receive()
        if self.mark:
            text = self.tail + message.get("body", b"")
            self.n_parts += text.count(self.mark)
            self.tail = text[-len(self.mark) + 1 :] if len(self.mark) > 1 else b""
        if self.n_parts > 2:  # before the file and after it
            raise TooMany("One file at a time.")
        return message


def refuse(headers: dict[bytes, bytes], limit: int) -> PlainTextResponse | None:
    """The answer to a request whose body is larger than `limit` bytes, or does not say how large it is."""
    if b"transfer-encoding" in headers:
        return PlainTextResponse("Say the length of the body in Content-Length.", 411, {"Connection": "close"})
    if int(headers.get(b"content-length", b"0")) > limit:
        return PlainTextResponse(f"More than {limit // 10**6} MB.", 413, {"Connection": "close"})
    return None


def make_room(folder: Path, quota: int, max_files: int = MAX_FILES) -> None:
    """Removes the oldest files until the folder holds at most `quota` bytes and `max_files` files; empty folders go."""
    ages = sorted(file_ages(folder))
    total = sum(size for _, size, _ in ages)
    for n_gone, (_, size, path) in enumerate(ages):
        if total <= quota and len(ages) - n_gone <= max_files:
            return
        path.unlink(missing_ok=True)
        with suppress(OSError):  # not empty
            if path.parent != folder:
                path.parent.rmdir()
        total -= size


def file_ages(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """(time of the last change, bytes, path) of every file below the folder."""
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # another request may have removed it meanwhile
            stat = path.stat()
            if path.is_file():
                yield stat.st_mtime, stat.st_size, path
