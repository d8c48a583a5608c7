"""What a request may cost: the size of its body, and the space of the folder that uploads go to."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from starlette.responses import PlainTextResponse

MAX_FILE = 20_000_000  # bytes of one uploaded file
MAX_UPLOAD = 21_000_000  # bytes of an upload with its boundaries
MAX_BODY = 1_000_000  # bytes of any other request
QUOTA = 200_000_000  # bytes that the temporary folder may hold, uploads under way included
MAX_FILES = 1_000  # files that it may hold
SETTLED = 60  # seconds after which an empty folder is not about to be filled


class TooMany(Exception):
    """An upload of more than one file, or for which there is no room."""


class Room:
    """The space of the temporary folder. An upload reserves its length before its first byte is read.

    The oldest files make way, for people look at the newest; what is reserved never does, so a flood is refused.
    """

    def __init__(self, folder: Path, quota: int = QUOTA, max_files: int = MAX_FILES) -> None:
        self.folder, self.quota, self.max_files = folder, quota, max_files
        self.reserved = self.n_reserved = 0
        self._lock = asyncio.Lock()

    @contextmanager
    def reserve(self, n_bytes: int) -> Iterator[None]:
        """Room for one file while it comes. Raises TooMany."""
        if self.reserved + n_bytes > self.quota or self.n_reserved >= self.max_files:
            raise TooMany("Too many uploads at once; try again in a moment.")
        self.reserved, self.n_reserved = self.reserved + n_bytes, self.n_reserved + 1
        try:
            yield
        finally:
            self.reserved, self.n_reserved = self.reserved - n_bytes, self.n_reserved - 1

    @asynccontextmanager
    async def store(self) -> AsyncIterator[None]:
        """While a reserved file is written: one at a time, so that what lies loose afterwards is nobody's."""
        async with self._lock:
            bounds = self.quota - self.reserved, self.max_files - self.n_reserved
            await asyncio.to_thread(make_room, self.folder, *bounds)
            try:
                yield
            finally:
                await asyncio.to_thread(remove_loose, self.folder)


def count_parts(body: bytes, content_type: bytes) -> int:
    """Parts of a multipart body. The browser draws a boundary that no file holds."""
    found = re.search(rb'boundary="?([^";,]+)', content_type)
    return body.count(b"--" + found[1]) - 1 if found else 0


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


def remove_loose(folder: Path) -> None:
    """Removes what an upload that failed has left, which lies in the folder itself, and folders that are empty."""
    for path in folder.iterdir():
        with suppress(OSError):
            if not path.is_dir():
                path.unlink()
            elif path.stat().st_mtime < time.time() - SETTLED:
                path.rmdir()  # raises unless it is empty


def file_ages(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """(time of the last change, bytes, path) of every file below the folder."""
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # another request may have removed it meanwhile
            stat = path.stat()
            if path.is_file():
                yield stat.st_mtime, stat.st_size, path
