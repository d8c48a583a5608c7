"""Whether a sentence needed what it looked at: deletion and insertion (Petsiuk, Das and Saenko 2018, RISE).

The tenth of the input's parts that a token looked at most is hidden, or all but that tenth. The same with the tenths of
the other tokens, the middle of the input, and tenths at random says what it would come to without any map.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from multimodal_attn.questions.needed import read_chances, read_hidden
from multimodal_attn.questions.what_if import Case
from multimodal_attn.senses import Geometry
from multimodal_attn.trace import AttentionTrace

SHARE = 0.1  # of the parts
N_RANDOM = 8  # tenths at random
BY = ("own", "others", "middle", "random")


@dataclass(frozen=True)
class Faithful:
    """n_parts: how many are hidden, or left, at once. deletion: by BY, the share of the words' probability that is lost
    without them. insertion: the share that is left with them alone."""

    n_parts: int
    deletion: dict[str, float]
    insertion: dict[str, float]

    def to_dict(self) -> dict:
        return asdict(self)


def choose_parts(trace: AttentionTrace, seed: int = 0) -> np.ndarray:
    """(T + 1 + N_RANDOM, G), True = chosen: for every token the parts with most weight; the middle; at random."""
    parts = np.asarray(trace.geometry.parts)
    n_parts = int(parts.max()) + 1
    sums = np.zeros((len(trace.tokens), n_parts))
    np.add.at(sums.T, parts, trace.weights.mean(1).T)
    rng = np.random.default_rng(seed)
    worth = np.concatenate([sums, middle_first(trace.geometry)[None], rng.random((N_RANDOM, n_parts))])
    n = max(round(SHARE * n_parts), 1)
    chosen = np.zeros(worth.shape, bool)
    np.put_along_axis(chosen, np.argsort(-worth, axis=1, kind="stable")[:, :n], True, axis=1)
    return chosen


def middle_first(geometry: Geometry) -> np.ndarray:
    """(G,) the larger, the nearer a part lies to the middle of the input."""
    parts = np.asarray(geometry.parts)
    _, first = np.unique(parts, return_index=True)
    spots = np.stack(np.unravel_index(parts[first], geometry.shape)).astype(float)
    return -np.linalg.norm(spots - (spots.min(1, keepdims=True) + spots.max(1, keepdims=True)) / 2, axis=0)


def measure_faithful(case: Case, trace: AttentionTrace) -> Iterator[tuple[float, Faithful | None]]:
    """(share that is done, None), and at last what was found. trace: of the case, with tokens and weights."""
    ids, parts = [token.id for token in trace.tokens], np.asarray(case.geometry.parts)
    chosen = choose_parts(trace)
    keep = np.concatenate([~chosen, chosen])[:, parts]
    seen = case.seen()
    [whole] = read_chances(case.model, seen, ids).cpu().numpy()
    rows: list[np.ndarray] = []
    for some in read_hidden(case.model, seen, ids, keep):
        rows += list(some)
        yield len(rows) / len(keep), None
    left = np.stack(rows).reshape(2, len(chosen), -1) / whole.sum()  # (2, T + 1 + N_RANDOM, T) shares of what there was
    deletion, insertion = map(by_choice, left)
    yield 1.0, Faithful(int(chosen[0].sum()), {by: 1 - share for by, share in deletion.items()}, insertion)


def by_choice(left: np.ndarray) -> dict[str, float]:
    """left (T + 1 + N_RANDOM, T): what each token has left by what was chosen -> summed over the tokens, by BY."""
    n = left.shape[1]
    own = left[:n].trace()
    others = (left[:n].sum() - own) / max(n - 1, 1) if n > 1 else own
    return dict(zip(BY, map(float, (own, others, left[n].sum(), left[n + 1 :].sum(1).mean())), strict=True))
