"""From memories to sentences: beam search, and what else may have a say in it."""

from multimodal_attn.search.beam import (
    NEVER,
    Hypotheses,
    SearchConfig,
    beam_search,
    sample,
    without_specials,
)

__all__ = [
    "Hypotheses",
    "NEVER",
    "SearchConfig",
    "beam_search",
    "sample",
    "without_specials",
]
