"""Local attention: only the places around one position are looked at, and the position is given or predicted.

Positions count the real places from 0, so padding moves nothing. The places of a picture are taken in reading order.
"""

import torch
from torch import Tensor, nn

from multimodal_attn.attention.alignments import Aligned, Alignment, for_all_steps, positive
from multimodal_attn.attention.masking import masked_softmax, widen
from multimodal_attn.attention.scores import State
from multimodal_attn.layers.linear import Linear


class LocalMonotonic(Alignment):
    """local-m: a softmax over the places at most `window` from position `rate` * step, which stops at the last place.

    rate: places a step, 1 in the paper, which translates word by word.
    """

    source = "Luong, Pham, Manning 2015, section 3.2, local-m"

    def __init__(self, window: int = 10, rate: float = 1.0) -> None:
        super().__init__()
        self.window, self.rate = positive(window, "window"), positive(rate, "rate")

    def forward(self, energies: Tensor, mask: Tensor | None, state: State, query: Tensor) -> Aligned:
        step = state[0] if state else torch.zeros(len(query), query.shape[1], 1, device=query.device)
        return Aligned(self._look(energies, mask, step.unsqueeze(1)), (step + 1,))

    def unroll(self, energies: Tensor, mask: Tensor | None, queries: Tensor) -> Aligned:
        steps = torch.arange(energies.shape[3], device=energies.device)  # (T,)
        return Aligned(self._look(energies, for_all_steps(mask), steps.unsqueeze(1)))

    def _look(self, energies: Tensor, mask: Tensor | None, step: Tensor) -> Tensor:
        places, n_places = _count(energies, mask)
        centre = (self.rate * step).minimum(n_places - 1)
        near = (places - centre).abs() <= self.window
        return masked_softmax(energies, near if mask is None else near & mask)


class LocalPredictive(Alignment):
    """local-p: the query predicts a position p = S sigmoid(v . tanh(W q)), S the number of places; the softmax over the
    places at most `window` from it is multiplied by a Gaussian around p with half that width, so weights sum to less
    than 1.
    """

    source = "Luong, Pham, Manning 2015, eq. 9 and 10"

    def __init__(self, query_dim: int, dim: int, heads: int, window: int = 10) -> None:
        super().__init__()
        self.window = positive(window, "window")
        self.position = nn.Sequential(Linear(query_dim, dim, bias=False), nn.Tanh(), Linear(dim, heads, bias=False))

    def forward(self, energies: Tensor, mask: Tensor | None, state: State, query: Tensor) -> Aligned:
        return Aligned(self._look(energies, mask, self.position(query).transpose(1, 2)))

    def unroll(self, energies: Tensor, mask: Tensor | None, queries: Tensor) -> Aligned:
        return Aligned(self._look(energies, for_all_steps(mask), self.position(queries).permute(0, 3, 1, 2)))

    def _look(self, energies: Tensor, mask: Tensor | None, predicted: Tensor) -> Tensor:
        """predicted is without the last axis of energies (B, N, M, [T,] S)."""
        places, n_places = _count(energies, mask)
        offset = places - n_places * widen(predicted).sigmoid().unsqueeze(-1)
        near = offset.abs() <= self.window
        weights = masked_softmax(energies, near if mask is None else near & mask)
        return weights * (-2 * (offset / self.window).square()).exp()  # standard deviation window / 2


def _count(energies: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """The position of every place among the real ones (..., S), and how many these are (..., 1)."""
    if mask is None:
        places = torch.arange(energies.shape[-1], device=energies.device)
        return places, torch.full_like(places[:1], len(places))
    return mask.cumsum(-1) - 1, mask.sum(-1, keepdim=True)
