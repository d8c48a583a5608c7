"""The page and its server: a photograph or a sound goes in, the viewer shows the sentence and where it came from."""

import atexit
import html
import logging
import secrets
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
from gradio.route_utils import CustomCORSMiddleware
from starlette.applications import Starlette
from starlette.middleware import Middleware

from multimodal_attn.errors import UserError
from multimodal_attn.ui import temporary_folder
from multimodal_attn.ui.aliases import Aliases
from multimodal_attn.ui.connections import Impatient
from multimodal_attn.ui.events import EXAMPLE, FILE, NO_FILE, WRITTEN, Forged, Inputs, Uploads
from multimodal_attn.ui.guard import Guard
from multimodal_attn.ui.limits import MAX_FILE, room
from multimodal_attn.ui.line import Line, in_turn
from multimodal_attn.ui.opening import opening_of
from multimodal_attn.ui.origin import Names
from multimodal_attn.ui.senses import ASSETS, MAX_LETTERS, PICTURE, SENSES, SOUND, STATIC, TEXT, Later, Reader, Sense
from multimodal_attn.ui.viewer import build_viewer, keep
from multimodal_attn.viewer.payloads import complete, problem, waiting
from multimodal_attn.viewer.share import read_static

TITLE = "Where the model looks and listens"
ABOUT = "A sentence for a photograph, a recording or a text, and for each word the place it came from."
HEAD = f"<h1>{TITLE}</h1><p>{ABOUT}</p>"
FACTS = "{by} by <b>{name}</b>. {expect}<br>Everything runs on this computer; no {kind} leaves it."
MISSING = (
    "There is no model for this yet: the folder checkpoints/{} is missing. Train one, or name one with --checkpoint."
)
EVENTS = {
    "api_visibility": "private",
    "concurrency_limit": None,  # the line lets in one at a time, and tells the others
    "show_progress": "hidden",
    "trigger_mode": "always_last",
}
OPENING = {**EVENTS, "concurrency_id": "opening", "concurrency_limit": 1}
MAX_EVENTS = 100  # under way; the line is full long before

SOON = "() => new Promise((done) => setTimeout(done, 1500))"  # the page itself comes first


def read_page(name: str) -> str:
    return (STATIC / name).read_text("utf-8")


def answer(sense: Sense, reader: Reader, source: str) -> Iterator[dict]:
    """Payloads of one input: the picture, sound or text at once, then its trace; or the problem, in one line."""
    name = sense.kind if sense is TEXT else Path(source).name
    try:
        media = sense.media(source, keep)
        yield waiting(media)
        yield complete(media, reader(source), keep)
    except UserError as error:
        yield problem(str(error).replace(source, name))  # the folder means nothing to the reader
    except Exception:
        logging.exception("%s failed on %s", reader.name, source)
        yield problem(f"{name}: the model failed on this {sense.kind}; the terminal has the details")


def known_files() -> Uploads:
    """What the page may read: its uploads, and the examples."""
    return Uploads(Path(temporary_folder().name), [path for sense in SENSES.values() for path in sense.files])


def answer_upload(sense: Sense, reader: Reader, source: str) -> Iterator[dict]:
    """As `answer`, for a path that came over the network: once more, whatever let it pass before."""
    try:
        known_files().check(source)
    except Forged as error:
        yield problem(str(error))
    else:
        yield from answer(sense, reader, source)


