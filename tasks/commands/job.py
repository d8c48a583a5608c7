"""What is done with the inputs of a command, here or in other processes: read by one model, with one search."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multimodal_attn.predictor import Predictor, Segment, load
from tasks.commands.inputs import Input


@dataclass(frozen=True)
class Job:
    """See Predictor.segments, which has the last three."""

    checkpoint: Path
    device: str
    batch_size: int
    weights: bool
    options: dict[str, Any]

    def load(self) -> Predictor:
        return load(self.checkpoint, self.device)

    def segments(self, predictor: Predictor, sources: Iterable[Any]) -> Iterator[Segment]:
        return predictor.segments(sources, self.batch_size, self.weights, **self.options)

    def read(self, predictor: Predictor, inputs: Iterable[Input]) -> Iterator[tuple[Input, Segment]]:
        """The segments of all inputs, each with the input that it is of."""
        waiting: deque[Input] = deque()

        def sources() -> Iterator[Any]:
            for input in inputs:
                waiting.append(input)
                yield input.source

        for segment in self.segments(predictor, sources()):
            yield waiting[0], segment
            if segment.last:
                waiting.popleft()


def without_source(segment: Segment) -> Segment:
    """As it is sent to another process, which has the source."""
    return segment._replace(source=None)


def pair(inputs: Iterable[Input], segments: Iterable[Segment]) -> Iterator[tuple[Input, Segment]]:
    """Segments without their sources, in order, each with its input and the source that this gives."""
    inputs, input = iter(inputs), None
    for segment in segments:
        input = next(inputs) if input is None else input
        yield input, segment._replace(source=input.source)
        input = None if segment.last else input
