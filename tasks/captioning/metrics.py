"""Caption scores as coco-caption defines them, without Java: BLEU-1..4, ROUGE-L and CIDEr (that is, CIDEr-D).

A caption is a list of tokens; a token is anything hashable, so that training can score ids without making text of
them. `hypotheses[i]` is judged by the captions `references[i]`, of which there is at least one.
"""

import math
import re
import shutil
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from multimodal_attn.errors import UserError

N_ORDERS = 4  # n-grams of 1 to 4 tokens
ROUGE_BETA = 1.2  # recall counts 1.44 times as much as precision
CIDER_SIGMA = 6.0  # tokens; how much a difference in length is forgiven

Caption = Sequence[Hashable]
NGram = tuple[Hashable, ...]

_TOKEN = re.compile(r"[a-z0-9']+(?:-[a-z0-9']+)*|[^\sa-z0-9]")
# coco-caption's list, and the double quote that its tokeniser turns into `` and '' first
_PUNCTUATION = frozenset(["''", "'", "``", "`", '"', ".", "?", "!", ",", ":", "-", "--", "...", ";"])


def tokenize(caption: str) -> list[str]:
    """Lower-case words without punctuation.

    The tokens of coco-caption's own Penn Treebank tokeniser, but for one Flickr8k caption in 1,500.

    >>> tokenize("A black-and-white dog's ball .")
    ['a', 'black-and-white', "dog's", 'ball']
    """
    return [token for token in _TOKEN.findall(caption.lower()) if token not in _PUNCTUATION]


def ngrams_of(caption: Caption) -> tuple[Counter[NGram], ...]:
    """How often each n-gram occurs: one counter for each n from 1 to 4."""
    return tuple(Counter(zip(*(caption[i:] for i in range(n)), strict=False)) for n in range(1, N_ORDERS + 1))


@dataclass(frozen=True)
class BLEU:
    """BLEU-1..4 (column n - 1 is BLEU-n): of the whole corpus (4,), and of each caption by itself (n_captions, 4)."""

    corpus: np.ndarray
    captions: np.ndarray


def bleu(hypotheses: Sequence[Caption], references: Sequence[Sequence[Caption]]) -> BLEU:
    """BLEU with the reference length closest to the hypothesis in the brevity penalty (Papineni et al., 2002)."""
    statistics = np.array(
        [_bleu_statistics(caption, refs) for caption, refs in zip(hypotheses, references, strict=True)]
    ).reshape(-1, 2, N_ORDERS + 1)
    return BLEU(_bleu_from_statistics(statistics.sum(0)), _bleu_from_statistics(statistics))


def _bleu_statistics(hypothesis: Caption, references: Sequence[Caption]) -> list[list[int]]:
    """First row: n-grams found in a reference, and tokens; second row: n-grams in all, and reference tokens."""
    n_tokens = len(hypothesis)
    # of two lengths equally close the shorter one counts
    n_reference = min((len(ref) for ref in references), key=lambda length: (abs(length - n_tokens), length))
    allowed = [_union(counts) for counts in zip(*map(ngrams_of, references), strict=True)]
    found = [(count & limit).total() for count, limit in zip(ngrams_of(hypothesis), allowed, strict=True)]
    return [[*found, n_tokens], [*(max(0, n_tokens - n) for n in range(N_ORDERS)), n_reference]]


def _union(counters: Sequence[Counter[NGram]]) -> Counter[NGram]:
    """The largest count of each n-gram in any of the counters."""
    union: Counter[NGram] = Counter()
    for counter in counters:
        union |= counter
    return union


def _bleu_from_statistics(statistics: np.ndarray) -> np.ndarray:
    """(..., 2, 5) to (..., 4)."""
    # coco-caption's own constants: an empty caption gives 0, and a missing order almost 0 instead of log(0)
    ratios = (statistics[..., 0, :] + 1e-15) / (statistics[..., 1, :] + 1e-9)  # (..., 5)
    brevity = np.exp(np.minimum(0.0, 1.0 - 1.0 / ratios[..., -1:]))
    precisions = np.cumprod(ratios[..., :-1], axis=-1) ** (1.0 / np.arange(1, N_ORDERS + 1))
    return brevity * precisions


def rouge_l(hypotheses: Sequence[Caption], references: Sequence[Sequence[Caption]]) -> np.ndarray:
    """ROUGE-L of each caption (n_captions,): best precision and best recall over its references (Lin, 2004)."""
    return np.array([_rouge_l(caption, refs) for caption, refs in zip(hypotheses, references, strict=True)], float)


def _rouge_l(hypothesis: Caption, references: Sequence[Caption]) -> float:
    lengths = [common_subsequence(hypothesis, ref) for ref in references]
    if not any(lengths):
        return 0.0
    precision = max(lengths) / len(hypothesis)
    recall = max(length / len(ref) for length, ref in zip(lengths, references, strict=True) if ref)
    return (1 + ROUGE_BETA**2) * precision * recall / (recall + ROUGE_BETA**2 * precision)


def common_subsequence(a: Caption, b: Caption) -> int:
    """Length of the longest common subsequence, a row of the table held in the bits of one integer (Hyyrö, 2004)."""
    places: dict[Hashable, int] = {}
    for i, token in enumerate(b):
        places[token] = places.get(token, 0) | 1 << i
    full = row = (1 << len(b)) - 1
    for token in a:
        hits = row & places.get(token, 0)
        row = (row + hits | row - hits) & full
    return len(b) - row.bit_count()


