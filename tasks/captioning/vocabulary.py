"""A vocabulary that fits the captions it is made of, and what it does not know of them."""

import logging
from collections import Counter
from collections.abc import Iterable

from pytorch_lightning.utilities import rank_zero_info
from tokenizers import Tokenizer

from multimodal_attn.errors import DataError
from multimodal_attn.tokens import build_word_tokenizer, split_words

LOG = logging.getLogger(__name__)
MIN_COUNTS = ((100_000, 5), (20_000, 3), (5_000, 2), (0, 1))  # from so many words on, a word has to come so often
MUCH = 0.2  # of the words unknown


def fitting_min_count(n_words: int) -> int:
    """How often a word has to be seen to be known: 5 times in Flickr8k's 300,000 words, once in 60 pictures'."""
    return next(times for least, times in MIN_COUNTS if n_words >= least)


def build_vocabulary(texts: Iterable[str], min_count: int | None = None) -> Tokenizer:
    """The words of captions seen at least `min_count` times, or as often as fits their number. What share of them is
    unknown is said. Raises DataError where none is known."""
    texts = list(texts)
    normalizer = build_word_tokenizer(())
    counts = Counter(word for text in texts for word in split_words(normalizer, text))
    n_words = counts.total()
    min_count = fitting_min_count(n_words) if min_count is None else min_count
    kept = {word: n for word, n in counts.items() if n >= min_count}
    if not kept:
        raise DataError(
            f"none of the {len(counts)} words of {len(texts)} training captions is seen {min_count} times, so that "
            "none would be known; set a smaller --data.min_count, or leave it out"
        )
    unknown = 1 - sum(kept.values()) / n_words
    said = f"vocabulary: {len(kept)} of {len(counts)} words, seen {min_count} times or more"
    rank_zero_info(f"{said}; {unknown:.1%} of the training captions' {n_words} words are unknown")
    if unknown > MUCH:
        LOG.warning(
            "%.0f %% of the words are unknown and will never be said; set a smaller --data.min_count", unknown * 100
        )
    return build_word_tokenizer(texts, min_count)
