"""Caption metrics against coco-caption's figures, answers planted by hand, and the definitions, written out."""

import importlib.util
import math
import random
import shutil
import sys
from collections import defaultdict
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import kendalltau

from multimodal_attn.errors import UserError
from tasks.captioning.metrics import CIDEr, bleu, caption_scores, common_subsequence, meteor, rouge_l, tokenize
from tests.conftest import FLICKR8K, SHARED, needs_shared


@pytest.fixture(scope="module")
def corpus() -> tuple[list[list[int]], list[list[list[int]]]]:
    """Seven captions with one to four references each, of so few different ids that n-grams of every order meet."""
    rng = random.Random(3)

    def caption() -> list[int]:
        return [rng.randrange(3) for _ in range(rng.randrange(1, 12))]

    return [caption() for _ in range(7)], [[caption() for _ in range(rng.randrange(1, 5))] for _ in range(7)]


# the definitions, written as in the papers and as slow as that


def grams(caption: list, n: int) -> list[tuple]:
    return [tuple(caption[i : i + n]) for i in range(len(caption) - n + 1)]


def bleu_by_definition(hypotheses: list, references: list, order: int) -> float:
    log_precision = 0.0
    for n in range(1, order + 1):
        clipped = total = 0
        for caption, refs in zip(hypotheses, references, strict=True):
            for gram in set(grams(caption, n)):
                most = max(grams(ref, n).count(gram) for ref in refs)
                clipped += min(grams(caption, n).count(gram), most)
            total += len(grams(caption, n))
        log_precision += math.log(clipped / total) / order
    c = sum(map(len, hypotheses))
    r = sum(
        sorted(map(len, refs), key=lambda n: (abs(n - len(h)), n))[0]
        for h, refs in zip(hypotheses, references, strict=True)
    )
    return math.exp(log_precision) * (1 if c > r else math.exp(1 - r / c))


def cider_by_definition(caption: list, refs: list, corpus: list) -> float:
    def vector(text: list, n: int, vocabulary: list) -> np.ndarray:
        documents = [max(1, sum(any(g in grams(ref, n) for ref in refs) for refs in corpus)) for g in vocabulary]
        return np.array([grams(text, n).count(g) for g in vocabulary]) * np.log(len(corpus) / np.array(documents))

    score = 0.0
    for ref in refs:
        for n in range(1, 5):
            vocabulary = sorted({*grams(caption, n), *grams(ref, n)})
            h, r = vector(caption, n, vocabulary), vector(ref, n, vocabulary)
            if h.any() and r.any():
                cosine = np.minimum(h, r) @ r / np.linalg.norm(h) / np.linalg.norm(r)
                score += cosine * math.exp(-((len(caption) - len(ref)) ** 2) / 72)
    return 10 * score / 4 / len(refs)


# the tokeniser


def test_the_tokeniser_keeps_hyphened_words_and_drops_punctuation() -> None:
    assert tokenize("A black-and-white dog's ball - wet , isn't it ?!") == (
        ["a", "black-and-white", "dog's", "ball", "wet", "isn't", "it"]
    )
    assert tokenize("Two signs saying \" Stop \" and 'Go'... #7") == (
        ["two", "signs", "saying", "stop", "and", "'go'", "#", "7"]
    )
    assert tokenize(" . ") == []


# BLEU


def test_bleu_of_an_identical_corpus_is_one(corpus) -> None:
    references = corpus[1]
    longest = [max(refs, key=len) for refs in references]
    np.testing.assert_allclose(bleu(longest, references).corpus, 1.0, atol=1e-6)


def test_bleu_agrees_with_its_definition(corpus) -> None:
    expected = [bleu_by_definition(*corpus, order) for order in range(1, 5)]
    assert expected[3] > 0.05  # the corpus is one on which every order says something
    np.testing.assert_allclose(bleu(*corpus).corpus, expected, rtol=1e-6)


def test_bleu_counts_a_repeated_word_no_more_often_than_a_reference_has_it() -> None:
    # Papineni's own example: seven times "the", at most two of them in one reference
    references = [[tokenize("The cat is on the mat."), tokenize("There is a cat on the mat.")]]
    assert bleu([["the"] * 7], references).corpus[0] == pytest.approx(2 / 7)


