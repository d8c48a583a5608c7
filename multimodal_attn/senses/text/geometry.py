"""Where the places of a memory lie in the original text."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

FIRST_SIGN = "\u3040"  # of the scripts of China and Japan


@dataclass(frozen=True)
class TextGeometry:
    """The tokens of a text, each with the letters that it was read from.

    text: the source. spans: (first, last + 1) letter of every place; those of the bytes of one letter are the same.
    """

    text: str
    spans: tuple[tuple[int, int], ...]

    kind, ordered = "text", False  # languages order their words differently

    @property
    def n_places(self) -> int:
        return len(self.spans)

    @property
    def shape(self) -> tuple[int]:
        return (self.n_places,)

    @property
    def parts(self) -> Sequence[int]:
        """Words: pieces that touch, letters to letters."""
        begins = (not self._joins(place) for place in range(1, self.n_places))
        return list(accumulate(begins, initial=0))[: self.n_places]

    def _joins(self, place: int) -> bool:
        """Whether a piece belongs to the word of the piece before. A Chinese or Japanese sign is a word by itself."""
        (before, end), (first, last) = self.spans[place - 1 : place + 1]
        sides = self.text[end - 1 : end] + self.text[first : first + 1]
        return before == first or end == first and sides.isalnum() and max(sides) < FIRST_SIGN

    def span(self, place: int) -> tuple[int, int]:
        """(first, last + 1) letter of one place."""
        if not 0 <= place < self.n_places:
            raise IndexError(f"place {place} is not among the {self.n_places} places of this text")
        return self.spans[place]

    def place_at(self, letter: int) -> int:
        """The place that holds a letter, or the one before where none does; letters outside go to the nearest."""
        return max((place for place, (first, _) in enumerate(self.spans) if first <= letter), default=0)

    def piece(self, place: int) -> str:
        """What stands at one place."""
        first, last = self.span(place)
        return self.text[first:last]

    def left_out(self, first: int, last: int) -> str:
        return ""  # a language may have no word for another's

    def to_dict(self) -> dict:
        return {"kind": self.kind, "text": self.text, "spans": [list(span) for span in self.spans]}

    @classmethod
    def from_dict(cls, data: dict) -> "TextGeometry":
        return cls(data["text"], tuple((first, last) for first, last in data["spans"]))

    @classmethod
    def join(cls, parts: Sequence["TextGeometry"]) -> tuple["TextGeometry", list[int]]:
        raise ValueError("a sentence is read whole and has no pieces to join")


GEOMETRY = TextGeometry
