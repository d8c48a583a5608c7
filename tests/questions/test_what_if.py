"""The sentence written again: from another beginning, without a part of the input, and the other sentences found."""

from pathlib import Path

import numpy as np
import pytest
import torch

from multimodal_attn import AttentionTrace, load
from multimodal_attn.errors import ConfigError
from multimodal_attn.search import SearchConfig, beam_search
from multimodal_attn.tokens import END, PAD, begin_to_ids, build_byte_tokenizer, build_word_tokenizer
from tests.conftest import ROOT, needs_released
from tests.table_decoder import FIRST, TableDecoder, every_sentence, n_best, random_source
from tests.test_predictor import noise


def begun(*rows: list[int]) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])


def test_a_wide_beam_finds_all_sentences_with_the_beginning_in_the_order_of_enumeration() -> None:
    source, config = random_source(3, 3, seed=1), SearchConfig(beam=41, max_length=3, no_repeat=0)
    begin = [[FIRST + 1], [], [FIRST, FIRST]]
    found = beam_search(TableDecoder(), source, config, begin=begun(*begin))
    for row, first in enumerate(begin):
        possible = [each for each in every_sentence(source, row, config) if list(each[0][: len(first)]) == first]
        sentences = n_best(found.tokens[row], found.scores[row])
        assert [words for words, _ in sentences] == [words for words, _ in possible]
        assert [score for _, score in sentences] == pytest.approx([score for _, score in possible], abs=1e-5)


def test_a_sentence_that_is_begun_as_it_was_ends_as_it_did() -> None:
    source, greedy = random_source(13, 7, seed=2), SearchConfig(beam=1, max_length=7)
    free = beam_search(TableDecoder(), source, greedy)
    for n in range(1, 8):
        forced = beam_search(TableDecoder(), source, greedy, begin=free.tokens[:, 0, :n])
        assert torch.equal(forced.tokens, free.tokens) and torch.allclose(forced.scores, free.scores)


def test_a_whole_sentence_that_is_given_has_the_score_that_it_had_in_any_beam() -> None:
    source, config = random_source(13, 7, seed=2), SearchConfig(beam=5, max_length=7)
    free = beam_search(TableDecoder(), source, config)
    forced = beam_search(TableDecoder(), source, config, begin=free.tokens[:, 0])
    assert torch.equal(forced.tokens[:, 0], free.tokens[:, 0])
    assert torch.allclose(forced.scores[:, 0], free.scores[:, 0]) and not forced.scores[:, 1:].isfinite().any()


def test_a_beginning_may_repeat_itself_be_the_whole_sentence_and_as_long_as_any() -> None:
    source, config = random_source(2, 3, seed=3), SearchConfig(beam=3, max_length=4, no_repeat=1)
    whole, longest = [FIRST, FIRST, END], [FIRST] * 4
    found = beam_search(TableDecoder(), source, config, begin=begun(whole, longest))
    assert found.tokens[:, 0].tolist() == [[*whole, PAD, PAD], [*longest, END]]
    with pytest.raises(ConfigError, match="5 tokens to begin with are more than max_length, 4"):
        beam_search(TableDecoder(), source, config, begin=begun([FIRST] * 5))


def test_tokens_to_begin_with_are_ids_spelled_ones_or_a_text() -> None:
    words = build_word_tokenizer(["a dog runs"], 1)
    assert begin_to_ids(words, "A dog") == begin_to_ids(words, ["a", words.token_to_id("dog")])
    pieces = build_byte_tokenizer(["<pad>", "<start>", "<end>", "<unk>", "\u0120a", "a", "\u0120"], [("\u0120", "a")])
    assert begin_to_ids(pieces, ["\u2581a", "a"]) == [4, 5] and begin_to_ids(pieces, ["<end>"]) == [END]
    for begin in ("a cat", ["cat"], [99], [-1], [PAD], ["<end>", "a"]):
        with pytest.raises(ConfigError, match="this model never says"):
            begin_to_ids(words, begin)


def test_the_model_goes_on_from_another_beginning_and_the_trace_says_so(tiny_checkpoint: Path) -> None:
    predictor, picture = load(tiny_checkpoint), noise(1)
    free = predictor(picture)
    cat = predictor(picture, begin="two children", needed=True)
    assert cat.text.startswith("two children") and cat.needed is not None
    assert cat.origin.options["begin"] == [token.id for token in cat.tokens[:2]]
    again = predictor(picture, begin=[token.text for token in free.tokens])
    assert again.text == free.text and again.score == pytest.approx(free.score, abs=1e-5)
    assert "begin" not in free.origin.options
    assert AttentionTrace.from_json(cat.to_json()).origin == cat.origin


def test_what_is_hidden_from_the_model_changes_it_as_if_it_were_so(tiny_checkpoint: Path) -> None:
    predictor, item = load(tiny_checkpoint), load(tiny_checkpoint).read(noise(1))
    free = predictor(item)
    hidden = predictor(item, begin=[token.id for token in free.tokens], hidden=[2], needed=True)
    falls = predictor(item, needed=True).needed[:, 2]
    lost = [one.probability - other.probability for one, other in zip(free.tokens, hidden.tokens, strict=True)]
    np.testing.assert_allclose(lost, falls, atol=1e-5)
    assert hidden.origin.options["hidden"] == [2] and np.abs(hidden.needed[:, 2]).max() < 1e-6
    with pytest.raises(ConfigError, match="places lie between 0 and 3"):
        predictor(item, hidden=[4])


@needs_released
def test_without_a_word_a_translation_has_no_weight_on_it_and_the_rest_keep_their_places() -> None:
    predictor, text = load(ROOT / "checkpoints" / "translation-en-de"), "A man in a blue shirt is standing on a ladder."
    free = predictor(text)
    blue = [place for place in range(free.geometry.n_places) if free.geometry.piece(place) == "blue"]
    gone = predictor(text, hidden=blue)
    assert blue and gone.geometry == free.geometry
    assert "blau" in free.text and "blau" not in gone.text
    assert not gone.weights[..., blue].any() and np.allclose(gone.weights.sum(-1), 1, atol=1e-4)
    assert gone.geometry.piece(gone.weights[-2].mean(0).argmax()) in ("ladder", ".")


def test_the_best_sentences_come_in_order_with_the_parts_of_their_scores(tiny_checkpoint: Path) -> None:
    predictor, picture = load(tiny_checkpoint), noise(1)
    best = predictor.best(picture, 3)
    scores = [sentence.trace.score for sentence in best]
    assert len(best) == 3 and scores == sorted(scores, reverse=True)
    assert len({sentence.trace.text for sentence in best}) > 1
    assert best[0].trace.text == predictor(picture).text
    for sentence in best:
        assert list(sentence.parts) == ["decoder"]
        n = len(sentence.trace.tokens) + 1
        assert sentence.parts["decoder"] / n == pytest.approx(sentence.trace.score, abs=1e-4)
        assert sentence.trace.weights.shape[0] == n - 1
