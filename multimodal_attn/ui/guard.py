"""What stands before Gradio: foreign pages, forged events and large bodies are answered here, in one line."""

import asyncio
import json
import logging
from pathlib import Path
from urllib.parse import urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from multimodal_attn.ui.aliases import Aliases, is_text
from multimodal_attn.ui.connections import with_patience
from multimodal_attn.ui.events import NO_EVENT, Forged, Inputs, Uploads, rebuild_event
from multimodal_attn.ui.limits import MAX_BODY, MAX_UPLOAD, Room, TooMany, check_one_part, refuse
from multimodal_attn.ui.origin import HEADERS, Names, refusal, without_foreign

API = "/gradio_api"
LOGIN = "/login"
POSTS = {f"{API}/queue/join", f"{API}/upload", LOGIN}  # all that the page ever posts
PART = 1_000_000  # bytes of a body that are handed on at a time
CLOSED = ("proxy=", "call/", "stream/", "deep_link", "vibe", "dev/", "runs", "run-history", "component_server")


class Guard:
    """ASGI middleware. Every request comes under an admitted name, and every POST is one that the page sends."""

    def __init__(
        self, app: ASGIApp, names: Names, inputs: Inputs, uploads: Uploads, aliases: Aliases, room: Room
    ) -> None:
        self.app, self.names, self.inputs, self.uploads = app, names, inputs, uploads
        self.aliases, self.room = aliases, room
        self.turn = asyncio.Lock()  # of uploads: what lies loose in the folder is then of no other

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # the page uses none
            return await send({"type": "websocket.close"})
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        reply = Reply(send, self.aliases)
        try:
            await self.admit(scope, receive, reply)
        except Forged as error:
            await reply.line(str(error), 403, scope, receive)
        except TooMany as error:
            await reply.line(str(error), 413, scope, receive)
        except TimeoutError:
            await reply.line("The rest of the request did not come.", 408, scope, receive)
        except ClientDisconnect:
            pass
        except Exception as error:  # a request that Gradio does not expect; its traceback would fill the terminal
            logging.warning("refused %s %r: %s", scope["method"], scope["path"], type(error).__name__)
            await reply.line(NO_EVENT, 400, scope, receive)

    async def admit(self, scope: Scope, receive: Receive, reply: "Reply") -> None:
        path, post = scope["path"].rstrip("/"), scope["method"] not in ("GET", "HEAD")
        is_upload = path == f"{API}/upload"
        if answer := refuse(dict(scope["headers"]), MAX_UPLOAD if is_upload else MAX_BODY):
            return await answer(scope, receive, reply)
        if line := refusal(self.names, scope["method"], scope["headers"], scope["server"][1]):
            return await reply.line(line, 403, scope, receive)
        if post and path not in POSTS or any(f"{API}/{each}" in path for each in CLOSED):  # below any root path
            return await reply.line(NO_EVENT, 404, scope, receive)
        scope, receive = self.translate(scope), with_patience(receive)
        if post and path != LOGIN and not await self.knows(scope):
            return await reply.line("Say the password first.", 401, scope, receive)
        if path == f"{API}/queue/join":
            body = await Request(scope, receive).body()
            event = rebuild_event(body, self.inputs, self.uploads, self.aliases.to_path)
            scope, receive = with_body(scope, event)
        if is_upload:
            return await self.take_in(scope, receive, reply)
        await self.app(scope, receive, reply)

    async def knows(self, scope: Scope) -> bool:
        """Whether Gradio would hear this person, asked before anything is read or makes way for their sake."""
        answers, path = [], f"{API}/login_check"
        question = {**scope, "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b""}
        _, receive = with_body(question, b"")
        await self.app(question, receive, kept_in(answers))
        return answers[0].get("status") == 200

    async def take_in(self, scope: Scope, receive: Receive, reply: "Reply") -> None:
        """Gradio sees an upload once it is whole, and one at a time; nobody waits for the slow."""
        headers, answers = dict(reversed(scope["headers"])), []  # of several of a name Gradio takes the first
        with self.room.reserve(int(headers.get(b"content-length", b"0"))) as arrived:
            body = await Request(scope, receive).body()
            check_one_part(body, headers.get(b"content-type", b""))
            scope, receive = with_body(scope, body)
            async with self.turn:
                self.room.make_way()
                try:
                    await self.app(scope, receive, kept_in(answers))
                    arrived += stored(answers)
                finally:
                    if not arrived:
                        await asyncio.to_thread(self.room.remove_loose)
        for message in answers:
            await reply(message)

    def translate(self, scope: Scope) -> Scope:
        """The request as Gradio is to see it: real folders, no header of a proxy, one range."""
        path = self.aliases.to_path(scope["path"])
        if urlsplit(path.partition("file=")[2]).scheme:
            raise Forged(NO_EVENT)
        headers = [pair for pair in without_foreign(scope["headers"]) if pair[0] != b"range" or b"," not in pair[1]]
        scheme = "https" if self.names.is_https(scope["headers"]) else "http"
        return {**scope, "path": path, "headers": headers, "scheme": scheme}


class Reply:
    """Sends on what the app answers, with our headers and without the server's folders."""

    def __init__(self, send: Send, aliases: Aliases) -> None:
        self.send, self.aliases, self.started, self.text = send, aliases, False, False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started, self.text = True, is_text(message.get("headers", []))
            message = {**message, "headers": [*message.get("headers", []), *HEADERS]}
        elif self.text and message["type"] == "http.response.body":
            message = {**message, "body": self.aliases.hide(message.get("body", b""))}
        await self.send(message)

    async def line(self, text: str, status: int, scope: Scope, receive: Receive) -> None:
        """One line as the whole answer, unless another has begun; what else comes on the connection is not read."""
        if not self.started:
            await PlainTextResponse(text, status, {"Connection": "close"})(scope, receive, self)


def stored(answers: list[Message]) -> list[Path]:
    """The files of which Gradio says that it has stored them."""
    if answers[0].get("status") != 200:
        return []
    return [Path(path) for path in json.loads(b"".join(each.get("body", b"") for each in answers))]


def kept_in(answers: list[Message]) -> Send:
    async def keep(message: Message) -> None:
        answers.append(message)

    return keep


def with_body(scope: Scope, body: bytes) -> tuple[Scope, Receive]:
    """The request with another body, in parts."""
    headers = [(key, value) for key, value in scope["headers"] if key != b"content-length"]
    starts = iter(range(0, len(body) or 1, PART))

    async def receive() -> Message:
        await asyncio.sleep(0)  # others have their turn
        start = next(starts, None)
        if start is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": body[start : start + PART], "more_body": start + PART < len(body)}

    return {**scope, "headers": [*headers, (b"content-length", str(len(body)).encode())]}, receive
