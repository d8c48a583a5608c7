"""The page and its server: a photograph goes in, the viewer shows the sentence and where the model looked."""

import html
import logging
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import gradio as gr
from starlette.middleware import Middleware

from multimodal_attn.errors import UserError
from multimodal_attn.media import read_picture
from multimodal_attn.trace import AttentionTrace
from multimodal_attn.ui import temporary_folder
from multimodal_attn.ui.limits import MAX_FILE, Limits
from multimodal_attn.ui.viewer import PREVIEW_SIDE, build_viewer, complete, picture_media, problem, read_static, waiting

PICTURES = Path(gr.__file__).parent / "media_assets" / "images"  # come with Gradio
EXAMPLES = [PICTURES / name for name in ("lion.jpg", "cheetah.jpg", "tower.jpg")]
HEAD = "<h1>Where the model looked</h1><p>A sentence for a photograph, and for each word the place it came from.</p>"
FACTS = "Written by <b>{name}</b>.<br>Everything runs on this computer; no picture leaves it."


class Captioner(Protocol):
    """What the page needs of a predictor."""

    name: str

    def __call__(self, source: str) -> AttentionTrace: ...


def caption(predictor: Captioner, source: str) -> Iterator[dict]:
    """Payloads of one picture: the picture at once, then its trace; or the problem, in one line."""
    try:
        media = picture_media(read_picture(source, min_side_hint=PREVIEW_SIDE), temporary_folder().name)
        yield waiting(media)
        yield complete(media, predictor(source))
    except UserError as error:
        yield problem(str(error).replace(source, Path(source).name))  # the folder means nothing to the reader
    except Exception:
        logging.exception("captioning %s failed", source)
        yield problem(f"{Path(source).name}: the model failed on this picture; the terminal has the details")


def build_app(predictor: Captioner) -> gr.Blocks:
    """The page, not yet served."""
    gr.set_static_paths(EXAMPLES)  # served from where they are, without a copy
    with gr.Blocks(
        title="Where the model looked", delete_cache=(600, 3600), analytics_enabled=False, fill_width=True
    ) as app:
        gr.HTML(HEAD, elem_id="head", apply_default_css=False)
        with gr.Row(elem_id="columns"):
            with gr.Column(elem_id="rail", scale=0, min_width=264):
                drop = build_drop()
                examples = build_examples()
                facts = FACTS.format(name=html.escape(predictor.name))
                gr.HTML(facts, elem_id="facts", apply_default_css=False)
            with gr.Column(elem_id="result", scale=1):
                viewer = build_viewer(elem_id="viewer")

        def on_drop(source: str | None) -> Iterator[tuple[dict, None]]:
            for payload in caption(predictor, source) if source else ():
                yield payload, None  # None empties the drop area for the next picture

        def on_example(index: int) -> Iterator[dict]:
            yield from caption(predictor, str(EXAMPLES[index]))

        options = {
            "api_visibility": "private",
            "concurrency_id": "model",
            "concurrency_limit": 1,
            "show_progress": "hidden",
            "trigger_mode": "always_last",
        }
        drop.upload(on_drop, drop, [viewer, drop], **options)
        examples.click(on_example, examples, viewer, **options)
        app.load(None, js=read_static("page.js"), api_visibility="private")
    return app


def build_drop() -> gr.Image:
    """The upload area. It hands on the path of the file as it came: our own reader decodes it, within its limits."""
    drop = gr.Image(
        type="filepath",
        sources=["upload", "clipboard"],
        height=190,
        show_label=False,
        buttons=[],
        placeholder="Drop a photograph\nor click to choose one",
        elem_id="drop",
    )
    drop.preprocess = lambda payload: payload.path if payload else None  # Gradio's own would decode it first
    return drop


def build_examples() -> gr.Dataset:
    return gr.Dataset(
        components=[gr.Image(render=False, show_label=False)],
        samples=[[str(path)] for path in EXAMPLES],
        type="index",
        label="Examples",
        elem_id="examples",
    )


def build_theme() -> gr.themes.Base:
    plain = {"body_background_fill": "var(--paper)", "body_text_color": "var(--ink)", "block_background_fill": "none"}
    return gr.themes.Base(
        font=[gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "system-ui", "sans-serif"],
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
            theme=build_theme(),
            css=read_static("page.css"),
        )
    except (OSError, OverflowError) as error:  # overflow: a port above 65535
        raise UserError(f"cannot listen on {host}:{port}, it may be in use; choose another port with --port") from error
    return app


def launch(predictor: Captioner, host: str = "127.0.0.1", port: int = 7860) -> None:
    """Serves the page until Ctrl-C, or until the process is told to end."""
    for name in ("SIGTERM", "SIGHUP"):  # by default they end Python without removing the temporary folder
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: sys.exit(0))
    app = start(predictor, host, port)
    print(f"Open {app.local_url} in a browser; Ctrl-C stops the app.", flush=True)
    app.block_thread()