def test_bleu_punishes_a_short_caption_by_the_closest_reference() -> None:
    scores = bleu([list("abc")], [[list("abcde"), list("abcdefghi"), list("xyzabcdefgh")]])
    assert scores.corpus[0] == pytest.approx(math.exp(1 - 5 / 3))
    assert bleu([list("abcd")], [[list("abcdef"), list("ab")]]).corpus[0] == pytest.approx(1.0)  # a tie: the shorter


def test_bleu_of_each_caption_is_that_of_a_corpus_of_one(corpus) -> None:
    captions = bleu(*corpus).captions
    assert captions.shape == (7, 4)
    for row, caption, refs in zip(captions, *corpus, strict=True):
        np.testing.assert_allclose(row, bleu([caption], [refs]).corpus)


# ROUGE-L


def test_the_common_subsequence_is_the_longest_there_is(corpus) -> None:
    def subsequences(caption: list) -> set:
        return {part for n in range(len(caption) + 1) for part in combinations(caption, n)}

    for caption, refs in zip(*corpus, strict=True):
        longest = max(map(len, subsequences(caption) & subsequences(refs[0])))
        assert common_subsequence(caption, refs[0]) == common_subsequence(refs[0], caption) == longest


def test_rouge_takes_the_best_precision_and_the_best_recall_over_the_references() -> None:
    # the first reference has all four tokens (precision 4/4, recall 4/7), the second has recall 2/2
    score = rouge_l([list("abcd")], [[list("axbycdz"), list("bd")]])
    precision, recall = 1.0, 1.0
    assert score[0] == pytest.approx((1 + 1.44) * precision * recall / (recall + 1.44 * precision))
    # precision 2/3 and recall 2/5, both of the one reference
    assert rouge_l([list("axb")], [[list("aybzz")]])[0] == pytest.approx(2.44 * (2 / 3) * 0.4 / (0.4 + 1.44 * 2 / 3))


# CIDEr


def test_cider_agrees_with_its_definition(corpus) -> None:
    hypotheses, references = corpus
    expected = [cider_by_definition(h, refs, references) for h, refs in zip(hypotheses, references, strict=True)]
    assert max(expected) > 1
    np.testing.assert_allclose(CIDEr(references).score(hypotheses, references), expected, rtol=1e-9)


def test_cider_weighs_n_grams_that_no_reference_has_as_the_rarest(corpus) -> None:
    hypotheses, references = [[0, 1, 97, 2, 3]], [[[0, 1, 2, 3], [2, 3, 4, 0]]]
    expected = cider_by_definition(hypotheses[0], references[0], corpus[1])
    assert CIDEr(corpus[1]).score(hypotheses, references)[0] == pytest.approx(expected)


def test_cider_of_the_only_reference_itself_is_ten_and_of_other_words_nothing() -> None:
    references = [[list("abcde")], [list("fghij")], [list("klmno")]]
    scores = CIDEr(references).score([list("abcde"), list("klmno"), list("xyz")], references)
    np.testing.assert_allclose(scores, [10.0, 0.0, 0.0])


def test_cider_gives_nothing_for_repeating_a_rare_word() -> None:
    references = [["a", "b", "c", "d"]], [["e", "f", "g", "h"]]
    once, repeated = CIDEr(references).score([["a", "x", "x", "x"], ["a", "a", "a", "a"]], [references[0]] * 2)
    assert 0 < repeated < once


def test_prepared_references_score_as_plain_ones(corpus) -> None:
    hypotheses, references = corpus
    cider = CIDEr(references)
    prepared = [cider.prepare(refs) for refs in references]
    for _ in range(2):  # asking changes nothing
        np.testing.assert_array_equal(cider.score(hypotheses, prepared), cider.score(hypotheses, references))


# everything


def test_an_empty_caption_scores_nothing() -> None:
    references = [["a dog runs .", "the dog"], ["two cats"]]
    assert caption_scores(["", " . "], references) == pytest.approx(
        {"bleu1": 0, "bleu2": 0, "bleu3": 0, "bleu4": 0, "rouge_l": 0, "cider": 0}
    )
    assert rouge_l([["a"]], [[[], ["a"]]])[0] == pytest.approx(1.0)  # an empty reference beside a full one


def test_a_caption_without_its_references_is_refused() -> None:
    for score in (bleu, rouge_l, CIDEr([]).score):
        with pytest.raises(ValueError, match="shorter"):
            score([["a"], ["b"]], [[["a"]]])


