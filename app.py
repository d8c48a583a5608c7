"""Opens the app: `python app.py`, then http://127.0.0.1:7860 in a browser."""

import argparse
import ipaddress
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from multimodal_attn.allocator import keep_freed_memory
from multimodal_attn.errors import CheckpointError, UserError
from multimodal_attn.threads import spin_little

CHECKPOINTS = Path(__file__).parent / "checkpoints"
PASSWORD = "MULTIMODAL_ATTN_PASSWORD"


def access(options: argparse.Namespace) -> dict:
    """Who may use the page. Raises UserError when others can reach it and nothing says whether they may."""
    password = read_password(options.password_file)
    is_local = is_loopback(options.host)
    if options.root_path and not re.fullmatch(r"(/[\w.~-]+)+", options.root_path):
        raise UserError(f"--root-path {options.root_path}: not a path as /tools/attn")
    if not is_local and password is None and not options.no_password:
        raise UserError(
            f"--host {options.host} lets other computers in: set {PASSWORD}, or --password-file, or --no-password"
        )
    if not is_local:
        who = "everybody" if password is None or options.no_password else "those with the password"
        print(f"Open to {who} who can reach {options.host} port {options.port}.", file=sys.stderr)
    password = None if options.no_password else password
    return {"allowed": tuple(options.allow_host), "root_path": options.root_path, "password": password}


def is_loopback(host: str) -> bool:
    """Whether only this computer reaches it. A name that merely begins so is anybody's."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_password(file: str | None) -> str | None:
    """Of the file, or of the environment, or None. Raises UserError."""
    try:
        password = Path(file).read_text("utf-8").strip("\r\n") if file else os.environ.get(PASSWORD)
    except (OSError, ValueError) as error:
        raise UserError(f"{file}: cannot read the password; name a text file") from error
    if password == "":
        raise UserError("the password is empty; choose one, or say --no-password")
    return password


def main(arguments: list[str] | None = None) -> int:
    spin_little()
    keep_freed_memory()
    parser = argparse.ArgumentParser(
        description="Caption photographs, transcribe speech, translate, and see where it came from."
    )
    parser.add_argument("--checkpoint", metavar="FOLDER", help="a model for its task instead of the bundled one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this computer only)")
    parser.add_argument("--port", type=int, default=7860, help="default: %(default)s")
    parser.add_argument("--allow-host", metavar="NAME", action="append", default=[], help="a further name to answer to")
    parser.add_argument("--root-path", metavar="PATH", default="", help="where a proxy shows the app, as /tools/attn")
    parser.add_argument("--password-file", metavar="FILE", help=f"else the environment variable {PASSWORD}")
    parser.add_argument("--no-password", action="store_true", help="let everybody in who reaches the address")
    options = parser.parse_args(arguments)

    # after the options, so that --help and mistakes answer at once
    from multimodal_attn.ui.app import launch
    from multimodal_attn.ui.pages import PAGES
    from multimodal_attn.ui.readers import Later

    bundled = {task: page.bundled(CHECKPOINTS) for task, page in PAGES.items()}
    readers = {task: Later(folder) for task, folder in bundled.items() if folder}
    try:
        allowed = access(options)  # before a model is read
        if options.checkpoint:
            from multimodal_attn.predictor import load

            predictor = load(options.checkpoint)
            readers[tab_of(predictor, PAGES)] = predictor
        launch(readers, options.host, options.port, **allowed)
    except UserError as error:
        print(f"app.py: {error}", file=sys.stderr)
        return 2
    return 0


def tab_of(predictor: Any, pages: Mapping[str, Any]) -> str:
    """The task whose tab a model belongs to. Raises CheckpointError where there is none."""
    task = predictor.config["task"]
    if task not in pages or pages[task].kind != predictor.sense:
        raise CheckpointError(f"{predictor.name} is a model for {task!r:.99}; the page shows {' and '.join(pages)}")
    return task


if __name__ == "__main__":
    sys.exit(main())
