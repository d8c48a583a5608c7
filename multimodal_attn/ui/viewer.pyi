"""AttentionViewer: shows a trace over its picture. All pointing, stepping and drawing happens on the page."""

import secrets
from pathlib import Path

import gradio as gr
from gradio.processing_utils import save_pil_to_cache
from PIL.Image import Image, Resampling

from multimodal_attn.media import Picture
from multimodal_attn.trace import AttentionTrace

STATIC = Path(__file__).parent / "static"
PREVIEW_SIDE = 1600  # pixels; sharp on any screen, and about 0.4 MB as JPEG


def read_static(*names: str) -> str:
    return "\n".join((STATIC / name).read_text("utf-8") for name in names)

from gradio.events import Dependency

class AttentionViewer(gr.HTML):
    """Takes one payload at a time, made by `waiting`, `complete` or `problem`.

    A payload is {id, media: {kind, name, width, height, file}, trace}, `file` being Gradio's FileData with the url of a
    preview that every browser can show, width and height its pixels, and trace the schema of docs/trace-format.md.
    Each has an id of its own, for the page is told only of values that differ from the one before.
    """

    def __init__(self, **options) -> None:
        super().__init__(
            html_template=read_static("viewer.html"),
            css_template=read_static("viewer.css"),
            js_on_load=read_static("trace.js", "viewer.js", "save.js"),
            apply_default_css=False,
            **options,
        )

    def picture_media(self, picture: Picture) -> dict:
        """Media of a picture: an upright JPEG of at most PREVIEW_SIDE pixels a side, in the temporary folder."""
        image = preview(picture.image)
        path = save_pil_to_cache(image, self.GRADIO_CACHE, name="picture", format="jpeg")
        file = gr.FileData(path=path).model_dump()
        return {
            "kind": "picture",
            "name": Path(picture.name).name,
            "width": image.width,
            "height": image.height,
            "file": file,
        }
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


def preview(image: Image) -> Image:
    """A copy no larger than PREVIEW_SIDE pixels a side, with its shape kept."""
    small = image.copy()
    small.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE), Resampling.LANCZOS)
    return small


def new_id() -> str:
    return secrets.token_hex(8)


def waiting(media: dict) -> dict:
    """Payload of a picture whose sentence is still to come."""
    return {"id": new_id(), "media": media}


def complete(media: dict, trace: AttentionTrace) -> dict:
    """Payload of a picture and its trace."""
    return {"id": new_id(), "media": media, "trace": trace.to_dict()}


def problem(line: str) -> dict:
    """Payload of a line to show above the last complete one, which stays."""
    return {"id": new_id(), "problem": line}