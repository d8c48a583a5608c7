"""What if: the sentence of one input written again, from another beginning, or without a part of what it is of.

    begin     ids of the tokens that the sentence starts with; the model goes on from there
    hidden    places of the input that the model does not get

A trace that came so says both in the options of its origin.
"""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch

from multimodal_attn.memory import select_queries
from multimodal_attn.model import Model, decode, search, trace_sentences
from multimodal_attn.questions.needed import hide_places
from multimodal_attn.search import NEVER, Hypotheses, SearchConfig
from multimodal_attn.search.scorers import DecoderScorer, score_sentences
from multimodal_attn.senses import Geometry, sense_of
from multimodal_attn.tokens import PAD
from multimodal_attn.trace import AttentionTrace, Origin


@dataclass(frozen=True)
class Case:
    """One input of a model: what the encoder takes, a batch of one, where its places lie, and what is asked of it."""

    model: Model
    batch: Any
    geometry: Geometry
    config: SearchConfig
    origin: Origin
    begin: tuple[int, ...] = ()
    hidden: tuple[int, ...] = ()

    def seen(self) -> Any:
        """What the encoder takes of what is not hidden."""
        return hide_places(self.model, self.batch, self.geometry, self.hidden) if self.hidden else self.batch

    def told(self) -> Origin:
        asked = {"begin": list(self.begin), "hidden": list(self.hidden)}
        return replace(self.origin, options=self.origin.options | {name: each for name, each in asked.items() if each})

    def back(self, trace: AttentionTrace) -> AttentionTrace:
        """The weights at the places of the whole input, where what is hidden let the others move together."""
        if not (self.hidden and sense_of(self.geometry.kind).closes_up):
            return trace
        kept = np.setdiff1d(np.arange(self.geometry.n_places), self.hidden)
        weights = np.zeros_like(trace.weights)
        weights[..., kept] = trace.weights[..., : len(kept)]
        return replace(trace, weights=weights)


class Sentence(NamedTuple):
    """A sentence that a search found, and what each part of the model gave it: unweighted log-probabilities."""

    trace: AttentionTrace
    parts: dict[str, float]


def write(case: Case) -> AttentionTrace:
    """The best sentence of a case."""
    [trace] = decode(case.model, case.seen(), [case.geometry], case.config, case.told(), begin=case.begin)
    return case.back(trace)


@torch.inference_mode()
def write_best(case: Case, n: int) -> list[Sentence]:
    """The n best sentences of one search, best first; fewer where the search keeps fewer."""
    reading = case.model.read(case.seen())
    found = search(case.model, reading, case.config, case.begin)
    n = min(n, int((found.scores[0] > NEVER).sum()))
    scorers = [DecoderScorer(case.model.decoder, reading.source, 0.0), *case.model.scorers(reading.memory, case.config)]
    parts = {scorer.option: score_sentences(scorer, found.tokens)[0].tolist() for scorer in scorers}
    sentences = []
    for k in range(n):
        at = torch.tensor([[k]], device=found.tokens.device)
        one = select_queries(Hypotheses(*found), at)
        one = one._replace(tokens=one.tokens[..., : int((one.tokens != PAD).sum())])
        [trace] = trace_sentences(case.model, reading, one, [case.geometry], case.told())
        sentences.append(Sentence(case.back(trace), {name: values[k] for name, values in parts.items()}))
    return sentences
