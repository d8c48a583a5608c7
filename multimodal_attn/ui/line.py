"""Whose turn it is: one file at a time is read and answered, in the order of arrival, and all others are told."""

from collections.abc import Iterator
from threading import Condition

import gradio as gr

from multimodal_attn.viewer.payloads import problem, queued

MAX_WAITING = 16  # beyond, a wait is longer than anybody's patience
FULL = f"{MAX_WAITING} people are waiting already; try again in a minute."
PATIENCE = 1.0  # seconds between two signs of life, at which one who closed the page is noticed


class Line:
    """Tickets in the order of arrival; the first one's turn lasts until it leaves. For any number of threads."""

    def __init__(self) -> None:
        self._tickets: list[object] = []
        self._moved = Condition()

    def join(self) -> object | None:
        """A ticket, or None when too many wait."""
        with self._moved:
            if len(self._tickets) > MAX_WAITING:
                return None
            self._tickets.append(ticket := object())
            return ticket

    def before(self, ticket: object) -> int:
        with self._moved:
            return self._tickets.index(ticket)

    def wait(self, ticket: object, n_before: int) -> None:
        """Until others than `n_before` are before the ticket, but not long."""
        with self._moved:
            self._moved.wait_for(lambda: self._tickets.index(ticket) != n_before, PATIENCE)

    def leave(self, ticket: object) -> None:
        with self._moved:
            self._tickets.remove(ticket)
            self._moved.notify_all()


def in_turns(line: Line, payloads: Iterator[dict]) -> Iterator[dict]:
    """The payloads with a turn for each, so that nobody waits for all of them; the length of the line is not told."""
    last = {"id": ""}

    def one() -> Iterator[dict]:
        yield next(payloads, last)

    payload = None
    while payload is not last and "problem" not in (payload or {}):
        turn = in_turn(line, one())
        for payload in turn:
            if "id" in payload and "before" not in payload:
                break
            yield gr.skip()
        turn.close()  # before the page takes the payload, which may take its time
        if payload is not last:
            yield payload


def in_turn(line: Line, payloads: Iterator[dict]) -> Iterator[dict]:
    """The payloads once it is their turn; before, the length of the line whenever it changes. Closing it leaves."""
    ticket = line.join()
    if ticket is None:
        yield problem(FULL)
        return
    try:
        told = 0
        while n_before := line.before(ticket):
            yield queued(n_before) if n_before != told else gr.skip()  # a sign of life; Gradio closes who is gone
            told = n_before
            line.wait(ticket, n_before)
        yield from payloads
    finally:
        line.leave(ticket)
