"""The viewer: shows a trace over its picture. All pointing, stepping and drawing happens on the page."""

import io
import secrets
from pathlib import Path

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache
from PIL.Image import Image, Resampling

from multimodal_attn.media import Picture
from multimodal_attn.trace import AttentionTrace

STATIC = Path(__file__).parent / "static"
SCRIPTS = ("trace.js", "draw.js", "save.js", "viewer.js")
PREVIEW_SIDE = 1600  # pixels; sharp on any screen, and about 0.4 MB as JPEG


def read_static(*names: str) -> str:
    return "\n".join((STATIC / name).read_text("utf-8") for name in names)


def build_viewer(**options) -> gr.HTML:
    """A component that takes one payload at a time, made by `waiting`, `complete` or `problem`.

    Each payload has an id of its own, for the page is told only of values that differ from the one before.
    Not a subclass: Gradio writes a stub file beside the source of every subclass of its components.
    """
    return gr.HTML(
        html_template=read_static("viewer.html"),
        css_template=read_static("viewer.css"),
        js_on_load=read_static(*SCRIPTS),
        apply_default_css=False,
        **options,
    )


def picture_media(picture: Picture, folder: str) -> dict:
    """Media of a payload: {kind, name, width, height, file}.

    file is Gradio's FileData with the url of a preview written below `folder`; width and height are its pixels. The
    trace speaks of the original's pixels, and the page scales.
    """
    image = shrink(picture.image, PREVIEW_SIDE)
    path = save_bytes_to_cache(image_to_jpeg(image), "picture.jpeg", folder)
    return {
        "kind": "picture",
        "name": Path(picture.name).name,
        "width": image.width,
        "height": image.height,
        "file": gr.FileData(path=path).model_dump(),
    }


def shrink(image: Image, side: int) -> Image:
    """A copy of at most `side` pixels a side, in the same shape."""
    small = image.copy()
    small.thumbnail((side, side), Resampling.LANCZOS)
    return small


def image_to_jpeg(image: Image) -> bytes:
    """What every browser shows as it is: no EXIF, which would turn an upright picture once more or tell its place."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


def new_id() -> str:
    return secrets.token_hex(8)


def waiting(media: dict) -> dict:
    """Payload of a picture whose sentence is still to come."""
    return {"id": new_id(), "media": media}


def complete(media: dict, trace: AttentionTrace) -> dict:
    """Payload of a picture and its trace in the schema of docs/trace-format.md."""
    return {"id": new_id(), "media": media, "trace": trace.to_dict()}


def problem(line: str) -> dict:
    """Payload of a line to show above the last complete one, which stays."""
    return {"id": new_id(), "problem": line}
