"""The word model: its trigrams against the equations in float64, its tree against what a word's pieces add up to."""

import itertools
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from multimodal_attn.checkpoint import load_checkpoint, save_checkpoint
from multimodal_attn.decoders import DecoderConfig
from multimodal_attn.errors import ConfigError, UserError
from multimodal_attn.model import build_model
from multimodal_attn.search import SearchConfig, beam_search
from multimodal_attn.search.ngrams import BEGIN, CLOSE, N_MARKS, NEW, count_ngrams
from multimodal_attn.search.word_model import MARK, WordModel, WordScorer, build_word_model
from multimodal_attn.senses.sound.encoder import AudioEncoderConfig
from multimodal_attn.tokens import END, START, build_piece_tokenizer, build_word_tokenizer
from tasks.language.datamodule import read_sentences
from tasks.training.export import count_words
from tests.conftest import SHARED, needs_shared
from tests.table_decoder import TableDecoder, random_source

TEXTS = ["the red cat sees the old dog", "the old cat sees a red dog", "a dog has the cat", "the cat has a red hat",
         "old red dogs", "the red cat has a hat", "a cat", "the dog sees the red cat"]  # fmt: skip
N_WORDS = 13  # marks counted


def numbered() -> tuple[list[list[int]], dict[str, int]]:
    names = {word: n for n, word in enumerate(sorted({w for text in TEXTS for w in text.split()}), N_MARKS)}
    return [[names[word] for word in text.split()] for text in TEXTS], names


def kneser_ney(sentences: list[list[int]], n_words: int):
    """P(w | u, v) by dictionaries, from the equations."""
    lines = [[NEW, BEGIN, *sentence, CLOSE] for sentence in sentences]
    threes = Counter(tuple(line[i : i + 3]) for line in lines for i in range(len(line) - 2))
    begun = {three[1:]: n for three, n in threes.items() if three[1] == BEGIN}
    twos = Counter(three[1:] for three in threes)
    twos.update({pair: n - twos[pair] for pair, n in begun.items()})
    ones = Counter(pair[1] for pair in twos)
    threes = Counter({three: n for three, n in threes.items() if three[1] != BEGIN})
    real = Counter(word for sentence in sentences for word in sentence)
    new = sum(n == 1 for n in real.values()) / sum(real.values())

    def discount(counts: Counter) -> float:
        once, twice = (sum(n == k for n in counts.values()) for k in (1, 2))
        return once / (once + 2 * twice)

    def interpolated(counts: Counter, context: tuple, word: int, lower: float) -> float:
        there = {gram: n for gram, n in counts.items() if gram[:-1] == context}
        if not there:
            return lower
        d, total = discount(counts), sum(there.values())
        return max(counts[(*context, word)] - d, 0) / total + d * len(there) / total * lower

    def p(u: int, v: int, w: int) -> float:
        single = new if w == NEW else (1 - new) * ones[w] / sum(ones.values())
        return interpolated(threes, (u, v), w, interpolated(twos, (v,), w, single))

    return p


def test_trigrams_are_those_of_the_equations_and_sum_to_one() -> None:
    sentences, names = numbered()
    ngrams, p = count_ngrams(sentences, N_WORDS), kneser_ney(sentences, N_WORDS)
    assert len(names) + N_MARKS == N_WORDS
    words = torch.arange(N_WORDS)
    for u, v in itertools.product(range(N_WORDS), repeat=2):
        got = ngrams(torch.full_like(words, u), torch.full_like(words, v), words).double().exp()
        expected = [p(u, v, w) for w in range(N_WORDS)]
        assert got.tolist() == pytest.approx(expected, abs=1e-6)
        assert float(got.sum()) == pytest.approx(1, abs=1e-5)


@pytest.fixture(scope="module", params=[0, 40], ids=["letters", "pieces"])
def model(request: pytest.FixtureRequest) -> tuple[WordModel, dict[str, int]]:
    tokenizer = build_piece_tokenizer(TEXTS, request.param)
    return build_word_model(TEXTS, tokenizer), tokenizer.get_vocab()


def spellings(word: str, vocabulary: dict[str, int]) -> list[list[int]]:
    """Every way in which pieces spell a word."""
    if not word:
        return [[]]
    heads = (word[:n] for n in range(1, len(word) + 1) if word[:n] in vocabulary)
    return [[vocabulary[head], *rest] for head in heads for rest in spellings(word[len(head) :], vocabulary)]


def total(model: WordModel, tokens: list[int]) -> float:
    state, last, logp = model.start(1), START, 0.0
    for token in [*tokens, END]:
        state = model.advance(torch.tensor([[last]]), state)
        logp, last = logp + float(model.logp(state)[0, 0, token]), token
    return logp


