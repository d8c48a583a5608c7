"""Every mechanism by its name: what there is, what it can be told, and what was meant by a wrong name."""

from collections.abc import Collection
from difflib import get_close_matches
from inspect import Parameter, getdoc, signature
from math import isfinite
from types import NoneType
from typing import Any, NamedTuple, get_args

from multimodal_attn.attention.alignments import Alignment, Softmax, Static, Uniform
from multimodal_attn.attention.forward import Forward, ForwardAgent
from multimodal_attn.attention.hard import Gumbel, Hard
from multimodal_attn.attention.history import Coverage, LocationAware
from multimodal_attn.attention.kernels import Cosine, Gaussian
from multimodal_attn.attention.monotonic import MoChA, Monotonic
from multimodal_attn.attention.scores import MLP, Additive, Constant, Dot, General, ScaledDot, Score
from multimodal_attn.attention.sparse import Entmax15, Sparsemax
from multimodal_attn.attention.windows import LocalMonotonic, LocalPredictive
from multimodal_attn.errors import ConfigError

SCORES: dict[str, type[Score]] = {
    "dot": Dot,
    "scaled_dot": ScaledDot,
    "general": General,
    "additive": Additive,
    "mlp": MLP,
    "cosine": Cosine,
    "gaussian": Gaussian,
    "location": LocationAware,
    "coverage": Coverage,
    "constant": Constant,
}
ALIGNMENTS: dict[str, type[Alignment]] = {
    "softmax": Softmax,
    "uniform": Uniform,
    "static": Static,
    "hard": Hard,
    "gumbel": Gumbel,
    "local_m": LocalMonotonic,
    "local_p": LocalPredictive,
    "monotonic": Monotonic,
    "mocha": MoChA,
    "forward": Forward,
    "forward_agent": ForwardAgent,
    "sparsemax": Sparsemax,
    "entmax_1.5": Entmax15,
}
# what else the literature calls them
ALIASES = {
    "average": "uniform",
    "bahdanau": "additive",
    "bilinear": "general",
    "concat": "additive",
    "entmax": "entmax_1.5",
    "entmax15": "entmax_1.5",
    "location_aware": "location",
    "luong": "general",
    "reinforce": "hard",
    "soft": "softmax",
    "straight_through": "gumbel",
}
SIZES = ("query_dim", "memory_dim", "dim", "heads")
# what the value of an option can be, in words
PLAIN = {bool: "true or false", int: "a whole number", float: "a number", NoneType: "null"}


class Entry(NamedTuple):
    """One line of the list of mechanisms: options are the names and defaults of what can be set."""

    name: str
    summary: str
    source: str
    options: dict[str, Any]
    aliases: list[str]


def describe(registry: dict[str, type]) -> list[Entry]:
    """What SCORES or ALIGNMENTS holds, in its order."""
    return [
        Entry(name, getdoc(kind).split("\n\n")[0].replace("\n", " "), kind.source, options_of(kind), aliases_of(name))
        for name, kind in registry.items()
    ]


def aliases_of(name: str) -> list[str]:
    return [alias for alias, known in ALIASES.items() if known == name]


def build(kind: type, sizes: dict[str, int], options: dict[str, Any]) -> Any:
    """A score or an alignment with those of the sizes that it asks for. Raises ConfigError for a value of another type
    than its option is annotated with."""
    known = signature(kind).parameters
    options = {name: typed(name, value, known[name].annotation) for name, value in options.items()}
    return kind(**{name: sizes[name] for name in SIZES if name in known}, **options)


def typed(name: str, value: Any, kind: Any) -> Any:
    """The value, if the annotation `kind` allows it: bool, int, float, or one of them and None.

    A whole number is made a float where only that is allowed. Any other annotation allows everything.
    Raises ConfigError for what is not allowed, and for numbers that are not finite.
    """
    allowed = get_args(kind) or (kind,)
    if not set(allowed) <= set(PLAIN):
        return value
    if type(value) is int and int not in allowed and float in allowed:
        value = float(value)
    if type(value) not in allowed or (type(value) is float and not isfinite(value)):
        raise ConfigError(f"attention: {name} must be {' or '.join(map(PLAIN.get, allowed))}, not {value!r}")
    return value


def find(registry: dict[str, Any], name: Any, stage: str) -> Any:
    """The class that `name` means. Raises ConfigError with the nearest name."""
    known = canonical(name)
    if known not in registry:
        names = [*registry, "none"] if stage == "align" else list(registry)
        others = [alias for kind in registry for alias in aliases_of(kind)]
        raise ConfigError(f"attention: no {stage} is called {name!r}; {nearest(known, names, others)}")
    return registry[known]


def canonical(name: Any) -> str:
    """The one name for all by which a mechanism goes: aliases, capitals, and -, _ or a space between words."""
    plain = "_".join(str(name).lower().replace("-", " ").split())
    return ALIASES.get(plain, plain)


def nearest(name: str, names: Collection[str], others: Collection[str] = ()) -> str:
    """What may have been meant, one of `names` or of `others`, which are not listed."""
    return f"did you mean {get_close_matches(name, [*names, *others], 1, 0.0)[0]!r}? All: {', '.join(names)}"


def options_of(kind: type) -> dict[str, Any]:
    """The options of a score or an alignment and their defaults."""
    known = {name: option.default for name, option in signature(kind).parameters.items() if name not in SIZES}
    return {name: default for name, default in known.items() if default is not Parameter.empty}


def share_options(options: dict[str, Any], own: Collection[str], *kinds: type) -> list[dict[str, Any]]:
    """The options that each kind knows. Raises ConfigError for one that none of them knows."""
    known = [options_of(kind) for kind in kinds]
    names = sorted(set().union(*known))
    if unknown := sorted(map(str, set(options) - set(names))):
        raise ConfigError(f"attention: no option {unknown[0]!r} here; {nearest(unknown[0], [*own, *names])}")
    return [{name: options[name] for name in of_kind if name in options} for of_kind in known]
