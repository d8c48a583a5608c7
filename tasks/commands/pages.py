"""Pages of a batch: what the viewer shows of each input, as one HTML file that needs no server."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from multimodal_attn.errors import MediaError
from multimodal_attn.predictor import Predictor, Segment
from multimodal_attn.trace import AttentionTrace, join_traces
from multimodal_attn.viewer.share import inline_media, shared_page
from tasks.commands.figures import place_folder
from tasks.commands.inputs import Input
from tasks.commands.outputs import Choice, Outputs

ENDING = ".html"
MAX_BYTES = 50_000_000  # of a page; browsers open it within seconds


def place_pages(folder: Path | None, choice: Choice, named: Sequence[Path]) -> Outputs | None:
    """Where pages go, None if nowhere. Raises UserError where they must not."""
    return place_folder("--html", folder, choice, named)


def save_pages(
    pages: Outputs, predictor: Predictor, segments: Iterable[tuple[Input, Segment]]
) -> Iterator[tuple[Input, Segment]]:
    """The segments; with the last one of an input its page is written, of all of it."""
    traces: list[AttentionTrace] = []
    for input, segment in segments:
        if isinstance(segment.result, AttentionTrace):
            traces.append(segment.result)
            if segment.last:
                try:
                    pages.put(input, ENDING, page_of(predictor, segment.source, traces))
                except MediaError as error:  # too long, or gone meanwhile
                    pages.problems.append(f"no page of {error}")
        if segment.last:
            traces = []
        yield input, segment


def page_of(predictor: Predictor, source: Any, traces: Sequence[AttentionTrace]) -> bytes:
    """HTML. Raises MediaError where it would be too large to be sent."""
    item = predictor.read(source)
    whole = join_traces(traces)
    page = shared_page(inline_media(whole.geometry.kind, item), whole).encode()
    if len(page) > MAX_BYTES:
        raise MediaError(f"{item.name}: {len(page) // 10**6} MB, over {MAX_BYTES // 10**6}; cut it into shorter parts")
    return page
