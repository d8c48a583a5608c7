"""A proxy for tests, which shows the app below a path, as `proxy_pass` of nginx does with `$http_host`."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while part := await reader.read(65_536):
            writer.write(part)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


@contextmanager
def proxy(port: int, prefix: str, scheme: str = "http") -> Iterator[int]:
    """The port at which the app on `port` is shown below `prefix`; the rest is not found. One request a connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return writer.close()
        first, *lines = head.rstrip(b"\r\n").split(b"\r\n")
        method, path, version = first.split(b" ")
        if not path.startswith(prefix.encode()):
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return writer.close()
        lines = [line for line in lines if not line.lower().startswith(b"connection:")]
        lines += [b"Connection: close", b"X-Forwarded-Proto: " + scheme.encode(), b"X-Forwarded-For: 192.0.2.7"]
        request = b" ".join([method, path.removeprefix(prefix.encode()) or b"/", version])
        app_reader, app_writer = await asyncio.open_connection("127.0.0.1", port)
        app_writer.write(b"\r\n".join([request, *lines]) + b"\r\n\r\n")
        await asyncio.gather(pipe(reader, app_writer), pipe(app_reader, writer))

    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, daemon=True)  # a loop of its own: a browser's runs in the test's thread
    thread.start()
    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(serve, "127.0.0.1", 0), loop).result(30)
    yield server.sockets[0].getsockname()[1]
    asyncio.run_coroutine_threadsafe(end(server), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def end(server: asyncio.Server) -> None:
    """Before the loop ends: what still goes through, such as a waiting stream, would be left in the middle."""
    server.close()
    through = asyncio.all_tasks() - {asyncio.current_task()}
    for task in through:
        task.cancel()
    await asyncio.gather(*through, return_exceptions=True)
