"""One page that shows a trace and needs no server: the viewer's own sources around one payload."""

import base64
import html
import mimetypes
import re
from importlib import import_module
from typing import Any

from multimodal_attn.errors import ConfigError
from multimodal_attn.senses import sense_of
from multimodal_attn.trace import AttentionTrace
from multimodal_attn.viewer.payloads import new_id
from multimodal_attn.viewer.sources import read_markup, read_scripts, read_static, read_style, to_script


def inline(content: bytes, name: str) -> dict:
    """What names a file in a payload, where the file itself is to be in it."""
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return {"url": f"data:{kind};base64,{base64.b64encode(content).decode()}"}


def inline_media(kind: str, item: Any) -> dict:
    """Media of a payload with all files in it. item: of the sense of that kind.

    Raises ConfigError for a sense that the viewer has no part for.
    """
    module, _, name = sense_of(kind).media.rpartition(".")
    if not module:
        raise ConfigError(f"the viewer shows no {kind} yet; draw figures of it instead")
    return getattr(import_module(module), name)(item, inline)


def shared_page(media: dict, trace: AttentionTrace) -> str:
    """HTML. media: of a payload, with its file `inline`."""
    parts = {
        "kind": media["kind"],
        "title": html.escape(trace.text or media["name"]),
        "style": f"{read_static('theme.css')}\n#viewer {{ {read_style()} }}",
        "viewer": read_markup(),
        "payload": to_script({"id": new_id(), "media": media, "trace": trace.to_dict()}),
        "script": read_scripts(),
    }
    return re.sub(r"{{(\w+)}}", lambda found: parts[found[1]], read_static("shared.html"))
