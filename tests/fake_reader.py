"""A reader for tests of the line: it answers when it is told to, and counts how many ask at once."""

from pathlib import Path
from threading import Lock, Semaphore

from multimodal_attn.trace import AttentionTrace
from tests.fake_captioner import planted_trace

FOREVER = 60  # seconds; a test that fails must end


class SlowReader:
    """`go` is released once for every answer; `most` is the largest number of jobs that ran at once."""

    name = "slow"
    config = {"task": "captioning"}

    def __init__(self) -> None:
        self.go, self.lock = Semaphore(0), Lock()
        self.running = self.most = 0
        self.sources: list[str] = []

    def __call__(self, source: str) -> AttentionTrace:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
            self.sources.append(Path(source).name)
        self.go.acquire(timeout=FOREVER)
        with self.lock:
            self.running -= 1
        return planted_trace()

    def answer(self, n: int = 1) -> None:
        self.go.release(n)
