"""Self-attention inside an encoder, on request: which place of an input looks at which."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch

from multimodal_attn.errors import ConfigError
from multimodal_attn.memory import select_inputs
from multimodal_attn.senses import Geometry
from multimodal_attn.trace import SelfWeights

MOST = 4_000_000  # weights of one input; 8 MB of halves


@dataclass(frozen=True)
class Looks:
    """Which of an encoder's self-attention is wanted, counted from 0; None for all of them, or for as many of the last
    as MOST allows."""

    layer: int | None = None
    head: int | None = None

    @classmethod
    def of(cls, wanted: "bool | int | str | Looks") -> "Looks":
        """True and `all`, a layer 3, or a layer and a head `3.0`. Raises ConfigError for anything else."""
        if isinstance(wanted, Looks):
            return wanted
        if wanted is True or wanted == "all":
            return cls()
        layer, _, head = str(wanted).partition(".")
        if not layer.isdecimal() or not (head or "0").isdecimal():
            raise ConfigError(f"self-attention: {wanted!r} is no layer, such as 3, and no layer and head, such as 3.0")
        return cls(int(layer), int(head) if head else None)

    def choose(self, n_layers: int, n_heads: int, n_places: int) -> list[tuple[int, int]]:
        """(layer, head) of the maps over so many places. Raises ConfigError for what is not there or too large."""
        if not n_layers:
            raise ConfigError("self-attention: the encoder of this model has none")
        known = f"layers 0 to {n_layers - 1} of heads 0 to {n_heads - 1}"
        layers = range(n_layers) if self.layer is None else [self.layer]
        heads = range(n_heads) if self.head is None else [self.head]
        pairs = [pair for pair in product(layers, heads) if pair[0] < n_layers and pair[1] < n_heads]
        if not pairs:
            raise ConfigError(f"self-attention: there are {known}; name one of them, such as 0.0")
        fitting = MOST // max(n_places, 1) ** 2
        if not fitting or self.layer is not None and len(pairs) > fitting:
            of = f"{len(pairs)} maps of {n_places} x {n_places} places"
            raise ConfigError(f"self-attention: {of} are over {MOST:,} numbers; name one head, such as {pairs[0][0]}.0")
        return pairs[-fitting:]


@torch.inference_mode()
def looks_of(encoder: Any, batch: Any, geometries: Sequence[Geometry], wanted: Looks) -> list[SelfWeights]:
    """That of every input of a batch, encoded once more for it, one input at a time, for its weights are many."""
    return [
        _of_one(encoder, select_inputs(batch, torch.tensor([n], device=device_of(encoder))), geometry.n_places, wanted)
        for n, geometry in enumerate(geometries)
    ]


def _of_one(encoder: Any, batch: Any, n_places: int, wanted: Looks) -> SelfWeights:
    pairs = wanted.choose(*encoder.n_looks, n_places)
    maps = []
    for layer, weights in zip(range(pairs[-1][0] + 1), encoder.looks(batch), strict=False):
        heads = [head for of, head in pairs if of == layer]
        maps.append(weights[0, heads, :n_places, :n_places].float().cpu())  # the rest is padding, or silence behind
    return SelfWeights(tuple(pairs), torch.cat(maps).numpy())


def device_of(encoder: Any) -> torch.device:
    return next(encoder.parameters()).device
