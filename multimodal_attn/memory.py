"""Memory: what an encoder hands to every decoder, and how the state of a search is reordered.

Letters used for shapes everywhere: B inputs in the batch, S places in a memory, D memory width, M queries per memory
(captions of one picture in training, hypotheses in a beam), T tokens, Q query width, A attention width, N heads,
V vocabulary.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Memory(NamedTuple):
    """values (B, S, D); mask (B, S), True = real, or None when every place is real."""

    values: Tensor
    mask: Tensor | None = None

    @property
    def n_places(self) -> Tensor:
        """Real places of every input. (B,)"""
        if self.mask is None:
            return torch.full(self.values.shape[:1], self.values.shape[1], device=self.values.device)
        return self.mask.sum(1)

    def clean(self) -> Tensor:
        """values with padding set to zero, so that not even NaN in padding can leak. (B, S, D)"""
        return self.values if self.mask is None else self.values.masked_fill(~self.mask.unsqueeze(-1), 0.0)

    def summary(self) -> Tensor:
        """Mean over the real places; zeros where there are none. (B, D)"""
        if self.mask is None:
            return self.values.mean(1)
        return self.clean().sum(1) / self.mask.sum(1, keepdim=True).clamp_min(1)


def map_state(change: Callable[[Tensor], Tensor], state: Any) -> Any:
    """The same nested tuples with `change` applied to every tensor; None stays None."""
    if state is None:
        return None
    if isinstance(state, torch.Tensor):
        return change(state)
    parts = [map_state(change, part) for part in state]
    return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)


def select_inputs(state: Any, index: Tensor) -> Any:
    """Keep the inputs `index` (b,) of every tensor (B, ...)."""
    return map_state(lambda tensor: tensor.index_select(0, index), state)


def select_queries(state: Any, index: Tensor) -> Any:
    """Reorder the queries of each input: tensors (B, M, ...) by index (B, m)."""
    rows = torch.arange(len(index), device=index.device).unsqueeze(1)
    return map_state(lambda tensor: tensor[rows, index], state)
