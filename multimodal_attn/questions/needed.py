"""What a sentence needed: how far the probability of each of its tokens falls when a part of the input is hidden.

Occlusion (Zeiler and Fergus 2014, section 4.2). The sentence stays; part after part of the input is hidden, and one
teacher-forced pass per batch of them reads what all tokens lose. Attention says where the decoder looked; this says
what it could not have written without.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from multimodal_attn.errors import ConfigError
from multimodal_attn.model import Model
from multimodal_attn.senses import Geometry, sense_of
from multimodal_attn.tokens import START

BATCH = 7  # inputs with something hidden that are encoded at once: the caches of a CPU hold no more


def hide(model: Model, batch: Any, keep: Tensor) -> Any:
    """A batch of one input as often as keep (G, S) has rows, each time without the places where it is False.

    Raises ConfigError for a sense that cannot hide anything.
    """
    sense = sense_of(model.encoder.sense)
    if sense.hide is None:
        raise ConfigError(f"needed: nothing says how a part of a {sense.kind} is hidden; see Sense.hide")
    return sense.hide(batch, keep, model)


def hide_places(model: Model, batch: Any, geometry: Geometry, places: Sequence[int]) -> Any:
    """A batch of one input without some of its places. Raises ConfigError for places that it does not have."""
    if not all(0 <= place < geometry.n_places for place in places):
        raise ConfigError(f"hidden: places lie between 0 and {geometry.n_places - 1}, not {list(places)!r:.99}")
    keep = torch.ones(1, geometry.n_places, dtype=torch.bool)
    keep[0, list(places)] = False
    return hide(model, batch, keep)


@torch.inference_mode()
def read_chances(model: Model, batch: Any, ids: Sequence[int]) -> Tensor:
    """Probability (B, T) of each of a sentence's tokens, given those before it, for every input of a batch."""
    source = model.read(batch).source
    tokens = torch.tensor(ids, dtype=torch.long, device=source.summary.device)
    before = torch.cat([torch.full_like(tokens[:1], START), tokens[:-1]])
    features, _ = model.decoder.unroll(before.expand(len(source.summary), 1, -1), source)
    chances = model.decoder.logits(features).float().softmax(-1).squeeze(1)  # (B, T, V)
    return chances.gather(-1, tokens.expand(len(chances), -1).unsqueeze(-1)).squeeze(-1)


def read_hidden(model: Model, batch: Any, ids: Sequence[int], keep: np.ndarray) -> Iterator[np.ndarray]:
    """The same for one input with something hidden, by rows of keep (G, S): some rows (g, T) at a time, G in all."""
    for some in torch.from_numpy(keep).split(BATCH):
        yield read_chances(model, hide(model, batch, some), ids).cpu().numpy()


def measure_needed(
    model: Model, batch: Any, geometry: Geometry, ids: Sequence[int]
) -> Iterator[tuple[float, np.ndarray]]:
    """(share that is done, falls) while parts of the input, a batch of one, are hidden; the last are whole.

    falls (T, S): how much less probable a token is without the part that a place belongs to; below 0 for more probable,
    and 0 where it is not measured yet.
    """
    parts = np.asarray(geometry.parts)
    falls = np.zeros((len(ids), parts.max(initial=-1) + 1), np.float32)
    if not falls.size:
        yield 1.0, falls[:, parts]
        return
    [whole] = read_chances(model, batch, ids).cpu().numpy()
    done = 0
    for some in read_hidden(model, batch, ids, parts != np.arange(falls.shape[1])[:, None]):
        falls[:, done : done + len(some)] = whole[:, None] - some.T
        done += len(some)
        yield done / falls.shape[1], falls[:, parts]