def test_scores_do_not_depend_on_what_a_token_is(corpus) -> None:
    hypotheses, references = corpus
    words = [" ".join(f"w{i}" for i in caption) for caption in hypotheses]
    word_references = [[" ".join(f"w{i}" for i in ref) for ref in refs] for refs in references]
    scores = caption_scores(words, word_references)
    assert [scores[f"bleu{n}"] for n in range(1, 5)] == pytest.approx(bleu(*corpus).corpus.tolist())
    assert scores["rouge_l"] == pytest.approx(rouge_l(*corpus).mean())
    assert scores["cider"] == pytest.approx(CIDEr(references).score(*corpus).mean())


def test_meteor_says_in_one_line_what_is_missing(monkeypatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(UserError, match="Java") as error:
        caption_scores(["a"], [["a"]], with_meteor=True)
    assert "\n" not in str(error.value)
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/java")
    monkeypatch.setitem(sys.modules, "pycocoevalcap.meteor.meteor", None)
    with pytest.raises(UserError, match="pip install pycocoevalcap"):
        meteor([["a"]], [[["a"]]])


# against coco-caption


@pytest.fixture(scope="module")
def two_sentences() -> tuple[list[str], list[tuple[str, ...]]]:
    hyp, *refs = [
        (SHARED / "data" / "nlg-eval" / f"{name}.txt").read_text().splitlines() for name in ("hyp", "ref1", "ref2")
    ]
    return hyp, list(zip(*refs, strict=True))


@pytest.fixture(scope="module")
def flickr8k() -> dict[str, list[list[str]]]:
    """The tokens of every caption, by picture."""
    captions = defaultdict(list)
    for line in (FLICKR8K / "Flickr8k.token.txt").read_text().splitlines():
        key, caption = line.split("\t")
        captions[key.partition("#")[0]].append(tokenize(caption))
    return captions


@needs_shared
def test_two_sentences_score_as_in_coco_caption(two_sentences) -> None:
    expected = {"bleu1": 0.55, "bleu2": 0.428174, "bleu3": 0.284043, "bleu4": 0.201143}
    expected |= {"rouge_l": 0.522104, "cider": 1.242192}
    assert caption_scores(*two_sentences) == pytest.approx(expected, abs=1e-6)


@needs_shared
@pytest.mark.skipif(
    shutil.which("java") is None or importlib.util.find_spec("pycocoevalcap") is None,
    reason="METEOR needs Java and the extra `meteor`",
)
def test_meteor_scores_two_sentences_as_in_coco_caption(two_sentences) -> None:
    assert caption_scores(*two_sentences, with_meteor=True)["meteor"] == pytest.approx(0.295797, abs=1e-6)


@needs_shared
def test_metrics_agree_with_experts_as_much_as_coco_captions_do(flickr8k) -> None:
    hypotheses, references, ratings = [], [], []
    for line in (FLICKR8K / "ExpertAnnotations.txt").read_text().splitlines():
        picture, caption_id, *rated = line.split("\t")
        writer, _, number = caption_id.partition("#")
        if writer != picture:
            hypotheses.append(flickr8k[writer][int(number)])
            references.append(flickr8k[picture])
            ratings.extend(map(int, rated))
    assert (len(hypotheses), len(ratings)) == (5664, 16992)
    bleus = bleu(hypotheses, references).captions
    scores = [
        bleus[:, 0],
        bleus[:, 3],
        rouge_l(hypotheses, references),
        CIDEr(references).score(hypotheses, references),
    ]
    taus = [100 * kendalltau(np.repeat(score, 3), ratings, variant="c").statistic for score in scores]
    np.testing.assert_allclose(taus, [32.3, 30.8, 32.3, 43.9], atol=0.05)


@needs_shared
def test_a_persons_caption_scores_as_published_against_the_other_four(flickr8k) -> None:
    pictures = (FLICKR8K / "Flickr_8k.testImages.txt").read_text().split()
    hypotheses, references = zip(*((flickr8k[name][0], flickr8k[name][1:]) for name in pictures), strict=True)
    bleus = bleu(hypotheses, references).corpus
    scores = [bleus[0], bleus[3], rouge_l(hypotheses, references).mean()]
    scores.append(CIDEr(references).score(hypotheses, references).mean())
    np.testing.assert_allclose(scores, [0.636, 0.209, 0.488, 0.789], atol=5e-4)
