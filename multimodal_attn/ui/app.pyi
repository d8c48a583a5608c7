"""The page and its server: a photograph goes in, the viewer shows the sentence and where the model looked."""

import html
import logging
import os
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Protocol

import gradio as gr
from starlette.middleware import Middleware

from multimodal_attn.errors import UserError
from multimodal_attn.media import read_picture
from multimodal_attn.trace import AttentionTrace
from multimodal_attn.ui.limits import MAX_FILE, Limits
from multimodal_attn.ui.viewer import PREVIEW_SIDE, AttentionViewer, complete, problem, read_static, waiting

EXAMPLES = [Path(gr.__file__).parent / "media_assets" / "images" / name for name in ("lion.jpg", "cheetah1.jpg", "tower.jpg")]
HEAD = "<h1>Where the model looked</h1><p>A sentence for a photograph, and for each word the place it came from.</p>"
FACTS = "Written by <b>{name}</b>.<br>Everything runs on this computer; no picture leaves it."


class Captioner(Protocol):
    """What the page needs of a predictor."""

    name: str

    def __call__(self, source: str) -> AttentionTrace: ...

from gradio.events import Dependency

class PictureDrop(gr.Image):
    """An upload area that hands on the file as it came: our own reader decodes it, within its own limits."""

    is_template = True  # Gradio's word for: on the page it is its base class

    def preprocess(self, payload: gr.data_classes.ImageData | None) -> str | None:
        return payload.path if payload else None
    from typing import Callable, Literal, Sequence, Any, TYPE_CHECKING
    from gradio.blocks import Block
    if TYPE_CHECKING:
        from gradio.components import Timer
        from gradio.components.base import Component


@cache
def temporary_folder() -> tempfile.TemporaryDirectory:
    """One folder per process for uploads and previews, closed to other users and removed at exit."""
    folder = tempfile.TemporaryDirectory(prefix="multimodal-attn-")
    os.environ["GRADIO_TEMP_DIR"] = folder.name
    return folder


def caption(predictor: Captioner, viewer: AttentionViewer, source: str) -> Iterator[dict]:
    """Payloads of one picture: the picture at once, then its trace; or the problem, in one line."""
    try:
        media = viewer.picture_media(read_picture(source, min_side_hint=PREVIEW_SIDE))
        yield waiting(media)
        yield complete(media, predictor(source))
    except UserError as error:
        yield problem(str(error).replace(source, Path(source).name))  # the folder means nothing to the reader
    except Exception:
        logging.exception("captioning %s failed", source)
        yield problem(f"{Path(source).name}: the model failed on this picture; the terminal has the details")


def build_app(predictor: Captioner) -> gr.Blocks:
    """The page, not yet served."""
    temporary_folder()
    gr.set_static_paths(EXAMPLES)  # served from where they are, without a copy
    with gr.Blocks(title="Where the model looked", delete_cache=(600, 3600), analytics_enabled=False) as app:
        gr.HTML(HEAD, elem_id="head", apply_default_css=False)
        with gr.Row(elem_id="columns"):
            with gr.Column(elem_id="rail"):
                drop = picture_drop()
                examples = picture_examples()
                facts = FACTS.format(name=html.escape(predictor.name))
                gr.HTML(facts, elem_id="facts", apply_default_css=False)
            with gr.Column(elem_id="result"):
                viewer = AttentionViewer(elem_id="viewer")

        def on_drop(source: str | None) -> Iterator[tuple[dict, None]]:
            for payload in caption(predictor, viewer, source) if source else ():
                yield payload, None  # None empties the drop area for the next picture

        def on_example(index: int) -> Iterator[dict]:
            yield from caption(predictor, viewer, str(EXAMPLES[index]))

        options = {
            "api_visibility": "private",
            "concurrency_id": "model",
            "concurrency_limit": 1,
            "show_progress": "hidden",
            "trigger_mode": "always_last",
        }
        drop.upload(on_drop, drop, [viewer, drop], **options)
        examples.click(on_example, examples, viewer, **options)
    return app


def picture_drop() -> PictureDrop:
    return PictureDrop(
        type="filepath",
        sources=["upload", "clipboard"],
        image_mode=None,
        height=190,
        show_label=False,
        buttons=[],
        placeholder="Drop a photograph\nor click to choose one",
        elem_id="drop",
    )


def picture_examples() -> gr.Dataset:
    return gr.Dataset(
        components=[gr.Image(render=False, show_label=False)],
        samples=[[str(path)] for path in EXAMPLES],
        type="index",
        label="Examples",
        elem_id="examples",
    )


def theme() -> gr.themes.Base:
    plain = {"body_background_fill": "var(--paper)", "body_text_color": "var(--ink)", "block_background_fill": "none"}
    return gr.themes.Base(
        font=[gr.themes.LocalFont("Source Sans 3"), "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(**plain, **{f"{key}_dark": value for key, value in plain.items()})


def start(predictor: Captioner, host: str = "127.0.0.1", port: int = 7860) -> gr.Blocks:
    """Serves the page in the background; raises UserError when the address cannot be had."""
    app = build_app(predictor)
    limits = Middleware(Limits, folder=Path(temporary_folder().name))
    try:
        app.queue(max_size=16).launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            quiet=True,
            footer_links=[],
            run_history=False,
            enable_monitoring=False,
            max_file_size=MAX_FILE,
            ssr_mode=False,
            share=False,
            allowed_paths=[],
            app_kwargs={"middleware": [limits]},
            theme=theme(),
            css=read_static("page.css"),
            js=read_static("page.js"),
        )
    except OSError as error:
        raise UserError(f"cannot listen on {host}:{port}, it may be in use; choose another port with --port") from error
    return app


def launch(predictor: Captioner, host: str = "127.0.0.1", port: int = 7860) -> None:
    """Serves the page until Ctrl-C."""
    app = start(predictor, host, port)
    print(f"Open {app.local_url} in a browser; Ctrl-C stops the app.", flush=True)
    app.block_thread()