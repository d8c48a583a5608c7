"""The page and its server: an input goes in, the viewer shows the sentence and where it came from."""

import atexit
import html
import json
import logging
import secrets
import shutil
import signal
import socket
import sys
import time
from collections.abc import Mapping
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
from multimodal_attn.ui.events import ASKED, EXAMPLE, FILE, SWITCH, WRITTEN, Inputs
from multimodal_attn.ui.guard import Guard
from multimodal_attn.ui.limits import MAX_FILE, room
from multimodal_attn.ui.line import Line
from multimodal_attn.ui.origin import Names
from multimodal_attn.ui.page import Page
from multimodal_attn.ui.pages import EXAMPLES, PAGES, folders, known_files
from multimodal_attn.ui.readers import Later, Reader, attends
from multimodal_attn.ui.tab import EVENTS, build_tab
from multimodal_attn.viewer.sources import read_parts, read_static

STATIC = Path(__file__).parent / "static"
TITLE = "Where the model looks and listens"
ABOUT = "A sentence for a photograph, a recording or a text, and for each word the place it came from."
HEAD = f"<h1>{TITLE}</h1><p>{ABOUT}</p>"
OPENING = {**EVENTS, "concurrency_id": "opening", "concurrency_limit": 1}
MAX_EVENTS = 100  # under way; the line is full long before

SOON = "() => new Promise((done) => setTimeout(done, 1500))"  # the page itself comes first


def read_page(name: str) -> str:
    return (STATIC / name).read_text("utf-8")


def read_style() -> str:
    """Of the page, its senses' parts with it; not of the viewer."""
    return "\n".join([read_static("theme.css"), read_page("page.css"), *read_parts("page.css")])


def build_app(readers: Mapping[str, Reader]) -> gr.Blocks:
    """The page, not yet served. readers: by task, as "captioning" and "speech"; a tab without one says so."""
    gr.set_static_paths(EXAMPLES)  # served from where they are, without a copy
    line = Line()  # one for all tabs: the models share the processor
    with gr.Blocks(title=TITLE, delete_cache=(600, 3600), analytics_enabled=False, fill_width=True) as app:
        gr.HTML(HEAD, elem_id="head", apply_default_css=False)
        with gr.Tabs(elem_id="senses"):
            for n, (task, page) in enumerate(PAGES.items()):
                # a tab that is left keeps what it shows
                with gr.Tab(page.tab, id=page.kind, render_children=True) as tab:
                    reader = readers.get(task)
                    if reader is None:
                        gr.HTML(html.escape(missing(page)), elem_classes="missing")
                        continue
                    inside = build_tab(page, reader, line)
                if isinstance(reader, Later):
                    shown = tab.select if n else app.load
                    shown(lambda later=reader: open_quietly(later), None, inside, js=SOON, **OPENING)
        app.load(None, js=read_script(), api_visibility="private")
    return app


def missing(page: Page) -> str:
    """What a tab says that has no model."""
    folders = [f": the folder checkpoints/{name} is missing" for name in page.checkpoints]
    return f"There is no model for this yet{''.join(folders[:1])}. Train one, or name one with --checkpoint."


def read_script() -> str:
    """What page.js is told: the senses in the order of their tabs, and which files each takes."""
    tabs = [{"kind": page.kind, "accepts": page.accepts, "wanted": page.wanted} for page in PAGES.values()]
    return f"() => ({read_page('page.js')})({json.dumps(tabs)})"


def open_quietly(later: Later) -> dict:
    """Opens a checkpoint while the person still looks around, and shows the switch of its self-attention if it has any;
    a mistake is told when it is used."""
    try:
        return gr.update(visible=attends(later.open()))
    except UserError as error:
        logging.warning("%s", error)
        return gr.skip()


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


BROUGHT = {gr.Dataset: EXAMPLE, gr.Textbox: WRITTEN, gr.Checkbox: SWITCH}


def inputs_of(app: gr.Blocks) -> Inputs:
    """What each event of the page brings."""
    return {
        index: [BROUGHT.get(type(each), FILE) for each in event.inputs]
        + [ASKED for _, name in event.targets if name == "ask"]
        for index, event in app.fns.items()
    }


def build_guard(app: gr.Blocks, address: Address) -> Middleware:
    aliases = Aliases(folders())
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
            css=read_style(),
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