@dataclass(frozen=True, slots=True)
class PreparedReferences:
    """One picture's references in the form in which CIDEr asks about them: which contain this n-gram, and how much.

    `postings[ngram]` lists (which reference, its tf-idf, the same divided by the length of the reference's vector).
    """

    postings: Mapping[NGram, Sequence[tuple[int, float, float]]]
    n_tokens: tuple[int, ...]


class CIDEr:
    """CIDEr-D (Vedantam et al., 2015): document frequencies come from `references`, one document per picture.

    An n-gram that is in every picture counts nothing, so a corpus of a single picture scores 0, as in coco-caption.
    Training prepares each picture's references once (50 KB a picture) and scores every sample against them:

        cider = CIDEr(references)
        prepared = [cider.prepare(refs) for refs in references]
        rewards = cider.score(samples, [prepared[picture] for picture in pictures])
    """

    def __init__(self, references: Sequence[Sequence[Caption]]) -> None:
        documents = Counter[NGram]()
        for refs in references:
            documents.update({ngram for ref in refs for counts in ngrams_of(ref) for ngram in counts})
        self._rarest = math.log(max(1, len(references)))
        self._idf = {ngram: self._rarest - math.log(n) for ngram, n in documents.items()}

    def prepare(self, references: Sequence[Caption]) -> PreparedReferences:
        """One picture's references, ready for any number of hypotheses."""
        postings: dict[NGram, list[tuple[int, float, float]]] = {}
        for i, ref in enumerate(references):
            for counts in ngrams_of(ref):
                tfidf = {ngram: n * self._idf.get(ngram, self._rarest) for ngram, n in counts.items()}
                norm = math.hypot(*tfidf.values()) or 1.0
                for ngram, value in tfidf.items():
                    postings.setdefault(ngram, []).append((i, value, value / norm))
        return PreparedReferences(postings, tuple(map(len, references)))

    def score(
        self, hypotheses: Sequence[Caption], references: Sequence[PreparedReferences | Sequence[Caption]]
    ) -> np.ndarray:
        """CIDEr of each caption (n_captions,), 0 to 10."""
        prepared = (refs if isinstance(refs, PreparedReferences) else self.prepare(refs) for refs in references)
        return np.array([self._score(*pair) for pair in zip(hypotheses, prepared, strict=True)], float)

    def _score(self, hypothesis: Caption, references: PreparedReferences) -> float:
        cosines = [0.0] * len(references.n_tokens)
        for counts in ngrams_of(hypothesis):
            self._add_cosines(counts, references.postings, cosines)
        differences = (len(hypothesis) - n for n in references.n_tokens)
        penalties = (math.exp(-(difference**2) / (2 * CIDER_SIGMA**2)) for difference in differences)
        total = sum(cosine * penalty for cosine, penalty in zip(cosines, penalties, strict=True))
        return 10.0 * total / (N_ORDERS * len(cosines))

    def _add_cosines(self, counts: Counter[NGram], postings: Mapping, cosines: list[float]) -> None:
        """Add to `cosines` the similarity with each reference by the n-grams of one order."""
        idf, rarest, square = self._idf, self._rarest, 0.0
        dots: list[tuple[int, float]] = []
        for ngram, n in counts.items():
            value = n * idf.get(ngram, rarest)
            square += value * value
            for i, tfidf, unit in postings.get(ngram, ()):
                # repeating a reference's word more often than the reference earns nothing
                dots.append((i, (value if value < tfidf else tfidf) * unit))
        norm = math.sqrt(square) or 1.0
        for i, dot in dots:
            cosines[i] += dot / norm


def meteor(hypotheses: Sequence[Caption], references: Sequence[Sequence[Caption]]) -> float:
    """METEOR of the corpus, by the authors' Java program in the extra `meteor`; UserError where either is missing."""
    if shutil.which("java") is None:
        raise UserError("METEOR: needs Java, and there is no `java` on the PATH; install one or leave METEOR out")
    try:
        from pycocoevalcap.meteor.meteor import Meteor
    except ImportError as error:
        raise UserError(f"METEOR: {error}; run `pip install pycocoevalcap` or leave METEOR out") from error
    truths = {i: [" ".join(map(str, ref)) for ref in refs] for i, refs in enumerate(references)}
    captions = {i: [" ".join(map(str, caption))] for i, caption in enumerate(hypotheses)}
    return float(Meteor().compute_score(truths, captions)[0])


def caption_scores(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], with_meteor: bool = False
) -> dict[str, float]:
    """Scores of a corpus of plain captions: bleu1 .. bleu4, rouge_l, cider and, if asked for, meteor.

    CIDEr's document frequencies are those of these references, as in coco-caption; BLEU, ROUGE-L and METEOR are 0 to 1,
    CIDEr 0 to 10.
    """
    captions = [tokenize(caption) for caption in hypotheses]
    truths = [[tokenize(ref) for ref in refs] for refs in references]
    scores = {f"bleu{n}": float(score) for n, score in enumerate(bleu(captions, truths).corpus, start=1)}
    scores["rouge_l"] = float(rouge_l(captions, truths).mean())
    scores["cider"] = float(CIDEr(truths).score(captions, truths).mean())
    if with_meteor:
        scores["meteor"] = meteor(captions, truths)
    return scores
