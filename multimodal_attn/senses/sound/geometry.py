"""Where the places of a memory lie in the original sound."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

GAP = 3.0  # seconds: longer than the pauses within a sentence
PARTS, N_PARTS = (0.2, 0.64), 49  # seconds that are hidden at once, from a syllable to a word


@dataclass(frozen=True)
class SoundGeometry:
    """A row of equal stretches of time laid over a sound.

    seconds: length of the whole sound. start: when the first place begins. step: seconds per place. n_places: how many.
    The last place may reach past the sound's end.
    """

    seconds: float
    start: float
    step: float
    n_places: int

    kind, ordered = "sound", True

    @property
    def shape(self) -> tuple[int]:
        return (self.n_places,)

    @property
    def parts(self) -> Sequence[int]:
        """Stretches of PARTS[0] seconds, longer ones where there would be more than N_PARTS, up to PARTS[1]."""
        shortest, longest = (max(round(seconds / self.step), 1) for seconds in PARTS)
        n = min(max(math.ceil(self.n_places / N_PARTS), shortest), longest)
        return [place // n for place in range(self.n_places)]

    def span(self, place: int) -> tuple[float, float]:
        """(start, end) of one place in seconds, within the sound."""
        if not 0 <= place < self.n_places:
            raise IndexError(f"place {place} is not among the {self.n_places} places of this sound")
        return self._within(self.start + place * self.step), self._within(self.start + (place + 1) * self.step)

    def place_at(self, second: float) -> int:
        """The place that holds a moment; moments outside go to the nearest place."""
        return int(np.clip((second - self.start) / self.step, 0, self.n_places - 1))

    def centre(self, weights: np.ndarray) -> float:
        """Centre of mass in seconds of weights (S,) over the places."""
        share = np.asarray(weights, float) / np.sum(weights)
        return self._within(self.start + float(share @ (np.arange(self.n_places) + 0.5)) * self.step)

    def left_out(self, first: int, last: int) -> str:
        if (last - first) * self.step <= GAP:
            return ""
        start, end = self.span(first)[0], self.span(last - 1)[1]
        return f"no word looks at {start:.1f} to {end:.1f} s: a long pause, or speech that was left out"

    def _within(self, second: float) -> float:
        return min(max(second, 0.0), self.seconds)

    def to_dict(self) -> dict:
        return {"kind": self.kind, **asdict(self)}

    @classmethod
    def from_dict(cls, data: dict) -> "SoundGeometry":
        return cls(data["seconds"], data["start"], data["step"], data["n_places"])

    @classmethod
    def join(cls, parts: Sequence["SoundGeometry"]) -> tuple["SoundGeometry", list[int]]:
        first, last = parts[0], parts[-1]
        if len({part.step for part in parts}) > 1:
            raise ValueError("places of different lengths cannot be joined")
        offsets = [round((part.start - first.start) / first.step) for part in parts]
        return cls(last.seconds, first.start, first.step, offsets[-1] + last.n_places), offsets


GEOMETRY = SoundGeometry
