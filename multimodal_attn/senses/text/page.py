"""The tab of texts."""

import gradio as gr

from multimodal_attn.errors import MediaError
from multimodal_attn.senses.text.media import read_text
from multimodal_attn.senses.text.viewer import text_media
from multimodal_attn.ui.page import Page
from multimodal_attn.viewer.payloads import Save

MAX_LETTERS = 300  # of a text on the page: beyond, its matrix is nothing to look at
SENTENCES = "My brother lives in Tokyo.", "She bought a new car yesterday.", "The cat is sleeping on the chair."


def build_writer() -> gr.Textbox:
    """Where a sentence is written; Enter or the button reads it."""
    return gr.Textbox(
        placeholder="Write an English sentence",
        lines=1,  # so that Enter sends it
        max_lines=6,
        max_length=MAX_LETTERS,
        submit_btn=True,
        show_label=False,
        label="A sentence to translate",
        elem_id="text-drop",
        elem_classes="writer",
    )


def peruse(source: str, save: Save) -> dict:
    text = read_text(source)
    if len(text.text) > MAX_LETTERS:
        told = f"{len(text.text)} letters, over the {MAX_LETTERS} that can be shown"
        raise MediaError(f"{text.name}: {told}; shorten it, or use the command `multimodal-attn translate`")
    return text_media(text, save)


PAGE = Page(
    kind="text",
    tab="Translation",
    by="Translated",
    drop=build_writer,
    events=("submit",),
    written=True,
    media=peruse,
    examples={text: text for text in SENTENCES},
    source="written for this page",
    checkpoints={
        "translation-en-zh": "It learned from 27,000 short everyday sentences; rare words it guesses.",
        "translation-en-de": "It learned from captions of photographs; what they do not speak of, it guesses.",
    },
)
