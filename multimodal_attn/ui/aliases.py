"""Names for the server's folders that tell nothing: the page sees `/uploads-----/...`, never where the folder lies."""

from pathlib import Path

TEXT = (b"application/json", b"text/html", b"text/event-stream", b"text/plain")


class Aliases:
    """Swaps the folders' paths for names of the same length, so that no Content-Length changes.

    folders: by name; a request may name a file only below these.
    """

    def __init__(self, folders: dict[str, Path]) -> None:
        resolved = {name: str(path.resolve()) for name, path in folders.items()}
        self.pairs = [(path, f"/{name}".ljust(len(path), "-")[: len(path)]) for name, path in resolved.items()]

    def to_path(self, text: str) -> str:
        """What a request says, with the path of the folder in place of its name."""
        for path, alias in self.pairs:
            text = text.replace(alias + "/", path + "/")
        return text

    def hide(self, body: bytes) -> bytes:
        """What a reply says, with the name of the folder in place of its path."""
        for path, alias in self.pairs:
            body = body.replace(path.encode(), alias.encode())
        return body


def is_text(headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether a reply of these headers is read by the page, and is not a file of someone's."""
    named = dict(headers)
    return named.get(b"content-type", b"").split(b";")[0] in TEXT and b"content-disposition" not in named
