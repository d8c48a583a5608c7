"""What a request may cost: the size of its body, and the space of the folder that uploads go to."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

MAX_FILE = 20_000_000  # bytes of one uploaded file
MAX_UPLOAD = 21_000_000  # bytes of an upload with all its files and boundaries
MAX_BODY = 1_000_000  # bytes of any other request
QUOTA = 200_000_000  # bytes that the temporary folder may hold before an upload is taken in


class Limits:
    """ASGI middleware: refuses bodies that are too large before they are read, and makes room before an upload."""

    def __init__(self, app: ASGIApp, folder: Path, quota: int = QUOTA) -> None:
        self.app = app
        self.folder = folder
        self.quota = quota

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        is_upload = scope["path"].endswith("/upload")
        if refusal := refuse(dict(scope["headers"]), MAX_UPLOAD if is_upload else MAX_BODY):
            return await refusal(scope, receive, send)
        if is_upload:
            make_room(self.folder, self.quota)
        await self.app(scope, receive, send)


def refuse(headers: dict[bytes, bytes], limit: int) -> PlainTextResponse | None:
    """The answer to a request whose body is larger than `limit` bytes, or does not say how large it is."""
    if b"transfer-encoding" in headers:
        return PlainTextResponse("Say the length of the body in Content-Length.", 411, {"Connection": "close"})
    if int(headers.get(b"content-length", b"0")) > limit:
        return PlainTextResponse(f"More than {limit // 10**6} MB.", 413, {"Connection": "close"})
    return None


def make_room(folder: Path, quota: int) -> None:
    """Removes the oldest files until the folder holds at most `quota` bytes."""
    ages = sorted(file_ages(folder))
    total = sum(size for _, size, _ in ages)
    for _, size, path in ages:
        if total <= quota:
            return
        path.unlink(missing_ok=True)
        total -= size


def file_ages(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """(time of the last change, bytes, path) of every file below the folder."""
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # another request may have removed it meanwhile
            stat = path.stat()
            if path.is_file():
                yield stat.st_mtime, stat.st_size, path
