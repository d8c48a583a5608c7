"""The example that a tab opens with: a finished trace of the bundled checkpoint, so nobody waits for the first."""

import json

from multimodal_attn.viewer.sources import static_of


def opening_of(kind: str, checkpoint: str) -> dict:
    """What a payload holds more when the viewer is still empty; nothing for a checkpoint that has no example here."""
    path = static_of(kind) / "opening.json"
    if not path.is_file():
        return {}
    opening = json.loads(path.read_text("utf-8"))
    return opening if opening["trace"]["origin"]["checkpoint"] == checkpoint else {}


def opening_json(media: dict, trace: dict) -> str:
    return json.dumps({"opening": True, "media": media, "trace": trace}, ensure_ascii=False) + "\n"
