"""One tab of the page: what goes in on the left, the viewer on the right."""

import html
import logging
from collections.abc import Iterator
from pathlib import Path

import gradio as gr

from multimodal_attn.errors import UserError
from multimodal_attn.ui.events import FILE, NO_FILE, WRITTEN, Forged, rebuild_question
from multimodal_attn.ui.line import Line, in_turn, in_turns
from multimodal_attn.ui.opening import opening_of
from multimodal_attn.ui.page import Page
from multimodal_attn.ui.pages import known_files
from multimodal_attn.ui.questions import answer_question, can_be_asked
from multimodal_attn.ui.readers import Reader, attends
from multimodal_attn.ui.viewer import build_viewer, keep
from multimodal_attn.viewer.payloads import complete, problem, waiting

FACTS = "{by} by <b>{name}</b>. {expect}<br>Everything runs on this computer; no {kind} leaves it."
INSIDE = "which place of the input looks at which inside the encoder, of what is read from now on"
EVENTS = {
    "api_visibility": "private",
    "concurrency_limit": None,  # the line lets in one at a time, and tells the others
    "show_progress": "hidden",
    "trigger_mode": "always_last",
}


def answer(page: Page, reader: Reader, source: str, inside: bool = False) -> Iterator[dict]:
    """Payloads of one input: the input itself at once, then its trace; or the problem, in one line.

    inside: with the encoder's self-attention.
    """
    name = page.name_of(source)
    try:
        media = page.media(source, keep)
        yield waiting(media)
        trace = reader(source, **{"self_attention": True} if inside else {})
        yield complete(media, trace, keep) | asks(page, reader, source)
    except UserError as error:
        yield problem(str(error).replace(source, name))  # the folder means nothing to the reader
    except Exception:
        logging.exception("%s failed on %s", reader.name, source)
        yield problem(f"{name}: the model failed on this {page.kind}; the terminal has the details")


def asks(page: Page, reader: Reader, source: str) -> dict:
    """What a payload has more where questions about it can be answered: what they are to name."""
    kind = WRITTEN if page.written else FILE
    return {"asks": {"kind": kind, "source": source}} if can_be_asked(reader) else {}


def answer_asked(reader: Reader, question: dict) -> Iterator[dict]:
    """As `answer_question`, for a source that came over the network: once more, whatever let it pass before."""
    try:
        source = rebuild_question(question, known_files(), str)["source"]
    except Forged as error:
        yield problem(str(error))
    else:
        yield from answer_question(reader, source, question, keep)


def answer_upload(page: Page, reader: Reader, source: str, inside: bool) -> Iterator[dict]:
    """As `answer`, for a path that came over the network: once more, whatever let it pass before."""
    try:
        known_files().check(source)
    except Forged as error:
        yield problem(str(error))
    else:
        yield from answer(page, reader, source, inside)


def opening(page: Page, reader: Reader) -> dict:
    """What the viewer shows before anything else: one of the examples, finished."""
    finished = opening_of(page.kind, reader.name)
    known = {each if page.written else Path(each).name: str(each) for each in page.examples.values()}
    source = finished and known.get(finished["media"]["text" if page.written else "name"])
    return finished | asks(page, reader, source) if source else finished


def build_tab(page: Page, reader: Reader, line: Line) -> gr.Checkbox:
    """Gives the switch of self-attention."""
    with gr.Row(elem_classes="columns"):
        with gr.Column(elem_classes="rail", scale=0, min_width=264):
            drop = page.drop()
            inside = build_switch(page, attends(reader))
            examples = build_examples(page)
            name, expect = html.escape(reader.name), page.checkpoints.get(reader.name, "")
            facts = FACTS.format(by=page.by, name=name, expect=expect, kind=page.kind)
            gr.HTML(facts, elem_classes="facts", apply_default_css=False)
        with gr.Column(elem_classes="result-column", scale=1):
            viewer = build_viewer(page.kind, opening(page, reader), elem_id=f"{page.kind}-viewer")
    sources = list(page.examples.values())
    newest: dict[str, dict] = {}  # what each session measures

    def on_file(source: str | None, inside: bool) -> Iterator[tuple[dict, None]]:
        for payload in in_turn(line, answer_upload(page, reader, source, inside)) if source else ():
            yield payload, None  # None empties the drop area for the next file

    def on_text(text: str, inside: bool) -> Iterator[dict]:
        yield from in_turn(line, answer(page, reader, text, inside)) if text and text.strip() else ()

    def on_example(index: int, inside: bool) -> Iterator[dict]:
        if index not in range(len(sources)):
            yield problem(NO_FILE)
        else:
            yield from in_turn(line, answer(page, reader, str(sources[index]), inside))

    def on_ask(event: gr.EventData, request: gr.Request) -> Iterator[dict]:
        question, session = event._data or {}, request.session_hash
        measures = question.get("want") == "needed"  # after every sentence: only the last one's are looked at
        if measures:
            newest[session] = question
        try:
            for payload in in_turns(line, answer_asked(reader, question)):
                if measures and newest.get(session) is not question:
                    return
                yield payload
        finally:
            if newest.get(session) is question:
                del newest[session]

    if can_be_asked(reader):
        viewer.ask(on_ask, None, viewer, **(EVENTS | {"trigger_mode": "multiple"}))
    for event in page.events:
        brought = (on_text, [drop, inside], viewer) if page.written else (on_file, [drop, inside], [viewer, drop])
        getattr(drop, event)(*brought, **EVENTS)
    examples.click(on_example, [examples, inside], viewer, **EVENTS)
    return inside


def build_switch(page: Page, visible: bool) -> gr.Checkbox:
    """Whether the encoder's self-attention is to be seen too, of what is read from then on."""
    return gr.Checkbox(
        False, label="self-attention", info=INSIDE, visible=visible, elem_id=f"{page.kind}-inside", container=False
    )


def build_examples(page: Page) -> gr.Dataset:
    """As small pictures, or by their labels; the page is told their number alone."""
    labels = list(page.examples)
    shown = page.examples.values() if page.thumbnails else labels
    return gr.Dataset(
        components=[(gr.Image if page.thumbnails else gr.Textbox)(render=False, show_label=False)],
        samples=[[str(example)] for example in shown],
        sample_labels=None if page.thumbnails else labels,
        type="index",
        label=f"Examples {page.source}",
        visible=bool(labels),
        elem_id=f"{page.kind}-examples",
        elem_classes=["examples", "thumbnails" if page.thumbnails else "labelled"],
    )