@pytest.mark.parametrize("text", ["the red cat", "a hat", "dog dog dog", "old dogs has", ""])
def test_the_pieces_of_a_sentence_add_up_to_its_trigrams_however_it_is_spelled(
    text: str, model: tuple[WordModel, dict[str, int]]
) -> None:
    words, vocabulary = model
    p, names = kneser_ney(numbered()[0], N_WORDS), numbered()[1]
    ids = [NEW, BEGIN, *(names[word] for word in text.split()), CLOSE]
    expected = sum(math.log(p(*ids[i : i + 3])) for i in range(len(ids) - 2))
    ways = [spellings(MARK + word, vocabulary) for word in text.split()]
    for spelling in itertools.islice(itertools.product(*ways), 23):
        assert total(words, [piece for word in spelling for piece in word]) == pytest.approx(expected, abs=1e-4)


def test_a_new_word_costs_its_share_and_its_pieces_however_late_it_turns_out_new(
    model: tuple[WordModel, dict[str, int]],
) -> None:
    words, vocabulary = model
    p, share = kneser_ney(numbered()[0], N_WORDS), 1 / 42  # of 42 words, "dogs" alone comes once
    for new in ("rat", "redo", "do"):  # "do" is the beginning of a known word
        for spelling in spellings(MARK + new, vocabulary):
            price = math.log(share) - len(spelling) * math.log(len(vocabulary))
            assert total(words, spelling) == pytest.approx(price + math.log(p(BEGIN, NEW, CLOSE)), abs=1e-4)


def test_known_words_win_where_the_decoder_does_not_care() -> None:
    tokenizer = build_piece_tokenizer(TEXTS, 0)
    source = random_source(1, tokenizer.get_vocab_size() - 4, seed=2)
    config = SearchConfig(beam=7, no_repeat=0, length_penalty=0.0, max_length=9, min_length=4, words=30.0)
    found = beam_search(TableDecoder(), source, config, [WordScorer(build_word_model(TEXTS, tokenizer))])
    said = tokenizer.decode([i for i in found.tokens[0, 0].tolist() if i > END]).split()
    assert said and {*said} <= {word for text in TEXTS for word in text.split()}
    with pytest.raises(ConfigError, match="words"):
        beam_search(TableDecoder(), source, config)


def test_a_released_model_keeps_its_words(tmp_path: Path) -> None:
    tokenizer = build_piece_tokenizer(TEXTS, 40)
    made = build_model(AudioEncoderConfig("blstm", 6, 1, 1, stride=4), DecoderConfig(dim=6), tokenizer)
    made.words = build_word_model(TEXTS, tokenizer)
    save_checkpoint(tmp_path / "x", made.eval(), SearchConfig(words=0.4), "speech", {}, "card")
    loaded, search, _ = load_checkpoint(tmp_path / "x")
    assert search == replace(SearchConfig(), words=0.4)
    tokens = tokenizer.encode("the red cat has").ids
    assert total(loaded.words, tokens) == pytest.approx(total(made.words, tokens), abs=0.05)  # half floats


def test_a_model_of_whole_words_is_refused() -> None:
    with pytest.raises(ConfigError, match="pieces of words"):
        build_word_model(TEXTS, build_word_tokenizer(TEXTS, 1))


def test_words_are_counted_from_files_and_a_mistake_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("\n".join(TEXTS))
    (tmp_path / "empty.txt").write_text("\n")
    tokenizer = build_piece_tokenizer(TEXTS, 0)
    assert count_words({"files": [str(tmp_path / "*t.txt")]}, tokenizer).config.words == N_WORDS
    for wrong in ("text.txt", {"file": ["text.txt"]}, {"files": "text.txt"}, {"files": [str(tmp_path / "empty.txt")]}):
        with pytest.raises(UserError, match="^--words[^\n]*$"):
            count_words(wrong, tokenizer)


@needs_shared
def test_real_sentences_are_likelier_than_their_words_in_another_order() -> None:
    manifest = str(SHARED / "data/speech/manifest.tsv")
    texts = [sentence.text for sentence in read_sentences([], [manifest], ["ls", "cv", "so762"])]
    tokenizer = build_piece_tokenizer(texts, 300)
    words = build_word_model(texts[:-97], tokenizer)
    better = 0
    for text in texts[-97:]:
        shuffled = " ".join(sorted(text.split()))
        better += total(words, tokenizer.encode(text).ids) > total(words, tokenizer.encode(shuffled).ids)
    assert better > 80
