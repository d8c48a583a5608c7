"""Captioners for tests of the app and of the batch command: no model, and every weight where the test planted it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from multimodal_attn.errors import MediaError
from multimodal_attn.predictor import Segment
from multimodal_attn.search import SearchConfig
from multimodal_attn.senses.picture.geometry import PictureGeometry
from multimodal_attn.senses.picture.media import Picture, read_picture
from multimodal_attn.trace import AttentionTrace, Origin, Token

WIDTH, HEIGHT, ROWS, COLS = 210, 150, 3, 5
# 42 x 56 pixels a cell; the grid begins left of the picture and above it, and ends short of its right edge
GEOMETRY = PictureGeometry(WIDTH, HEIGHT, (-12.0, -14.0, 198.0, 154.0), ROWS, COLS)
WORDS = ("a", "dog", "runs")
HOSTILE = ('<img src=x onerror="window.hacked=1">', "${window.hacked=1}", "{{constructor}}", "`")


def planted_weights(*hot: tuple[int, ...]) -> np.ndarray:
    """(T, N, S) weights with all of head n of token t at place hot[t][n]."""
    weights = np.zeros((len(hot), len(hot[0]), ROWS * COLS), np.float32)
    for token, places in enumerate(hot):
        for head, place in enumerate(places):
            weights[token, head, place] = 1
    return weights


def planted_trace(words: tuple[str, ...] = WORDS, weights: np.ndarray | None = None) -> AttentionTrace:
    """Token t has probability 0.25 (t + 1), and looks at place 7, 1, 13, ... unless weights say otherwise."""
    if weights is None:
        weights = planted_weights(*[((7, 1, 13, 5)[t % 4],) for t in range(len(words))])
    others = (("cat", 0.125), (HOSTILE[0], 0.0625))
    tokens = tuple(
        Token(word, 0.25 * (t % 4 + 1), ((word, 0.25 * (t % 4 + 1)), *others)) for t, word in enumerate(words)
    )
    return AttentionTrace(" ".join(words), -0.5, tokens, weights, GEOMETRY)


class FakeCaptioner:
    """Chooses what happens by the name of the file."""

    name = "fake <b>captioner</b>"
    config = {"task": "captioning"}

    def __call__(self, source: str) -> AttentionTrace:
        stem = Path(source).stem
        if stem == "crash":
            raise RuntimeError("planted")
        return planted_trace(HOSTILE if stem == "hostile" else WORDS)


class FakeBatchCaptioner:
    """Reads files as the real one does and says the same of each; `seen` are those that it was given."""

    sense, search = "picture", SearchConfig()
    sha256 = "planted"

    def origin(self, search: SearchConfig) -> Origin:
        return Origin("fake", self.sha256, {"beam": search.beam})

    def __init__(self) -> None:
        self.seen: list[Path] = []

    def pieces(self, source: Path) -> Iterator[Picture]:
        yield read_picture(source)

    def segments(
        self, sources: Sequence[Path], batch_size: int, weights: bool, **options: float | None
    ) -> Iterator[Segment]:
        for source in sources:
            self.seen.append(source)
            try:
                if isinstance(source, MediaError):
                    raise source
                read_picture(source)
                yield Segment(source, planted_trace(), True)
            except MediaError as error:
                yield Segment(source, error, True)
