"""From the hypotheses of one or more searches to one sentence for each input.

The most probable sentence is not the one with the fewest wrong words to be expected. That one is nearest to all others,
each counted by its probability: minimum Bayes risk over lists of hypotheses (Stolcke, Koenig, Weintraub 1997).
"""

from collections.abc import Sequence

import numpy as np
import torch
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist
from tokenizers import Tokenizer
from torch.nn.functional import pad

from multimodal_attn.search import Hypotheses
from multimodal_attn.tokens import PAD, ids_to_text


def agree(found: Sequence[Hypotheses], tokenizer: Tokenizer, sharpness: float) -> Hypotheses:
    """One sentence (B, 1, T) for every input, from the hypotheses (B, K, T) of several searches over the same inputs.

    Every search has the same say. A hypothesis' share in it is softmax(sharpness * score); at sharpness 0 the best
    score of all wins.
    """
    tokens, scores = join(found)
    if sharpness:
        shares = torch.cat([(each.scores.float() * sharpness).softmax(1) for each in found], 1)
        rows = zip(tokens.tolist(), scores.tolist(), shares.tolist(), strict=True)
        chosen = torch.tensor([_nearest(*row, tokenizer) for row in rows], device=scores.device)
    else:
        chosen = scores.sort(dim=1, descending=True, stable=True).indices[:, 0]
    inputs = torch.arange(len(chosen), device=scores.device)
    return Hypotheses(tokens[inputs, chosen].unsqueeze(1), scores[inputs, chosen].unsqueeze(1))


def join(found: Sequence[Hypotheses]) -> Hypotheses:
    """The lists of all searches one behind the other, sentences padded to the longest."""
    longest = max(each.tokens.shape[2] for each in found)
    tokens = [pad(each.tokens, (0, longest - each.tokens.shape[2]), value=PAD) for each in found]
    return Hypotheses(torch.cat(tokens, 1), torch.cat([each.scores for each in found], 1))


def _nearest(tokens: list[list[int]], scores: list[float], shares: list[float], tokenizer: Tokenizer) -> int:
    """Which of an input's sentences has the least risk; of several spellings of the same words, the best."""
    sentences: dict[tuple[str, ...], list[int]] = {}
    for n, (row, share) in enumerate(zip(tokens, shares, strict=True)):
        if share:
            sentences.setdefault(tuple(ids_to_text(tokenizer, row).split()), []).append(n)
    chances = np.array([sum(shares[n] for n in places) for places in sentences.values()])
    risks = word_errors(list(sentences)) @ chances
    return max(list(sentences.values())[int(risks.argmin())], key=lambda n: scores[n])


def word_errors(sentences: Sequence[tuple[str, ...]]) -> np.ndarray:
    """(N, N) insertions, deletions and substitutions from each sentence to each other."""
    return cdist(sentences, sentences, scorer=Levenshtein.distance)
