"""What a request may cost: the size of its body, and the space of the folder that uploads go to."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from threading import Lock

from gradio.processing_utils import save_bytes_to_cache
from python_multipart.multipart import parse_options_header
from starlette.responses import PlainTextResponse

from multimodal_attn.errors import UserError
from multimodal_attn.ui import temporary_folder

MAX_FILE = 20_000_000  # bytes of one uploaded file
MAX_UPLOAD = 21_000_000  # bytes of an upload with its boundaries
MAX_BODY = 1_000_000  # bytes of any other request
QUOTA = 200_000_000  # bytes that the temporary folder may hold, uploads under way included
MAX_FILES = 1_000  # files that it may hold
MAX_AGE = 3_600  # seconds that a file is kept


class TooMany(Exception):
    """An upload of more than one file, or for which there is no room."""


class Room:
    """The space of a folder in running totals: of the files in it, and of the uploads under way.

    An upload reserves its length before its first byte is read. The oldest files make way, for people look at the
    newest; what is reserved never does, so a flood is refused. A file that was removed meanwhile counts until then.
    """

    def __init__(self, folder: Path, quota: int = QUOTA, max_files: int = MAX_FILES) -> None:
        self.folder, self.quota, self.max_files = folder, quota, max_files
        self.files: dict[Path, tuple[int, float]] = {}  # bytes and the time of coming, oldest first
        self.n_bytes = self.reserved = self.n_reserved = 0
        self._lock = Lock()

    @contextmanager
    def reserve(self, n_bytes: int) -> Iterator[list[Path]]:
        """Room for one file while it comes; it has come when its path is in the list. Raises TooMany."""
        arrived: list[Path] = []
        with self._lock:
            if self.reserved + n_bytes > self.quota or self.n_reserved >= self.max_files:
                raise TooMany("Too many uploads at once; try again in a moment.")
            self.reserved, self.n_reserved = self.reserved + n_bytes, self.n_reserved + 1
        try:
            yield arrived
        finally:
            with self._lock:
                self.reserved, self.n_reserved = self.reserved - n_bytes, self.n_reserved - 1
                for path in arrived:
                    self._count(path)

    def save(self, data: bytes, name: str) -> str:
        """Writes a file of the page's own and gives its path. Raises UserError when uploads have taken all room."""
        with self._lock:
            if self.reserved + len(data) > self.quota:
                raise UserError("Too many uploads at once; try again in a moment.")
            self._make_way(len(data), 1)
            path = save_bytes_to_cache(data, name, str(self.folder))
            self._count(Path(path))
        return path

    def make_way(self) -> None:
        """Removes the oldest files until all that is reserved would fit, and those of more than an hour."""
        with self._lock:
            self._make_way(0, 0)

    def remove_loose(self) -> None:
        """Removes what an upload that failed has left, which lies in the folder itself, and folders that are empty."""
        with self._lock:
            for path in self.folder.iterdir():
                with suppress(OSError):
                    path.rmdir() if path.is_dir() else path.unlink()  # rmdir raises unless it is empty

    def _make_way(self, n_bytes: int, n_files: int) -> None:
        while self.files:
            path, (size, came) = next(iter(self.files.items()))
            is_full = self.n_bytes + self.reserved + n_bytes > self.quota
            if not (is_full or len(self.files) + self.n_reserved + n_files > self.max_files or came < self._too_old()):
                return
            del self.files[path]
            self.n_bytes -= size
            with suppress(OSError):  # gone already, or its folder is not empty
                path.unlink(missing_ok=True)
                if path.parent != self.folder:
                    path.parent.rmdir()

    def _too_old(self) -> float:
        return time.monotonic() - MAX_AGE

    def _count(self, path: Path) -> None:
        self.n_bytes -= self.files.pop(path, (0, 0))[0]
        self.files[path] = path.stat().st_size, time.monotonic()
        self.n_bytes += self.files[path][0]


@cache
def room() -> Room:
    """The one of this process, for all that lies in `temporary_folder`."""
    return Room(Path(temporary_folder().name))


def check_one_part(body: bytes, content_type: bytes) -> None:
    """Raises TooMany for a multipart body of several parts, or of one that does not end, which would stay for ever.

    The boundary is what Gradio's reader takes for it; the browser draws one that no file holds.
    """
    _, options = parse_options_header(content_type)
    mark = b"--" + options.get(b"boundary", b"")
    is_one = body.count(mark) == 2 and body.startswith(mark) and body.rstrip(b"\r\n").endswith(mark + b"--")
    if b"boundary" in options and not is_one:
        raise TooMany("One whole file at a time.")


def refuse(headers: dict[bytes, bytes], limit: int) -> PlainTextResponse | None:
    """The answer to a request whose body is larger than `limit` bytes, or does not say how large it is."""
    if b"transfer-encoding" in headers:
        return PlainTextResponse("Say the length of the body in Content-Length.", 411, {"Connection": "close"})
    if int(headers.get(b"content-length", b"0")) > limit:
        return PlainTextResponse(f"More than {limit // 10**6} MB.", 413, {"Connection": "close"})
    return None
