"""How long a connection may say nothing, or dawdle: uvicorn waits for ever for the rest of what was begun."""

import asyncio
from asyncio import Transport

from starlette.types import Message, Receive
from uvicorn.protocols.http.h11_impl import H11Protocol

SILENCE = 12  # seconds between two looks at a connection; it lives for at most two of them
PATIENCE = 20  # seconds by which a body may fall behind
SLOWEST = 50_000  # bytes of a body per second; 20 MB take at most seven minutes


class Impatient(H11Protocol):
    """Closes a connection that, since the last look, neither began a request nor took any of its answer."""

    def connection_made(self, transport: Transport) -> None:
        super().connection_made(transport)
        self.loop.call_later(SILENCE, self.look, (None, 0))

    def look(self, last: tuple[object, int]) -> None:
        if self.transport.is_closing():
            return
        now = self.cycle, self.transport.get_write_buffer_size()
        is_over = self.cycle is None or self.cycle.response_complete  # half a header, or the idle time after an answer
        if now == last and (is_over or now[1]):
            self.transport.abort()  # close would wait until the rest is taken
        else:
            self.loop.call_later(SILENCE, self.look, now)


def with_patience(receive: Receive) -> Receive:
    """The body's parts, or TimeoutError when it comes too slowly. Once it is whole, waiting for its end is free."""
    whole, deadline = False, None

    async def timed() -> Message:
        nonlocal whole, deadline
        if whole:
            return await receive()
        now = asyncio.get_running_loop().time()
        deadline = now + PATIENCE if deadline is None else deadline
        message = await asyncio.wait_for(receive(), deadline - now)
        now, n_bytes = asyncio.get_running_loop().time(), len(message.get("body", b""))
        deadline = min(deadline + n_bytes / SLOWEST, now + PATIENCE)
        whole = not message.get("more_body", False)
        return message

    return timed
