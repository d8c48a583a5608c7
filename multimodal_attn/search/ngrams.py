"""Trigrams of words, counted in text: what word comes next, and how often none that is known.

Interpolated Kneser-Ney (Chen and Goodman 1999, section 4.1.6), one discount per order. The share of new words is Good
and Turing's: as many as words of the text that came once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

NEW, BEGIN, CLOSE = 0, 1, 2  # a word that the text lacks; before the first word of a sentence; after the last
N_MARKS = 3


@dataclass(frozen=True)
class NgramSizes:
    """How many different words (marks counted), pairs and triples of them there are."""

    words: int
    pairs: int
    triples: int


class Ngrams(nn.Module):
    """log P(word | two words before), looked up for many at once.

    Pairs and triples are sorted by a key, so that a lookup is a binary search: a pair's is first * W + second, and a
    triple's is (number of its first pair) * W + third.

    single (W,), pair (P,), triple (Q,): log-probabilities. after_single (W,), after_pair (P,): what is added to those
    of the next lower order where the longer one was never seen.
    """

    def __init__(self, sizes: NgramSizes) -> None:
        super().__init__()
        self.sizes = sizes
        for name, n in (("pair", sizes.pairs), ("triple", sizes.triples)):
            self.register_buffer(f"{name}_keys", torch.zeros(n, dtype=torch.long))
            self.register_buffer(name, torch.zeros(n))
        self.register_buffer("single", torch.zeros(sizes.words))
        self.register_buffer("after_single", torch.zeros(sizes.words))
        self.register_buffer("after_pair", torch.zeros(sizes.pairs))

    def forward(self, before: Tensor, last: Tensor, word: Tensor) -> Tensor:
        """log P(word | before, last), three ids of one shape."""
        n_words = self.sizes.words
        context, known = find(self.pair_keys, before * n_words + last)
        triple, seen_triple = find(self.triple_keys, context * n_words + word)
        pair, seen_pair = find(self.pair_keys, last * n_words + word)
        shorter = torch.where(seen_pair, self.pair[pair], self.after_single[last] + self.single[word])
        backed_off = shorter + self.after_pair[context] * known
        return torch.where(known & seen_triple, self.triple[triple], backed_off)


def find(keys: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Where the wanted ones are among sorted keys (n,), any place if they are not, and whether they are."""
    place = torch.searchsorted(keys, wanted).clamp_max(len(keys) - 1)
    return place, keys[place] == wanted


def count_ngrams(sentences: Iterable[Sequence[int]], n_words: int) -> Ngrams:
    """Estimate from sentences of word ids, from N_MARKS on."""
    text = np.concatenate([np.array([NEW, BEGIN, *sentence, CLOSE]) for sentence in sentences])
    first, second, third = text[:-2], text[1:-1], text[2:]
    inside = third >= CLOSE  # neither a beginning nor what stands before it
    triple_words, counts = np.unique(np.stack([first, second, third], 1)[inside], axis=0, return_counts=True)
    pair_words, n_before = np.unique(triple_words[:, 1:], axis=0, return_counts=True)
    # nothing stands before a beginning, so what follows one counts as often as it is there
    begun = triple_words[:, 1] == BEGIN
    n_before[pair_words[:, 0] == BEGIN] = counts[begun]
    n_contexts = np.bincount(pair_words[:, 1], minlength=n_words)

    real = np.bincount(text[text >= N_MARKS], minlength=n_words)
    share_new = max(1, (real == 1).sum()) / max(1, real.sum())
    single = (1 - share_new) * n_contexts / n_contexts.sum()
    single[NEW] = share_new
    pair, after_single = _interpolate(n_before, pair_words[:, 0], n_words, single[pair_words[:, 1]])

    pair_keys = pair_words[:, 0] * n_words + pair_words[:, 1]
    kept = ~begun  # a triple from a beginning says no more than its pair
    triple_words, counts = triple_words[kept], counts[kept]
    contexts = np.searchsorted(pair_keys, triple_words[:, 0] * n_words + triple_words[:, 1])
    lower = pair[np.searchsorted(pair_keys, triple_words[:, 1] * n_words + triple_words[:, 2])]
    triple, after_pair = _interpolate(counts, contexts, len(pair_keys), lower)

    ngrams = Ngrams(NgramSizes(n_words, len(pair), len(triple)))
    ngrams.load_state_dict(
        {
            "single": _log(single),
            "after_single": _log(after_single),
            "pair_keys": torch.from_numpy(pair_keys),
            "pair": _log(pair),
            "after_pair": _log(after_pair),
            "triple_keys": torch.from_numpy(contexts * n_words + triple_words[:, 2]),
            "triple": _log(triple),
        }
    )
    return ngrams


def _interpolate(counts: Any, contexts: Any, n_contexts: int, lower: Any) -> tuple[Any, Any]:
    """Discounted shares of counts (n,) within their contexts (n,), and what the discount leaves to the lower order:
    probabilities (n,) and leftovers (n_contexts,), 1 where a context was never seen."""
    once, twice = (counts == 1).sum(), (counts == 2).sum()
    discount = once / max(1, once + 2 * twice)
    total = np.bincount(contexts, counts, n_contexts)
    left = np.where(total > 0, discount * np.bincount(contexts, minlength=n_contexts) / np.maximum(total, 1), 1.0)
    return np.maximum(counts - discount, 0) / total[contexts] + left[contexts] * lower, left


def _log(p: Any) -> Tensor:
    return torch.from_numpy(np.log(np.maximum(p, 1e-12))).float()
