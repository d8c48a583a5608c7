"""Encoders: media in, Memory out. One interface for all senses.

Each is imported when it is first named, since a model of pictures needs no library of sounds.
"""

from importlib import import_module
from typing import Any

HOMES = {
    "AudioEncoder": "audio",
    "AudioEncoderConfig": "audio",
    "Framing": "framing",
    "ImageEncoder": "image",
    "ImageEncoderConfig": "image",
    "SoundBatch": "logmel",
    "WhisperEncoder": "whisper",
    "WhisperEncoderConfig": "whisper",
    "at_speed": "logmel",
}


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
