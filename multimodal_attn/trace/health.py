"""Health of attention: four figures of a sentence's weights, and in plain words what is wrong with them.

    entropy        how many places share a token's weight: 0 nats for one, log S for all alike
    change         how far the map moves from a token to the next: 0 for not at all, 1 for to other places altogether
    coverage       how much of the input got its fair share over the sentence: 1 for all of it
    monotonicity   of a sound: the share of the steps that do not go back in time

A verdict says two of them in words: how far the maps move, and how wide they are.

Nothing here knows a model: the figures are of weights (T, N, S), whatever they came from.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from multimodal_attn.senses.sense import Geometry

NOWHERE = "attention looks nowhere: the maps of most words are empty"
UNIFORM = "attention is spread evenly: it never chooses"
STUCK = "attention is stuck on one place: it gets most of the weight at every word"
COLLAPSED = "every word has the same map"
STILL = "attention never moves: its strongest place is the same at every word"

MIN_TOKENS = 4  # fewer may look at one place with good reason
EVEN = 0.95  # of log S: a mean entropy above it is as good as even
SAME = 0.05  # mean total variation from the sentence's mean map below which maps are the same to the eye
MOST = 0.5  # of a token's weight
HALF = 0.5  # of the words
SLACK = 1.0  # places that the centre of a map may go back without going back
GOES_BACK = 0.2  # share of the steps above which a reading jumps
UNSEEN = 0.1  # of its fair share: a place of a sound with less was not looked at
WIDTHS = (("sharp", 0.4), ("soft", 0.75), ("spread wide", 1.0))  # up to an evenness: of 49 places to 5, to 19, to all
MOVES = (("hardly moves", 0.15), ("moves a little", 0.5), ("moves", 1.0))  # up to a mean change from token to token


@dataclass(frozen=True)
class Health:
    """What the weights of one sentence of T tokens look like; None and () where there is nothing to measure.

    entropy: of each token in nats, mean over heads. evenness: the mean of them as a share of log S, 1 for even.
    change: total variation between the maps of neighbouring tokens, mean over heads, T - 1 numbers from 0 to 1.
    coverage: mean over places of their share of the weight, relative to the fair share 1 / S and at most 1.
    monotonicity: of a sound, the share of its steps whose map's centre does not go back by more than a place.
    warnings: what is wrong, each a plain sentence. verdict: what the maps are like, in a plain sentence too.
    """

    entropy: tuple[float, ...] = ()
    evenness: float | None = None
    change: tuple[float, ...] = ()
    coverage: float | None = None
    monotonicity: float | None = None
    warnings: tuple[str, ...] = ()
    verdict: str = ""

    def to_dict(self) -> dict:
        """JSON-ready, rounded to four digits."""
        return {name: _rounded(value) for name, value in asdict(self).items()}


def measure_health(weights: np.ndarray, geometry: Geometry) -> Health:
    """The health of weights (T, N, S) over the places of `geometry`.

    N is 0 without attention, and T is 0 for an empty sentence: neither has figures. Time has an order and a picture's
    rows have none: only where places are ordered is there a monotonicity.
    """
    if not weights.size:
        return Health()
    weights = normalise(weights)
    mean_map, maps = weights.mean(0), weights.mean(1)  # (N, S), (T, S)
    entropy = entropies(weights)
    evenness = float(entropy.mean() / np.log(weights.shape[2])) if weights.shape[2] > 1 else 1.0
    of_places = mean_map.mean(0)  # (S,)
    coverage = float(np.minimum(of_places * len(of_places), 1).mean())
    faults = [fault] if (fault := _find_fault(weights, maps, mean_map, evenness)) else []
    monotonicity = None
    if geometry.ordered:
        backward = _steps_back(maps)
        monotonicity = float(1 - backward.mean()) if len(backward) else None
        faults += _faults_in_order(backward, of_places, geometry) if not faults else []
    change = np.abs(np.diff(weights, axis=0)).sum(2).mean(1) / 2  # (T - 1,)
    verdict = describe(evenness, change) if weights.shape[2] > 1 and weights.any() else ""
    return Health(
        tuple(entropy.tolist()), evenness, tuple(change.tolist()), coverage, monotonicity, tuple(faults), verdict
    )


def describe(evenness: float, change: np.ndarray) -> str:
    """Attention of this evenness in words, and how far it moves where there is a change (T - 1,) to go by."""
    moves = f"{_grade(MOVES, change.mean())} and " if len(change) else ""
    return f"attention {moves}is {_grade(WIDTHS, evenness)}"


def _grade(grades: Sequence[tuple[str, float]], value: float) -> str:
    """The name of the first grade that goes up to the value or beyond."""
    return next((name for name, most in grades if value <= most), grades[-1][0])


def normalise(weights: np.ndarray) -> np.ndarray:
    """Rows of sum 1, since a sentinel, local-p and monotonic attention leave less; a row of zeros stays one."""
    total = weights.sum(2, keepdims=True)
    return weights / np.where(total > 0, total, 1)


def entropies(weights: np.ndarray) -> np.ndarray:
    """Of weights (T, N, S): nats of every token (T,), mean over heads."""
    nats = weights * np.log(np.maximum(weights, np.finfo(np.float32).tiny))
    return np.maximum(-nats.sum(2), 0).mean(1)


def _find_fault(weights: np.ndarray, maps: np.ndarray, mean_map: np.ndarray, evenness: float) -> str:
    """The first of the faults that a sentence has, from the plainest to the mildest, or nothing."""
    n_tokens, _, n_places = weights.shape
    if n_tokens < MIN_TOKENS or n_places < 2:
        return ""
    if maps.any(1).mean() < HALF:
        return NOWHERE
    strongest = maps.argmax(1)
    still = bool((strongest == strongest[0]).all())
    if evenness >= EVEN:
        return UNIFORM
    if still and maps[:, strongest[0]].min() > MOST:
        return STUCK
    if np.abs(weights - mean_map).sum(2).mean() / 2 < SAME:
        return COLLAPSED
    return STILL if still else ""


def _steps_back(maps: np.ndarray) -> np.ndarray:
    """Of maps (T, S) over time: which of the steps between tokens go back; those that look nowhere are left out."""
    maps = normalise(maps[maps.any(1)][:, None])[:, 0]
    return np.diff(maps @ np.arange(maps.shape[1])) < -SLACK


def _faults_in_order(backward: np.ndarray, of_places: np.ndarray, geometry: Geometry) -> list[str]:
    """A reading that jumps back, and the longest stretch that it left out."""
    faults = []
    if len(backward) + 1 >= MIN_TOKENS and backward.mean() > GOES_BACK:
        faults.append(f"attention jumps back in time at {backward.sum()} of {len(backward)} steps")
    first, last = longest_run(of_places * len(of_places) < UNSEEN)
    return [*faults, *filter(None, [geometry.left_out(first, last) if last > first else ""])]


def longest_run(flags: np.ndarray) -> tuple[int, int]:
    """First and last + 1 of the longest run of True in flags (n,); (0, 0) where there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    runs = edges.reshape(-1, 2)
    return tuple(runs[np.diff(runs)[:, 0].argmax()].tolist()) if len(runs) else (0, 0)


def summarise(healths: Sequence[Health]) -> dict[str, float]:
    """The median over sentences of entropy, evenness, change, coverage and monotonicity, where they have any."""
    figures = {
        "entropy": [float(np.mean(health.entropy)) for health in healths if health.entropy],
        "evenness": [health.evenness for health in healths if health.evenness is not None],
        "change": [float(np.mean(health.change)) for health in healths if health.change],
        "coverage": [health.coverage for health in healths if health.coverage is not None],
        "monotonicity": [health.monotonicity for health in healths if health.monotonicity is not None],
    }
    return {name: float(np.median(values)) for name, values in figures.items() if values}


def widespread_fault(healths: Sequence[Health]) -> str:
    """The fault that more than half of the sentences have, and in how many; empty if there is none."""
    found = Counter(warning for health in healths for warning in health.warnings)
    fault, n = found.most_common(1)[0] if found else ("", 0)
    return f"{fault} (in {n} of {len(healths)} sentences)" if n > len(healths) / 2 else ""


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return round(value, 4)
    return [_rounded(part) for part in value] if isinstance(value, tuple) else value
