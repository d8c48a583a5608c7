"""Configs from JSON that anybody may have written: each field of its type and in its range, or a line that names it."""

from dataclasses import MISSING, fields
from math import isfinite
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from multimodal_attn.errors import ConfigError

Config = TypeVar("Config")

# by a field's name: what is larger is no model that anybody trained, and would ask for time or memory without end
LIMITS: dict[str, tuple[float, float]] = {
    "dim": (1, 8192),
    "heads": (1, 1024),
    "layers": (1, 64),
    "self_attention": (0, 64),
    "kernel": (1, 1023),
    "channels": (1, 4096),
    "pyramid": (0, 8),
    "size": (1, 1024),
    "trainable_from": (0, 1000),
    "bands": (1, 512),
    "dropout": (0, 1),
    "beam": (1, 1000),
    "max_length": (1, 10_000),
    "min_length": (0, 10_000),
    "no_repeat": (0, 10_000),
    "length_penalty": (-100, 100),
    "silence": (0, 1),
    "speeds": (0.5, 2),
    "looks": (-1, 1),
    **dict.fromkeys(("pairs", "triples", "nodes", "edges"), (1, 2**31 - 1)),
}
MAY_BE_EMPTY = ("maps", "prefix")
WHOLE, REAL, OPTION = (0, 2**31 - 1), (-1e6, 1e6), (-1024, 1024)  # of other fields, and whole numbers of a mechanism
MAX_ITEMS, MAX_LETTERS = 16, 100
TYPES = {bool: "true or false", int: "a whole number", float: "a number", str: "a short text", NoneType: "null"}


def config_from_json(kind: type[Config], data: Any, path: str) -> Config:
    """The dataclass `kind`. Raises ConfigError that begins with the path of what is wrong, such as `encoder.dim`."""
    known, hints = fields(kind), get_type_hints(kind)
    data = json_object(data, path)
    if unknown := sorted(set(data) - set(hints)):
        raise ConfigError(f"{path} knows no {shown(unknown[0])}; update multimodal-attn")
    if missing := [own.name for own in known if own.default is own.default_factory is MISSING and own.name not in data]:
        raise ConfigError(f"{path}.{missing[0]} is missing")
    return kind(**{name: checked(hints[name], value, f"{path}.{name}") for name, value in data.items()})


def json_object(data: Any, path: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ConfigError(f"{path} must be an object, not {shown(data)}")
    return data


def checked(kind: Any, value: Any, path: str) -> Any:
    """The value as the annotation `kind` has it: a number, text, true or false, one of several, a tuple of numbers, or
    a mechanism's options."""
    form, parts = get_origin(kind), get_args(kind)
    if NoneType in parts:
        return None if value is None else checked(next(part for part in parts if part is not NoneType), value, path)
    if form is Literal:
        return _choice(parts, value, path)
    if form is tuple:
        return tuple(checked(parts[0], each, path) for each in _items(value, path))
    if form is dict:
        return {name: _option(each, f"{path}.{name}") for name, each in json_object(value, path).items()}
    return _scalar(kind, value, path)


def shown(value: Any) -> str:
    """A value as a message shows it: on one line, and short."""
    text = repr(value) if not isinstance(value, list | dict) else f"a {'list' if isinstance(value, list) else 'object'}"
    return text if len(text) <= MAX_LETTERS else f"{text[:MAX_LETTERS]}..."


def _scalar(kind: type, value: Any, path: str) -> Any:
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise ConfigError(f"{path} must be {TYPES[kind]}, not {shown(value)}")
    if kind is str and len(value) > MAX_LETTERS:
        raise ConfigError(f"{path} must be a short text, not {shown(value)}")
    if kind in (int, float):
        least, most = LIMITS.get(path.rpartition(".")[2], WHOLE if kind is int else REAL)
        _in_range(value, least, most, path)
    return float(value) if kind is float else value


def _in_range(value: float, least: float, most: float, path: str) -> None:
    if not (least <= value <= most and (type(value) is int or isfinite(value))):
        raise ConfigError(f"{path} must lie between {least:,} and {most:,}, not {shown(value)}")


def _choice(parts: tuple, value: Any, path: str) -> Any:
    if not any(type(value) is type(part) and value == part for part in parts):
        raise ConfigError(f"{path} must be one of {', '.join(map(str, parts))}, not {shown(value)}")
    return value


def _items(value: Any, path: str) -> list:
    least = 0 if path.rpartition(".")[2] in MAY_BE_EMPTY else 1
    if not isinstance(value, list | tuple) or not least <= len(value) <= MAX_ITEMS:
        raise ConfigError(f"{path} must be a list of {least} to {MAX_ITEMS} items, not {shown(value)}")
    return list(value)


def _option(value: Any, path: str) -> Any:
    """Of a mechanism, which knows its own types; here only that it is simple and not beyond all measure."""
    if type(value) not in TYPES:
        raise ConfigError(f"{path[:MAX_LETTERS]!r} must be a number, a short text, true, false or null")
    if type(value) is int:
        _in_range(value, *LIMITS.get(path.rpartition(".")[2], OPTION), path)
    return value if value is None else _scalar(type(value), value, path)