def build_app(readers: Mapping[str, Reader]) -> gr.Blocks:
    """The page, not yet served. readers: by task, as "captioning" and "speech"; a tab without one says so."""
    # served from where they are, without a copy
    gr.set_static_paths([path for sense in SENSES.values() for path in sense.files])
    line = Line()  # one for all tabs: the models share the processor
    with gr.Blocks(title=TITLE, delete_cache=(600, 3600), analytics_enabled=False, fill_width=True) as app:
        gr.HTML(HEAD, elem_id="head", apply_default_css=False)
        with gr.Tabs(elem_id="senses"):
            for task, sense in SENSES.items():
                # a tab that is left keeps what it shows
                with gr.Tab(sense.tab, id=sense.kind, render_children=True) as tab:
                    reader = readers.get(task)
                    if reader is None:
                        gr.HTML(html.escape(MISSING.format(next(iter(sense.checkpoints)))), elem_classes="missing")
                        continue
                    build_sense(sense, reader, line)
                if isinstance(reader, Later):
                    shown = app.load if sense is PICTURE else tab.select
                    shown(lambda later=reader: open_quietly(later), js=SOON, **OPENING)
        app.load(None, js=read_page("page.js"), api_visibility="private")
    return app


def open_quietly(later: Later) -> None:
    """Opens a checkpoint while the person still looks around; a mistake is told when it is used."""
    try:
        later.open()
    except UserError as error:
        logging.warning("%s", error)


def build_sense(sense: Sense, reader: Reader, line: Line) -> None:
    """One tab: what goes in on the left, the viewer on the right."""
    with gr.Row(elem_classes="columns"):
        with gr.Column(elem_classes="rail", scale=0, min_width=264):
            drop = INPUTS[sense.kind]()
            examples = build_examples(sense)
            name, expect = html.escape(reader.name), sense.checkpoints.get(reader.name, "")
            facts = FACTS.format(by=sense.by, name=name, expect=expect, kind=sense.kind)
            gr.HTML(facts, elem_classes="facts", apply_default_css=False)
        with gr.Column(elem_classes="result-column", scale=1):
            viewer = build_viewer(sense.kind, opening_of(sense.kind, reader.name), elem_id=f"{sense.kind}-viewer")
    paths = list(sense.examples.values())

    def on_drop(source: str | None) -> Iterator[tuple[dict, None]]:
        for payload in in_turn(line, answer_upload(sense, reader, source)) if source else ():
            yield payload, None  # None empties the drop area for the next file

    def on_text(text: str) -> Iterator[dict]:
        yield from in_turn(line, answer(sense, reader, text)) if text and text.strip() else ()

    def on_example(index: int) -> Iterator[dict]:
        if index not in range(len(paths)):
            yield problem(NO_FILE)
        else:
            yield from in_turn(line, answer(sense, reader, str(paths[index])))

    if sense is TEXT:
        drop.submit(on_text, drop, viewer, **EVENTS)
    else:
        drop.upload(on_drop, drop, [viewer, drop], **EVENTS)
    if sense is SOUND:
        drop.stop_recording(on_drop, drop, [viewer, drop], **EVENTS)
    examples.click(on_example, examples, viewer, **EVENTS)


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


def build_recorder() -> gr.Audio:
    """The upload area and the microphone; both hand on the path of a file, which our own reader decodes."""
    return gr.Audio(
        type="filepath",
        sources=["upload", "microphone"],
        show_label=False,
        buttons=[],
        editable=False,
        elem_id="sound-drop",
        elem_classes="drop",
    )


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


INPUTS = {"picture": build_drop, "sound": build_recorder, "text": build_writer}


def build_examples(sense: Sense) -> gr.Dataset:
    kind = {"picture": gr.Image, "sound": gr.Audio, "text": gr.Textbox}[sense.kind]
    return gr.Dataset(
        components=[kind(render=False, show_label=False)],
        samples=[[str(example)] for example in sense.examples.values()],
        sample_labels=None if sense is PICTURE else list(sense.examples),
        type="index",
        label=f"Examples {sense.source}",
        elem_id=f"{sense.kind}-examples",
        elem_classes="examples",
    )


