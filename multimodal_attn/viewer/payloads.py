"""What the viewer is given: payloads, in JSON, of a trace and of the input that it is of, its media.

{id, kind} with nothing to show yet; {id, media} waits for its sentence; {id, media, trace}, or {id, media, file} where
the trace is in a file; `problem` is a line to show above. Each payload has an id of its own.
"""

import json
import secrets
from collections.abc import Callable

from multimodal_attn.trace import AttentionTrace

Save = Callable[[bytes, str], dict]  # from the content and name of a file to what names it in a payload: {url, ...}
MAX_INLINE = 1_000_000  # bytes of a trace within its payload; a longer one is a file that the page fetches


def new_id() -> str:
    return secrets.token_hex(8)


def queued(n_before: int) -> dict:
    """Payload of one who waits until `n_before` others have been answered; what is shown stays."""
    return {"id": new_id(), "before": n_before}


def waiting(media: dict) -> dict:
    """Payload of an input whose sentence is still to come."""
    return {"id": new_id(), "media": media}


def complete(media: dict, trace: AttentionTrace, save: Save) -> dict:
    """Payload of an input and its trace in the schema of docs/trace-format.md, as a file when it is large."""
    n_weights = trace.weights.size + sum(each.weights.size for each in trace.self_attention)
    if 8 / 3 * n_weights <= MAX_INLINE:  # two bytes a weight, and base64
        return {"id": new_id(), "media": media, "trace": trace.to_dict()}
    return {"id": new_id(), "media": media, "file": save(json.dumps(trace.to_dict()).encode(), "trace.json")}


def problem(line: str) -> dict:
    """Payload of a line to show above the last complete one, which stays."""
    return {"id": new_id(), "problem": line}
