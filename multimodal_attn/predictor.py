"""Predictor: one object from a file to a trace. `load("checkpoints/captioning-flickr8k")("dog.jpg")`."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from multimodal_attn.checkpoint import load_checkpoint
from multimodal_attn.errors import ConfigError, MediaError
from multimodal_attn.memory import map_state
from multimodal_attn.model import Model, decode
from multimodal_attn.questions.needed import measure_needed
from multimodal_attn.questions.self_attention import Looks, looks_of
from multimodal_attn.questions.what_if import Case, Sentence, write, write_best
from multimodal_attn.search import SearchConfig
from multimodal_attn.senses import Geometry, sense_of
from multimodal_attn.tokens import begin_to_ids
from multimodal_attn.trace import AttentionTrace, Origin, join_traces

Source = Any  # what the sense's `read` takes: a path, bytes, an array, ...
Item = Any  # what it gives


class Segment(NamedTuple):
    """What came of a source, or of a piece of it: `last` is True for the source's last piece."""

    source: Source
    result: AttentionTrace | MediaError
    last: bool


class Predictor:
    """A released model, ready for people's files. Holds no state between calls, so threads may share one.

    sense: the kind of what the model reads, such as "picture" or "sound". via: the Sense itself.
    """

    def __init__(
        self, model: Model, search: SearchConfig, config: dict[str, Any], name: str, device: str = "cpu"
    ) -> None:
        self.model = model
        self.search, self.config, self.name, self.device = search, config, name, device
        self.sense = model.encoder.sense
        self.via = sense_of(self.sense)

    def __call__(
        self,
        source: Source | Item,
        needed: bool = False,
        begin: str | Sequence[int | str] = (),
        hidden: Sequence[int] = (),
        self_attention: bool | int | str = False,
        **options: Any,
    ) -> AttentionTrace:
        """The trace of one picture or sound, ...: a path, its bytes, an array, or what `read` gave before.

        needed: also measure what each token needed, which takes as long as reading some fifty inputs.
        begin: what the sentence is to start with, a text, or tokens by their ids or as a trace spells them; the model
            goes on. hidden: places of the input that it does not get. Both of inputs that are encoded at once.
        self_attention: that of the encoder is wanted too: True, a layer 3, or a layer and a head "3.0", from 0.
        options override the checkpoint's search defaults, see SearchConfig: beam, length_penalty, max_length, ...
        Raises MediaError for an input that cannot be used, ConfigError for an option that does not exist.
        """
        items, fault = [], None
        try:
            items.extend(self.pieces(source))
        except MediaError as error:
            if not items:
                raise
            fault = str(error)  # of a recording that is read up to there
        if begin or hidden:
            return self._again(items, needed, self.case(items, begin, hidden, **options))
        trace = join_traces(self.batch(items, needed=needed, self_attention=self_attention, **options))
        return replace(trace, note=fault) if fault else trace

    def case(
        self, items: Sequence[Item], begin: str | Sequence[int | str] = (), hidden: Sequence[int] = (), **options: Any
    ) -> Case:
        """What can be asked of one input, see `what_if`. Raises ConfigError for one that is read in several pieces."""
        if len(items) != 1:
            raise ConfigError("begin, hidden: this input is read in pieces; cut it to one")
        search, ids = search_with(self.search, options), begin_to_ids(self.model.tokenizer, begin)
        batch, [geometry] = self._encodable(items)
        return Case(self.model, batch, geometry, search, self.origin(search), tuple(ids), tuple(hidden))

    def best(self, source: Source | Item, n: int = 5, **asked: Any) -> list[Sentence]:
        """The n best sentences of one search, with the parts of their scores. asked: of `case`, and search options."""
        case = self.case(list(self.pieces(source)), **({"beam": max(n, self.search.beam)} | asked))
        return write_best(case, n)

    def read(self, source: Source | Item) -> Item:
        """The whole of an input, decoded: a picture no larger than the encoder needs."""
        return source if isinstance(source, self.via.item) else self.via.read(source, self.model)

    def pieces(self, source: Source | Item) -> Iterator[Item]:
        """What is encoded at once: a picture, or a long sound in pieces, cut at pauses."""
        if self.via.pieces:
            yield from self.via.pieces(source, self.model)
        else:
            yield self.read(source)

    def batch(
        self,
        items: Sequence[Item],
        weights: bool = True,
        needed: bool = False,
        self_attention: bool | int | str = False,
        **options: Any,
    ) -> list[AttentionTrace]:
        """The traces of several items, encoded and searched together; each as if it were alone.

        Without `weights` they are made in less time, and have texts, scores, word times and the number of tokens alone.
        needed, self_attention: see `__call__`.
        """
        search = search_with(self.search, options)
        looks = self.looks(self_attention)
        problems = [self.via.problem(item) for item in items]
        rows = list(zip(items, problems, strict=True))
        traces = iter(self._decode([item for item, problem in rows if problem is None], search, weights, looks))
        found = [self._nothing(item, problem, search) if problem else next(traces) for item, problem in rows]
        if needed:
            found = [self._with_needed(item, trace) for item, trace in zip(items, found, strict=True)]
        notes = [getattr(item, "note", "") for item in items]
        return [replace(trace, note=note) if note else trace for trace, note in zip(found, notes, strict=True)]

    def stream(
        self, sources: Sequence[Source], batch_size: int = 32, **options: Any
    ) -> Iterator[tuple[Source, AttentionTrace | MediaError]]:
        """(source, trace or the reason why there is none) for every source, in order; one bad source stops nothing."""
        pieces: list[AttentionTrace] = []
        for source, result, last in self.segments(sources, batch_size, **options):
            if isinstance(result, AttentionTrace):
                pieces.append(result)
            if last:
                yield source, result if isinstance(result, MediaError) else join_traces(pieces)
                pieces = []

    def needs(self, item: Item, trace: AttentionTrace) -> Iterator[tuple[float, AttentionTrace]]:
        """(share that is done, the trace with what its tokens needed as far as it is measured), the whole at last.

        item: what `read` gave, encoded at once. trace: of it, by this model; raises ValueError for one of others.
        """
        ids = [token.id for token in trace.tokens]
        n_tokens = self.model.tokenizer.get_vocab_size()
        if not all(id is not None and 0 <= id < n_tokens for id in ids):
            raise ValueError("what a sentence needed is measured by the model that wrote it")
        case = self.case([item], hidden=trace.origin.options.get("hidden", ()))
        for share, falls in measure_needed(self.model, case.seen(), case.geometry, ids):
            yield share, replace(trace, needed=falls)

    def segments(
        self,
        sources: Iterable[Source],
        batch_size: int = 16,
        weights: bool = True,
        self_attention: bool | int | str = False,
        needed: bool = False,
        **options: Any,
    ) -> Iterator[Segment]:
        """The pieces of every source in order, those of all sources batched by length; one bad source stops nothing,
        nor does one that is the MediaError which tells why it is none.

        Memory is bounded, however long an input is. Times in a piece's trace are seconds of the whole recording.
        weights, needed: see `batch`.
        """
        search_with(self.search, options)
        self.looks(self_attention)
        options = {"weights": weights, "needed": needed, "self_attention": self_attention, **options}
        waiting: list[tuple[Source, Item | MediaError, bool]] = []
        for source in sources:
            for piece in self._try_read(source):
                waiting.append(piece)
                if len(waiting) == batch_size * self.via.ahead:
                    yield from self._segments(waiting, batch_size, options)
                    waiting = []
        yield from self._segments(waiting, batch_size, options)

    @property
    def self_attends(self) -> bool:
        """Whether there is self-attention in the encoder."""
        return getattr(self.model.encoder, "n_looks", (0, 0))[0] > 0

    def looks(self, self_attention: bool | int | str) -> Looks | None:
        """Which of the encoder's self-attention is wanted. Raises ConfigError for what it has not."""
        if self_attention is False:
            return None
        looks = Looks.of(self_attention)
        looks.choose(*getattr(self.model.encoder, "n_looks", (0, 0)), n_places=1)
        return looks

    def origin(self, search: SearchConfig) -> Origin:
        options = asdict(search) | {"speeds": list(search.speeds), "looks": list(search.looks)}  # as JSON gives it back
        return Origin(self.name, self.config["sha256"]["model.safetensors"], options)

    def _segments(
        self, pieces: list[tuple[Source, Item | MediaError, bool]], batch_size: int, options: dict[str, Any]
    ) -> Iterator[Segment]:
        results: dict[int, AttentionTrace] = {}
        good = [n for n, (_, item, _) in enumerate(pieces) if not isinstance(item, MediaError)]
        good.sort(key=lambda n: self.via.size(pieces[n][1]))
        for start in range(0, len(good), batch_size):
            some = good[start : start + batch_size]
            results |= zip(some, self.batch([pieces[n][1] for n in some], **options), strict=True)
        for n, (source, item, last) in enumerate(pieces):
            yield Segment(source, results.get(n, item), last)

    def _try_read(self, source: Source) -> Iterator[tuple[Source, Item | MediaError, bool]]:
        """The pieces of a source, each with whether it is the last; an error ends them."""
        before = None
        try:
            if isinstance(source, MediaError):
                raise source
            for item in self.pieces(source):
                if before is not None:
                    yield source, before, False
                before = item
        except MediaError as error:
            if before is not None:
                yield source, before, False
            before = error
        yield source, before, True

    def _decode(
        self, items: Sequence[Item], search: SearchConfig, weights: bool, looks: Looks | None
    ) -> list[AttentionTrace]:
        if not items:
            return []
        batch, geometries = self._encodable(items)
        traces = decode(self.model, batch, geometries, search, self.origin(search), weights)
        if looks is None:
            return traces
        found = looks_of(self.model.encoder, batch, geometries, looks)
        return [replace(trace, self_attention=(each,)) for trace, each in zip(traces, found, strict=True)]

    def _encodable(self, items: Sequence[Item]) -> tuple[Any, list[Geometry]]:
        """What the encoder takes, where it computes, and where the places of each item lie."""
        batch, geometries = self.via.batch(items, self.model)
        return map_state(lambda tensor: tensor.to(self.device), batch), geometries

    def _again(self, items: Sequence[Item], needed: bool, case: Case) -> AttentionTrace:
        if problem := self.via.problem(items[0]):
            return self._nothing(items[0], problem, case.config)
        trace = write(case)
        return self._with_needed(items[0], trace) if needed else trace

    def _with_needed(self, item: Item, trace: AttentionTrace) -> AttentionTrace:
        for _, found in self.needs(item, trace):
            trace = found
        return trace

    def _nothing(self, item: Item, problem: str, search: SearchConfig) -> AttentionTrace:
        """The trace of an input in which there is nothing to read."""
        [geometry] = self.via.batch([item], self.model)[1]
        weights = np.zeros((0, self.model.n_heads, geometry.n_places), np.float32)
        return AttentionTrace("", 0.0, (), weights, geometry, self.origin(search), (), problem)


def load(path: str | Path, device: str = "cpu") -> Predictor:
    """Open a checkpoint folder. Raises CheckpointError when it is missing, damaged, or of another format."""
    folder = Path(path)
    model, search, config = load_checkpoint(folder)
    if hasattr(model.encoder, "fold"):
        model.encoder.fold()
    try:
        model.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {device!r} cannot be used here; cpu always can") from error
    return Predictor(model, search, config, folder.resolve().name, device)


def search_with(search: SearchConfig, options: dict[str, Any]) -> SearchConfig:
    """The search defaults with some changed; options that are None change nothing."""
    if unknown := sorted(set(options) - set(asdict(search))):
        raise ConfigError(f"no search option {unknown[0]!r}; known: {', '.join(asdict(search))}")
    return replace(search, **{key: value for key, value in options.items() if value is not None})
