"""Beam search as tutorials write it: one picture at a time, lists of tokens, the whole vocabulary at every step."""

import torch
from torch import Tensor

from benchmarks.textbook import TextbookDecoder
from multimodal_attn.search import SearchConfig
from multimodal_attn.tokens import END, PAD, START, UNKNOWN

NEVER = -torch.inf


def search_one(decoder: TextbookDecoder, features: Tensor, config: SearchConfig) -> tuple[list[int], float]:
    """The best sentence of one picture, features (S, D), and its score, by the rules of multimodal_attn.search.

    An end counts when it is among the K best extensions, and the K best others live on; K ended sentences finish it.
    """
    k = config.beam
    memory, state = decoder.start(features, k)
    sentences: list[list[int]] = [[] for _ in range(k)]
    total = torch.full((k, 1), NEVER, dtype=features.dtype)
    total[0] = 0  # all hypotheses start equal, so only the first is extended
    last, done = torch.full((k,), START), []
    for _ in range(config.max_length + 1):
        logp, state = decoder.step(last, memory, state)
        forbid(logp, sentences, config)
        scores, places = (total + logp).flatten().topk(2 * k)
        found = [divmod(place, logp.shape[1]) for place in places.tolist()]  # (parent, token)
        for (parent, token), score in zip(found[:k], scores.tolist()[:k], strict=True):
            if token == END and score > NEVER:
                done.append(([*sentences[parent], END], score))
        if len(done) >= k:
            break
        live = [row for row, (_, token) in enumerate(found) if token != END][:k]
        parents, last = torch.tensor([found[row] for row in live]).unbind(1)
        sentences = [[*sentences[found[row][0]], found[row][1]] for row in live]
        total, state = scores[live].unsqueeze(1), tuple(part[parents] for part in state)
    return max(((ids, score / len(ids) ** config.length_penalty) for ids, score in done[:k]), key=lambda pair: pair[1])


def forbid(logp: Tensor, sentences: list[list[int]], config: SearchConfig) -> None:
    """Writes NEVER into log-probabilities (k, V) where the token may not follow its sentence."""
    n_before, n = len(sentences[0]), config.no_repeat
    logp[:, [PAD, START, UNKNOWN]] = NEVER
    if n_before < config.min_length:
        logp[:, END] = NEVER
    if n_before == config.max_length:
        end = logp[:, END].clone()
        logp[:] = NEVER
        logp[:, END] = end
    for row, ids in enumerate(sentences):
        for start in range(n_before - n + 1 if n else 0):
            if ids[start : start + n - 1] == ids[n_before - n + 1 :]:
                logp[row, ids[start + n - 1]] = NEVER
