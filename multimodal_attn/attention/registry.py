"""Every mechanism by its name: what there is, what it can be told, and what was meant by a wrong name."""

from collections.abc import Collection
from difflib import get_close_matches
from inspect import getdoc, signature
from typing import Any, NamedTuple

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
    "bilinear": "general",
    "concat": "additive",
    "entmax": "entmax_1.5",
    "entmax15": "entmax_1.5",
    "location_aware": "location",
    "reinforce": "hard",
    "soft": "softmax",
    "straight_through": "gumbel",
}
SIZES = ("query_dim", "memory_dim", "dim", "heads")


class Entry(NamedTuple):
    """One line of the list of mechanisms: options are the names and defaults of what can be set."""

    name: str
    summary: str
    source: str
    options: dict[str, Any]


def describe(registry: dict[str, type]) -> list[Entry]:
    """What SCORES or ALIGNMENTS holds, in its order."""
    return [
        Entry(name, getdoc(kind).split("\n\n")[0].replace("\n", " "), kind.source, options_of(kind))
        for name, kind in registry.items()
    ]


def build(kind: type, sizes: dict[str, int], options: dict[str, Any]) -> Any:
    """A score or an alignment with those of the sizes that it asks for."""
    return kind(**{name: sizes[name] for name in SIZES if name in signature(kind).parameters}, **options)


def find(registry: dict[str, Any], name: Any, stage: str) -> Any:
    """The class that `name` means, by - or _ between words. Raises ConfigError with the nearest name."""
    plain = str(name).lower().replace("-", "_")
    found = registry.get(ALIASES.get(plain, plain))
    if found is None:
        names = [*registry, "none"] if stage == "align" else list(registry)
        raise ConfigError(f"attention: no {stage} is called {name!r}; {nearest(str(name), names)}")
    return found


def nearest(name: str, names: Collection[str]) -> str:
    return f"did you mean {get_close_matches(name, names, 1, 0.0)[0]!r}? All: {', '.join(names)}"


def options_of(kind: type) -> dict[str, Any]:
    """The options of a score or an alignment and their defaults."""
    return {name: option.default for name, option in signature(kind).parameters.items() if name not in SIZES}


def share_options(options: dict[str, Any], own: Collection[str], *kinds: type) -> list[dict[str, Any]]:
    """The options that each kind knows. Raises ConfigError for one that none of them knows."""
    known = [options_of(kind) for kind in kinds]
    names = sorted(set().union(*known))
    if unknown := sorted(set(options) - set(names)):
        raise ConfigError(f"attention: no option {unknown[0]!r} here; {nearest(unknown[0], [*own, *names])}")
    return [{name: options[name] for name in of_kind if name in options} for of_kind in known]
