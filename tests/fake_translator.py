"""A translator for tests of the page: no model, and every weight where the test planted it."""

from dataclasses import replace

import numpy as np

from multimodal_attn.senses.text.geometry import TextGeometry
from multimodal_attn.trace import AttentionTrace, SelfWeights, Token

SENTENCE = "Tom chases Jerry."
SPANS = ((0, 3), (4, 8), (8, 10), (11, 16), (16, 17))
GEOMETRY = TextGeometry(SENTENCE, SPANS)
SAID = ("▁汤", "姆", "追", "杰瑞", "。")
PLACES = (0, 0, 1, 3, 4)  # where each token has most of its weight


def read_trace(geometry: TextGeometry = GEOMETRY, said: tuple[str, ...] = SAID) -> AttentionTrace:
    """Token t has probability 0.25 (t + 1) up to 1; three quarters of its weight are at PLACES[t]."""
    weights = np.full((len(said), 1, geometry.n_places), 0.25 / geometry.n_places, np.float32)
    for token, place in zip(range(len(said)), PLACES, strict=False):
        weights[token, 0, place] += 0.75
    likely = [0.25 * (t % 4 + 1) for t in range(len(said))]
    tokens = tuple(Token(text, p, ((text, p), ("狗", 0.125))) for text, p in zip(said, likely, strict=True))
    return AttentionTrace("".join(said).replace("▁", " ").strip(), -0.5, tokens, weights, geometry)


def planted_looks() -> SelfWeights:
    """Two heads: in the first every place looks at the one before it, in the second at the last."""
    n = GEOMETRY.n_places
    before, last = np.eye(n, k=-1, dtype=np.float32), np.zeros((n, n), np.float32)
    last[:, -1] = 1
    return SelfWeights(((1, 0), (1, 3)), np.stack([before, last]))


class FakeTranslator:
    """Says the same of every sentence, and fails at one."""

    name = "fake <b>translator</b>"
    config, sense = {"task": "translation"}, "text"

    self_attends = True

    def __call__(self, source: str, self_attention: bool = False) -> AttentionTrace:
        if source == "crash":
            raise RuntimeError("planted")
        return replace(read_trace(), self_attention=(planted_looks(),)) if self_attention else read_trace()
