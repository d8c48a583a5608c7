"""The released translators: known sentences, words that look where people say they should, and their size."""

import json
from pathlib import Path

import pytest

from multimodal_attn.predictor import Predictor, load
from multimodal_attn.senses.text.page import PAGE
from multimodal_attn.senses.text.sense import tokenize
from tasks.translation.alignment import judge, main, read_aligned
from tasks.translation.datasets import load_pairs
from tasks.translation.metrics import translation_scores
from tests.conftest import ROOT, SHARED, needs_shared

ALIGNED = Path(__file__).with_name("alignments-en-zh.tsv")
FOLDERS = ["translation-en-zh", "translation-en-de"]


@pytest.fixture(scope="module")
def chinese() -> Predictor:
    return load(ROOT / "checkpoints" / "translation-en-zh")


@pytest.fixture(scope="module")
def german() -> Predictor:
    return load(ROOT / "checkpoints" / "translation-en-de")


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_is_small_and_names_no_place_of_one_machine(name: str) -> None:
    folder = ROOT / "checkpoints" / name
    assert sum(path.stat().st_size for path in folder.iterdir()) < 15e6
    config = json.loads((folder / "config.json").read_text())
    assert config["task"] == "translation" and "/home" not in str(config) and "/work" not in str(config)
    assert name in PAGE.checkpoints


@pytest.mark.parametrize(
    "source, words",
    [("He bought a new car yesterday.", ("他", "昨天", "车")), ("I don't have a dog.", ("我", "没", "狗"))],
)
def test_everyday_sentences_are_chinese(chinese: Predictor, source: str, words: tuple[str, ...]) -> None:
    trace = chinese(source)
    assert all(word in trace.text for word in words), trace.text
    assert trace.weights.shape == (len(trace.tokens), 1, trace.geometry.n_places)


def test_captions_of_photographs_are_german(german: Predictor) -> None:
    assert german("A man is riding a bicycle.").text == "Ein Mann fährt Fahrrad."


def test_words_look_at_the_words_that_they_are_for(chinese: Predictor, capsys: pytest.CaptureFixture[str]) -> None:
    judged = [right for pair in read_aligned(ALIGNED, "en", "zh") for right in judge(chinese.model, pair)]
    assert len(judged) == 162 and sum(judged) / len(judged) > 0.7
    assert main([str(ROOT / "checkpoints" / "translation-en-zh"), str(ALIGNED)]) == 0
    assert f"{sum(judged)} of 162 words in 50 sentences" in capsys.readouterr().out


def test_a_letter_that_neither_language_has_does_not_stop_it(chinese: Predictor, german: Predictor) -> None:
    for predictor in (chinese, german):
        trace = predictor("Tom likes Ωmega and 😀.")
        assert trace.text and trace.geometry.text == "Tom likes Ωmega and 😀."
        _, [geometry] = tokenize([trace.text], predictor.model.tokenizer)
        assert geometry.n_places


@needs_shared
def test_german_of_the_validation_set_scores_as_told(german: Predictor) -> None:
    pairs = load_pairs(SHARED / "data" / "translation" / "multi30k", "val", "en", "de")[::10]
    said = [trace.text for _, trace in german.stream([pair.source for pair in pairs], 51)]
    assert translation_scores(said, [pair.target for pair in pairs], "de")["bleu"] > 28
