"""The tab of pictures."""

from pathlib import Path

import gradio as gr

from multimodal_attn.senses.picture.viewer import PREVIEW_SIDE, picture_media
from multimodal_attn.senses.reading import read_picture
from multimodal_attn.ui.page import ASSETS, Page
from multimodal_attn.viewer.payloads import Save

STATIC = Path(__file__).parent / "static"


def build_drop() -> gr.Image:
    """The upload area. It hands on the path of the file as it came: our own reader decodes it, within its limits."""
    drop = gr.Image(
        type="filepath",
        sources=["upload", "clipboard"],
        height=190,
        show_label=False,
        buttons=[],
        placeholder="Drop a photograph\nor click to choose one",
        elem_id="picture-drop",
        elem_classes="drop",
    )
    drop.preprocess = lambda payload: payload.path if payload else None  # Gradio's own would decode it first
    return drop


def see(source: str, save: Save) -> dict:
    return picture_media(read_picture(source, min_side_hint=PREVIEW_SIDE), save)


PAGE = Page(
    kind="picture",
    tab="Picture",
    by="Written",
    drop=build_drop,
    media=see,
    accepts="^image/",
    wanted="not a picture; take a JPEG, PNG, WEBP, GIF, BMP or TIFF file",
    # http://farm9.staticflickr.com/8292/7866247804_e0486b75b8_z.jpg, under CC BY 2.0
    examples={"dinner": STATIC / "dinner.jpg"}
    | {name: ASSETS / "images" / f"{name}.jpg" for name in ("lion", "cheetah")},
    thumbnails=True,
    source="of what it has seen the like of, and of two animals that it never saw",
    checkpoints={
        "captioning-flickr8k": "It learned from photographs of people, dogs and sport; what else there is, it guesses."
    },
)
