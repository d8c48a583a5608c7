"""One attention core for pictures and speech, and a window into where it looks."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["AttentionTrace", "Predictor", "load"]

_HOMES = {"AttentionTrace": "trace", "Predictor": "predictor", "load": "predictor"}


def __getattr__(name: str) -> Any:
    """Import on first use, so that `multimodal_attn.attention` alone stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
