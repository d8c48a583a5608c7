"""What the viewer is made of: its own markup, style and scripts, and in them each sense's part.

A sense has its part in the folder `static` beside its other files, all of it optional: `viewer.html`, a figure for the
stage; `viewer.css`; any number of scripts, which are one function body and say `senses.KIND = {...}`, see state.js.
"""

import json
from pathlib import Path

from multimodal_attn import senses

STATIC = Path(__file__).parent / "static"
BEFORE = ("trace.js", "colours.js", "state.js")
ASKING = ("needed.js", "what_if.js", "brush.js")
AFTER = ("draw.js", "health.js", *ASKING, "save.js", "share.js", "walk.js", "viewer.js")


def static_of(kind: str) -> Path:
    """Where a sense has what pages show of it."""
    return Path(senses.__file__).parent / kind / "static"


def read_static(*names: str) -> str:
    return "\n".join((STATIC / name).read_text("utf-8") for name in names)


def read_parts(pattern: str) -> list[str]:
    """What the files of that name hold, of each sense that has some."""
    found = (sorted(static_of(kind).glob(pattern)) for kind in senses.KINDS)
    return ["\n".join(path.read_text("utf-8") for path in paths) for paths in found if paths]


def read_markup() -> str:
    return read_static("viewer.html").replace("{{stages}}", "\n".join(read_parts("viewer.html")))


def read_style() -> str:
    return "\n".join([read_static("viewer.css", "needed.css", "what_if.css"), *read_parts("viewer.css")])


def read_scripts() -> str:
    """The body of the function that brings a viewer to life; it can make pages as `shared_page` does.

    Names of a sense's scripts are its own: each is a function of its own within.
    """
    shared = f"const SHARED = {to_script(read_static('shared.html'))};"
    parts = [f"(() => {{\n{part}\n}})();" for part in read_parts("*.js")]
    return "\n".join([shared, read_static(*BEFORE), *parts, read_static(*AFTER)])


def to_script(value: object) -> str:
    """JSON that may stand in a script of a page: nothing in it ends the script."""
    return json.dumps(value).replace("<", "\\u003c")
