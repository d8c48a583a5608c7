"""A transcriber for tests of the app and the figures: no model, and every weight and time where the test planted it."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from multimodal_attn.senses.sound.geometry import SoundGeometry
from multimodal_attn.senses.sound.media import RATE
from multimodal_attn.trace import AttentionTrace, Token, Word
from tests.fake_captioner import HOSTILE

SECONDS, N_PLACES = 1.4, 13
# 0.1 seconds a place; the first begins after the sound does, and the last ends before it
SOUND_GEOMETRY = SoundGeometry(SECONDS, 0.05, 0.1, N_PLACES)
PIECES = ("o", "ne", "two", "six")
PLACES = (1, 3, 5, 11)  # where each piece has all its weight
SPOKEN = (
    Word("one", 0, 2, 0.1, 0.45, (0.12, 0.47)),
    Word("two", 2, 3, 0.5, 0.8, None),
    Word("six", 3, 4, 1.1, 1.3, (1.0, 1.25)),
)


def tone(seconds: float = SECONDS) -> np.ndarray:
    """Samples (n,) of a rising tone."""
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * (300 + 900 * time) * time)).astype(np.float32)


def heard_trace(pieces: tuple[str, ...] = PIECES, weights: np.ndarray | None = None) -> AttentionTrace:
    """Token t has probability 0.25 (t + 1), and listens at PLACES[t] alone unless weights say otherwise."""
    if weights is None:
        weights = np.eye(N_PLACES, dtype=np.float32)[list(PLACES[: len(pieces)])][:, None]  # (T, 1, S)
    likely = [0.25 * (t % 4 + 1) for t in range(len(pieces))]
    text, words = ("one two six", SPOKEN) if pieces == PIECES else (" ".join(pieces), ())
    firsts = {word.first for word in words}  # which a vocabulary of word pieces marks
    names = [f"\u2581{piece}" if i in firsts else piece for i, piece in enumerate(pieces)]
    tokens = tuple(Token(name, p, ((name, p), ("uh", 0.125))) for name, p in zip(names, likely, strict=True))
    return AttentionTrace(text, -0.5, tokens, weights, SOUND_GEOMETRY, words=words)


class FakeListener:
    """Chooses what happens by the name of the file."""

    name = "fake <b>listener</b>"
    config, sense = {"task": "speech"}, "sound"

    def __call__(self, source: str) -> AttentionTrace:
        stem = Path(source).stem
        if stem == "crash":
            raise RuntimeError("planted")
        trace = heard_trace({"silence": (), "hostile": HOSTILE}.get(stem, PIECES))
        return replace(trace, note="silent") if stem == "silence" else trace
