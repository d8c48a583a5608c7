"""The senses, by their kinds. A new one is a folder beside these, with geometry.py and sense.py, and a line here.

Nothing is imported before it is asked for: a trace needs no network, and a model of pictures no library of sounds.
"""

from dataclasses import asdict, replace
from importlib import import_module
from typing import Any

from multimodal_attn.errors import ConfigError
from multimodal_attn.senses.sense import Geometry, Sense

KINDS = {  # and the task that trains models of each
    "picture": "captioning",
    "sound": "speech",
    "text": "translation",
}
FIRST = "picture"  # the kind of checkpoints that name none, from before there were others


def sense_of(kind: str) -> Sense:
    """Raises ConfigError for a kind that does not exist."""
    if kind not in KINDS:
        raise ConfigError(f"no sense {kind!r}; choose one of {', '.join(KINDS)}")
    return _part(kind, "sense").SENSE


def geometry_from_dict(data: dict) -> Geometry:
    """Inverse of any geometry's `to_dict`. Raises ValueError for a kind that does not exist."""
    kind = data.get("kind")
    if kind not in KINDS:
        raise ValueError(f"no geometry of kind {kind!r}")
    return _part(kind, "geometry").GEOMETRY.from_dict(data)


def build_encoder(config: Any) -> Any:
    """The encoder that `config` describes, with fresh parameters unless it names a file."""
    return sense_of(config.sense).encoder(config)


def encoder_to_dict(config: Any) -> dict[str, Any]:
    """JSON-ready; without the file that the parameters came from, since a checkpoint holds them itself."""
    kept = replace(config, weights=None) if hasattr(config, "weights") else config
    return {"sense": config.sense, **asdict(kept)}


def _part(kind: str, name: str) -> Any:
    return import_module(f"{__name__}.{kind}.{name}")


__all__ = ["FIRST", "KINDS", "Geometry", "Sense", "build_encoder", "encoder_to_dict", "geometry_from_dict", "sense_of"]