def build_theme() -> gr.themes.Base:
    plain = {"body_background_fill": "var(--paper)", "body_text_color": "var(--ink)", "block_background_fill": "none"}
    return gr.themes.Base(
        font=[gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(**plain, **{f"{key}_dark": value for key, value in plain.items()})


@dataclass(frozen=True)
class Address:
    """Where the page is served. allowed: further names it may be asked by, as of a proxy, below whose `root_path` it
    lies. password: asked for of everybody, with any user name; None asks for none. port: 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 7860
    allowed: tuple[str, ...] = ()
    root_path: str = ""
    password: str | None = None

    def admits(self, user: str, password: str) -> bool:
        return secrets.compare_digest(password.encode(), (self.password or "").encode())


def claim_port(host: str, port: int) -> int:
    """The port, or a free one for 0. Raises OSError or OverflowError when it cannot be listened on."""
    if not 0 <= port < 1 << 16:
        raise OverflowError(f"port {port}")  # the look-up would take it modulo 65536
    family, kind, _, _, address = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        return probe.getsockname()[1]


BROUGHT = {gr.Dataset: EXAMPLE, gr.Textbox: WRITTEN}


def inputs_of(app: gr.Blocks) -> Inputs:
    """What each event of the page brings."""
    return {index: [BROUGHT.get(type(each), FILE) for each in event.inputs] for index, event in app.fns.items()}


def build_guard(app: gr.Blocks, address: Address) -> Middleware:
    folder = Path(temporary_folder().name)
    aliases = Aliases({"uploads": folder, "gradio": ASSETS, "examples": STATIC})
    names = Names(address.host, address.allowed)
    return Middleware(Guard, names=names, inputs=inputs_of(app), uploads=known_files(), aliases=aliases, room=room())


def start(readers: Mapping[str, Reader], host: str = "127.0.0.1", port: int = 7860, **options) -> gr.Blocks:
    """Serves the page in the background; raises UserError when the address cannot be had. options: of `Address`."""
    app, address = build_app(readers), Address(host, port, **options)
    try:
        app.queue(max_size=MAX_EVENTS, api_open=False).launch(
            server_name=f"[{host}]" if ":" in host.strip("[]") and not host.startswith("[") else host,
            server_port=claim_port(host, port),
            root_path=address.root_path,
            auth=address.admits if address.password is not None else None,
            auth_message="Any user name, and the password of this app.",
            prevent_thread_lock=True,
            quiet=True,
            footer_links=[],
            run_history=False,
            enable_monitoring=False,
            max_file_size=MAX_FILE,
            ssr_mode=False,
            share=False,
            allowed_paths=[],
            app_kwargs={"middleware": [build_guard(app, address)]},
            theme=build_theme(),
            css=read_static("theme.css") + read_page("page.css"),
        )
    except (OSError, OverflowError) as error:  # overflow: a port above 65535
        raise UserError(f"cannot listen on {host}:{port}, it may be in use; choose another port with --port") from error
    app.server.config.http_protocol_class = Impatient  # of every connection from now on
    without_cors(app.app)
    return app


def without_cors(server: Starlette) -> None:
    """Takes Gradio's CORS away: it lets in every page of this machine, and no other page is to read ours."""
    server.user_middleware = [each for each in server.user_middleware if each.cls is not CustomCORSMiddleware]
    server.middleware_stack = server.build_middleware_stack()


def remove_for_good() -> None:
    """Until nothing writes any more: threads of the server may be in the middle of an upload."""
    for _ in range(20):
        shutil.rmtree(temporary_folder().name, ignore_errors=True)
        if not Path(temporary_folder().name).exists():
            return
        time.sleep(0.1)


def launch(readers: Mapping[str, Reader], host: str = "127.0.0.1", port: int = 7860, **options) -> None:
    """Serves the page until Ctrl-C, or until the process is told to end. options: of `Address`."""
    for name in ("SIGTERM", "SIGHUP"):  # by default they end Python without removing the temporary folder
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: sys.exit(0))
    app = start(readers, host, port, **options)
    print(f"Open {app.local_url} in a browser; Ctrl-C stops the app.", flush=True)
    atexit.register(remove_for_good)
    app.block_thread()
