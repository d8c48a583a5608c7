"""A transcriber for tests of the batch command: no model; what is heard, and when, the test planted."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from multimodal_attn.errors import MediaError
from multimodal_attn.predictor import Segment
from multimodal_attn.search import SearchConfig
from multimodal_attn.senses.sound.geometry import SoundGeometry
from multimodal_attn.senses.sound.media import Sound, read_pieces
from multimodal_attn.trace import AttentionTrace, Origin, Token, Word

PIECE, STEP = 2.0, 0.08  # seconds of a piece and of a place


def planted_piece(sound: Sound, n: int) -> AttentionTrace:
    """Piece n says "w<n> it's", each word of two tokens; silence says nothing."""
    n_places = int(np.ceil(sound.seconds / STEP))
    geometry = SoundGeometry(sound.start + sound.seconds, sound.start, STEP, n_places)
    if sound.problem:
        weights = np.zeros((0, 1, n_places), np.float32)
        return AttentionTrace("", 0.0, (), weights, geometry, note=sound.problem)
    middle = sound.start + sound.seconds / 2
    texts = f"w{n}", "it's"
    spans = (sound.start, middle - 0.05), (middle, sound.start + sound.seconds)
    words = tuple(Word(text, 2 * i, 2 * i + 2, *spans[i]) for i, text in enumerate(texts))
    tokens = tuple(Token(part, 0.5) for text in texts for part in (text[:1], text[1:]))
    weights = np.eye(n_places, dtype=np.float32)[[0, 1, n_places - 2, n_places - 1]][:, None]
    return AttentionTrace(" ".join(texts), -0.25 * (n + 1), tokens, weights, geometry, words=words)


class FakeTranscriber:
    """Reads files as the real one does, in pieces of two seconds; `options` are those of its last search."""

    sense, search = "sound", SearchConfig()
    sha256 = "planted"

    def origin(self, search: SearchConfig) -> Origin:
        return Origin("fake", self.sha256, {"beam": search.beam})

    def pieces(self, source: Path) -> Iterator[Sound]:
        return read_pieces(source, PIECE)

    def segments(
        self, sources: Sequence[Path], batch_size: int, weights: bool, **options: float | None
    ) -> Iterator[Segment]:
        self.batch_size, self.options = batch_size, options
        for source in sources:
            results: list[AttentionTrace | MediaError] = []
            try:
                for n, sound in enumerate(self.pieces(source)):
                    results.append(planted_piece(sound, n))
            except MediaError as error:
                results.append(error)
            for n, result in enumerate(results):
                yield Segment(source, result, n + 1 == len(results))
