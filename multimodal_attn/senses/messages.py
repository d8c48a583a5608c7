"""What passes between this program and a process that reads for it: a header in JSON, bytes, and perhaps a file."""

import json
import os
import socket
from typing import Any, BinaryIO

Message = tuple[dict[str, Any], bytearray, BinaryIO | None]


def send(to: socket.socket, header: dict[str, Any], payload: bytes | memoryview = b"", file: BinaryIO | None = None):
    """Raises OSError when nobody is there any more."""
    text = json.dumps(header | {"n_bytes": len(payload)}).encode()
    length = len(text).to_bytes(4)
    if file is None:
        to.sendall(length)
    else:
        socket.send_fds(to, [length], [file.fileno()])  # the open file itself, so that both sides mean the same one
    to.sendall(text)
    to.sendall(payload)


def receive(source: socket.socket) -> Message:
    """(header, payload, file). Raises EOFError or OSError when the other side is gone."""
    length, files, _, _ = socket.recv_fds(source, 4, 1)
    file = os.fdopen(files[0], "rb") if files else None
    header = json.loads(receive_exactly(source, int.from_bytes(length + receive_exactly(source, 4 - len(length)))))
    return header, receive_exactly(source, header.pop("n_bytes")), file


def receive_exactly(source: socket.socket, n_bytes: int) -> bytearray:
    data = bytearray(n_bytes)
    view = memoryview(data)
    while view:
        n = source.recv_into(view)
        if not n:
            raise EOFError
        view = view[n:]
    return data
