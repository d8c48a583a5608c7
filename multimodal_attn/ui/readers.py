"""Who reads what goes in: a predictor, or a checkpoint that becomes one when it is first needed."""

from pathlib import Path
from threading import Lock
from typing import Protocol

from multimodal_attn.trace import AttentionTrace


class Reader(Protocol):
    """What the page needs of a predictor."""

    name: str

    def __call__(self, source: str) -> AttentionTrace: ...


class Later:
    """A checkpoint that is opened when first needed, so that the page is there at once."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, folder.name
        self._lock, self._reader = Lock(), None

    def open(self) -> Reader:
        """The predictor, once for all threads. Raises CheckpointError."""
        from multimodal_attn.predictor import load

        with self._lock:
            self._reader = self._reader or load(self.folder)
        return self._reader

    def __call__(self, source: str) -> AttentionTrace:
        return self.open()(source)
