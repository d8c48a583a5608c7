"""BLEU and chrF of translations, as sacreBLEU computes them (Post 2018; Popovic 2015)."""

from collections.abc import Sequence

from torchmetrics.functional.text import chrf_score, sacre_bleu_score

TOKENIZERS = {"zh": "zh", "ja": "char", "th": "char"}  # languages that put no spaces between words; 13a for the others


def translation_scores(hypotheses: Sequence[str], references: Sequence[str], language: str) -> dict[str, float]:
    """bleu (case and punctuation count) and chrf, 0 to 100. language: of the references, such as de or zh."""
    truths, tokenize = [[reference] for reference in references], TOKENIZERS.get(language.split("-")[0], "13a")
    return {
        "bleu": 100 * float(sacre_bleu_score(hypotheses, truths, tokenize=tokenize)),
        "chrf": 100 * float(chrf_score(hypotheses, truths, n_word_order=0)),
    }
