"""The viewer as a part of the page."""

import gradio as gr

from multimodal_attn.ui.limits import room
from multimodal_attn.viewer.payloads import new_id
from multimodal_attn.viewer.sources import read_markup, read_scripts, read_style


def build_viewer(kind: str, opening: dict, **options) -> gr.HTML:
    """A component that takes one payload at a time, made by the functions of `viewer.payloads`.

    kind: of a sense, which it asks for while it is empty; a payload of any is shown.
    opening: what it shows before anything else, see `opening_of`.
    Each payload has an id of its own, for the page is told only of values that differ from the one before.
    Not a subclass: Gradio writes a stub file beside the source of every subclass of its components.
    """
    return gr.HTML(
        {"id": new_id(), "kind": kind, **opening},
        html_template=read_markup(),
        css_template=read_style(),
        js_on_load=read_scripts(),
        apply_default_css=False,
        **options,
    )


def keep(content: bytes, name: str) -> dict:
    """Gradio's name of a file that the page fetches, written into the room of this process."""
    return gr.FileData(path=room().save(content, name)).model_dump()
