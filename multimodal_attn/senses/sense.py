"""Sense: all that differs between one kind of input and another, from a file to what an encoder takes, and back."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self


class Geometry(Protocol):
    """Where the places of a memory lie in the original input, so that every weight can be carried back exactly.

    kind: of the sense. ordered: places follow each other as the words do, so that attention which jumps back is a
    fault. shape: of a map over the places. n_places: how many. parts: for every place the number of the part that it
    belongs to, from 0 on; what is hidden from a model is whole parts, for a place alone may be less than a word.
    """

    kind: str
    ordered: bool

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def n_places(self) -> int: ...

    @property
    def parts(self) -> Sequence[int]: ...

    def left_out(self, first: int, last: int) -> str:
        """What is wrong when no word looks at the places first to last - 1; empty for nothing."""
        ...

    def to_dict(self) -> dict:
        """JSON-ready, with the kind."""
        ...

    @classmethod
    def from_dict(cls, data: dict) -> Self: ...

    @classmethod
    def join(cls, parts: Sequence[Self]) -> tuple[Self, list[int]]:
        """The geometry of pieces of one input in order, and how many places lie before each. Raises ValueError."""
        ...


def nothing_wrong(item: Any) -> None:
    return None


@dataclass(frozen=True)
class Sense:
    """One way in. `model` below is the Model whose encoder and tokenizer it is.

    kind: as in geometries, checkpoints and messages. item: what a file becomes. config: of the encoder; its class names
        the sense too. configs: of encoders that have another, by their names. encoder: config -> the network, which
        says its `sense`, its `dim` and its `config`.
    files: what is to be read among paths. read: (source, model) -> the whole of it, MediaError where that cannot be.
    pieces: the same in items that are encoded at once. batch: (items, model) -> what the encoder takes, and where the
        places of each item lie.
    figure: full name of what draws a trace over `original(item)`. maps: full name of what draws several traces of one
        input: (what to show beside them, for each a small map of every token). media: full name of what shows an item
        in the viewer; empty for a sense that it has no part for.
    problem: why there is nothing to read in an item, if so. size: what the items of a batch should share. ahead: so
        many batches are read before they are sorted by it. at_speed: what the encoder takes, at another tempo.
    at_look: the same as seen otherwise, see SearchConfig.looks.
    hide: (what the encoder takes of one input, keep (G, S), model) -> what it takes of that input G times, each time
        without the places where keep is False. closes_up: those behind take their place, in order.
    timed: words have times. columns: what a row of a trace has beside text and score, by their names.
    """

    kind: str
    item: type
    config: type
    encoder: Callable[[Any], Any]
    files: Callable[[Sequence[str | Path]], Iterator[Path]]
    read: Callable[[Any, Any], Any]
    batch: Callable[[Sequence[Any], Any], tuple[Any, list[Geometry]]]
    figure: str = "multimodal_attn.figures.maps.render_places"
    media: str = ""
    maps: str = "multimodal_attn.figures.maps.draw_maps"
    pieces: Callable[[Any, Any], Iterator[Any]] | None = None
    original: Callable[[Any], Any] = lambda item: item
    problem: Callable[[Any], str | None] = nothing_wrong
    size: Callable[[Any], int] = lambda item: 0
    ahead: int = 1
    at_speed: Callable[[Any, float], Any] | None = None
    at_look: Callable[[Any, float], Any] | None = None
    hide: Callable[[Any, Any, Any], Any] | None = None
    closes_up: bool = False
    timed: bool = False
    columns: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    configs: Mapping[str, type] = field(default_factory=dict)

    def config_of(self, name: Any) -> type:
        """What configures the encoder of this name."""
        return next((config for known, config in self.configs.items() if known == name), self.config)
