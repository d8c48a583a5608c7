"""Who reads what goes in: a predictor, or a checkpoint that becomes one when it is first needed."""

from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from multimodal_attn.trace import AttentionTrace


class Reader(Protocol):
    """What the page needs of a predictor."""

    name: str

    def __call__(self, source: str, **options: bool) -> AttentionTrace:
        """options: self_attention=True, where that of the encoder is to be in the trace."""
        ...


def attends(reader: Reader) -> bool:
    """Whether there is self-attention in its encoder, as far as is known."""
    return getattr(reader, "self_attends", False)


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

    def __call__(self, source: Any, **options: Any) -> AttentionTrace:
        return self.open()(source, **options)

    @property
    def model(self) -> Any:
        return self.open().model

    def pieces(self, source: Any) -> Iterator[Any]:
        return self.open().pieces(source)

    def case(self, items: list, **asked: Any) -> Any:
        return self.open().case(items, **asked)

    def needs(self, item: Any, trace: AttentionTrace) -> Iterator[tuple[float, AttentionTrace]]:
        return self.open().needs(item, trace)

    def best(self, source: Any, n: int, **asked: Any) -> list:
        return self.open().best(source, n, **asked)
