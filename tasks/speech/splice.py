"""New sentences from old ones: how one recording begins and how another of the same speaker ends, cut between words.

Whoever has heard a thousand sentences a hundred times knows them by heart; to spliced ones one must listen. After Lam
et al. 2021 (aligned data augmentation), who replace single words by others with their sound.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from multimodal_attn.senses.sound.media import RATE
from tasks.speech.datasets import Utterance

SLACK = 0.7  # seconds by which a spliced sound may be longer or shorter than the one it begins with
STEP, REACH = RATE // 100, 5  # a cut moves to the quietest of so many steps on either side


class Splice(NamedTuple):
    """The first n_words of one utterance, up to sample `cut`, then `other` from word `first` and sample `start` on."""

    n_words: int
    cut: int
    other: int
    first: int
    start: int


class Splicer:
    """Which utterances may be spliced, and where.

    examples: the utterances; word_times: word, start and end in seconds by their ids, see load_word_times; share: how
    many are spliced, 0 to 1. Those whose words have no times, or are others than their text, are left as they are.
    """

    def __init__(
        self, examples: Sequence[Utterance], word_times: dict[str, list[tuple[str, float, float]]], share: float
    ) -> None:
        self.share = share
        self.examples = examples
        self.gaps: dict[int, np.ndarray] = {}  # seconds: the middle between each word and the next
        self.speakers: dict[tuple[str, str], list[int]] = defaultdict(list)
        for index, example in enumerate(examples):
            words = word_times.get(example.id, [])
            if example.speaker and len(words) > 1 and [word for word, *_ in words] == example.text.split():
                ends, starts = [end for *_, end in words[:-1]], [start for _, start, _ in words[1:]]
                self.gaps[index] = np.add(ends, starts) / 2
                self.speakers[example.set, example.speaker].append(index)

    def draw(self, index: int, length: Callable[[int], float], rng: np.random.Generator) -> Splice | None:
        """A random splice of about the same length, if this utterance has one; length: seconds of an utterance."""
        if index not in self.gaps or rng.random() >= self.share:
            return None
        example, gaps = self.examples[index], self.gaps[index]
        other = int(rng.choice(self.speakers[example.set, example.speaker]))
        n = int(rng.integers(len(gaps)))
        surplus = gaps[n] + length(other) - self.gaps[other] - length(index)
        first = int(np.abs(surplus).argmin())
        if other == index or abs(surplus[first]) > SLACK:
            return None
        return Splice(n + 1, int(gaps[n] * RATE), other, first + 1, int(self.gaps[other][first] * RATE))


def quiet_sample(samples: np.ndarray, near: int) -> int:
    """The sample, in whole steps from `near`, around which there is least sound; samples int16 (n,)."""
    first = max(0, near - REACH * STEP)
    frames = samples[first : near + (REACH + 1) * STEP]
    frames = frames[: len(frames) // STEP * STEP].reshape(-1, STEP).astype(np.float32)
    return first + STEP // 2 + STEP * int(np.square(frames).sum(1).argmin()) if len(frames) else near
