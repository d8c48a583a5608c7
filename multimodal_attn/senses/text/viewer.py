"""What the viewer is given of a text."""

from multimodal_attn.senses.text.media import Text
from multimodal_attn.viewer.payloads import Save


def text_media(text: Text, save: Save) -> dict:
    """Media of a payload: {kind, name, text}."""
    return {"kind": "text", "name": text.name, "text": text.text}
