"""Several scorers in one beam search, against enumeration; and output that ends, whatever a decoder wants."""

from dataclasses import asdict, replace
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from multimodal_attn.decoders import DecoderConfig, Ready, Step, build_decoder
from multimodal_attn.errors import ConfigError
from multimodal_attn.memory import Memory
from multimodal_attn.search import SearchConfig, beam_search
from multimodal_attn.search.ctc_prefix import CTCPrefixScorer
from multimodal_attn.search.language_model import LanguageModel, LanguageModelConfig, LanguageModelScorer
from multimodal_attn.tokens import END, PAD, START
from tests.table_decoder import (
    FIRST,
    Sentence,
    TableDecoder,
    log_probabilities,
    n_best,
    random_source,
    same_row,
    table_source,
    words_of,
)

NAN = float("nan")
OFF = SearchConfig(no_repeat=0, min_length=0)


class TableScorer:
    """A second table in the place of the language model, whose state is the code of the history too."""

    option = "lm"

    def __init__(self, source: Ready) -> None:
        self.source = source

    def start(self, n_inputs: int) -> tuple[Ready, Any]:
        return self.source, TableDecoder().start(self.source, 1)

    def score(self, tokens: Tensor, source: Ready, state: Any) -> tuple[Tensor, Any]:
        logits, _, state = TableDecoder().step(tokens, source, state)
        return logits.log_softmax(-1), state


def heard(n_inputs: int, n_places: int, n_words: int, seed: int) -> Tensor:
    """Random log-probabilities (B, S, V) of a CTC head."""
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.randn(n_inputs, n_places, FIRST + n_words, generator=generator)).log_softmax(-1)


def of_words(source: Ready, row: int, words: tuple[int, ...]) -> float:
    return sum(log_probabilities(source, row, words[:t])[token] for t, token in enumerate((*words, END)))


def of_sound(logp: Tensor, words: tuple[int, ...]) -> float:
    """log p(words | sound) by torch's CTC loss."""
    sizes = torch.tensor([len(logp)]), torch.tensor([len(words)])
    targets = torch.tensor([words], dtype=torch.long)
    return -float(torch.nn.functional.ctc_loss(logp.double().unsqueeze(1), targets, *sizes, reduction="sum"))


def every_joint_sentence(
    source: Ready, language: Ready, logp: Tensor, row: int, config: SearchConfig
) -> list[Sentence]:
    found = []
    for length in range(config.min_length, config.max_length + 1):
        for words in product(range(FIRST, logp.shape[-1]), repeat=length):
            total = config.lm * of_words(language, row, words) + config.length_bonus * length
            total += (1 - config.ctc) * of_words(source, row, words)
            if config.ctc:
                total += config.ctc * of_sound(logp[row], words)
            found.append((words, total / (length + 1) ** config.length_penalty))
    return sorted(found, key=lambda sentence: -sentence[1])


@pytest.mark.parametrize(
    "options",
    [
        {"ctc": 0.3, "lm": 0.0},
        {"ctc": 1.0, "lm": 0.0, "length_penalty": 0.0},
        {"ctc": 0.0, "lm": 0.7, "length_bonus": 0.5},
        {"ctc": 0.6, "lm": 0.4, "length_bonus": -0.3, "length_penalty": 0.5},
        {"ctc": 1.0, "lm": 0.3, "length_bonus": 1.0, "length_penalty": 0.0},
    ],
    ids=str,
)
def test_wide_beam_finds_every_sentence_in_the_order_of_the_weighted_sum(options: dict) -> None:
    source, language, logp = random_source(2, 3, seed=1), random_source(2, 3, seed=2), heard(2, 5, 3, seed=3)
    config = replace(OFF, beam=41, max_length=3, **options)  # 1 + 3 + 9 + 27 sentences, and one more
    found = beam_search(TableDecoder(), source, config, [CTCPrefixScorer(logp), TableScorer(language)])
    for row in range(2):
        expected = every_joint_sentence(source, language, logp, row, config)
        got = n_best(found.tokens[row], found.scores[row])
        assert [words for words, _ in got] == [words for words, _ in expected]
        assert [score for _, score in got] == pytest.approx([score for _, score in expected], abs=1e-4)


def test_scorers_without_weight_are_not_asked_and_change_nothing() -> None:
    class Silent:
        option = "lm"

    source, config = random_source(13, 7, seed=4), SearchConfig(beam=3, max_length=7)
    expected = beam_search(TableDecoder(), source, config)
    found = beam_search(TableDecoder(), source, config, [Silent(), CTCPrefixScorer(heard(13, 5, 7, seed=5))])
    assert torch.equal(found.tokens, expected.tokens) and torch.equal(found.scores, expected.scores)


def test_ctc_alone_does_not_ask_the_decoder() -> None:
    logp = heard(3, 11, 5, seed=6)
    source = Ready(None, torch.zeros(3, 1))  # nothing that a decoder could read
    config = replace(OFF, beam=7, max_length=11, ctc=1.0, length_penalty=0.0)
    found = beam_search(TableDecoder(), source, config, [CTCPrefixScorer(logp)])
    for row in range(3):
        for words, score in n_best(found.tokens[row], found.scores[row]):
            assert score == pytest.approx(of_sound(logp[row], words), abs=1e-4)


@pytest.mark.parametrize("option", ["ctc", "lm"])
def test_a_weight_without_its_scorer_is_refused_in_one_line(option: str) -> None:
    with pytest.raises(ConfigError) as caught:
        beam_search(TableDecoder(), random_source(1, 3, seed=1), SearchConfig(**{option: 0.5}))
    assert f"{option} is 0.5" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("options", [{"ctc": 1.1}, {"ctc": -0.1}, {"lm": -1.0}, {"max_length_ratio": -1.0}], ids=str)
def test_impossible_weights_are_refused(options: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        SearchConfig(**options)


def test_settings_saved_before_there_were_scorers_open_unchanged() -> None:
    old = {"beam": 5, "length_penalty": 1.0, "no_repeat": 2, "min_length": 1, "max_length": 20}
    config = SearchConfig(**old)
    assert asdict(config) | old == asdict(config) and not (config.ctc or config.lm or config.length_bonus)


# Real decoders, and the batch


def sounds(n: int) -> list[Tensor]:
    """Memories (S, D) of 3 to 17 places."""
    generator = torch.Generator().manual_seed(7)
    return [2 * torch.randn(3 + 2 * (k % 8), 7, generator=generator) for k in range(n)]


def batch_of(parts: list[Tensor]) -> Memory:
    longest = max(map(len, parts))
    values = torch.full((len(parts), longest, 7), NAN)
    for row, part in zip(values, parts, strict=True):
        row[: len(part)] = part
    return Memory(values, torch.arange(longest) < torch.tensor([[len(part)] for part in parts]))


@torch.no_grad()
@pytest.mark.parametrize("ctc", [0.4, 1.0])
def test_joint_result_does_not_depend_on_what_else_is_in_the_batch(ctc: float) -> None:
    torch.manual_seed(8)
    decoder = build_decoder(DecoderConfig("between", {"score": "additive"}, dim=9), memory_dim=7, n_tokens=23).eval()
    language = LanguageModel(LanguageModelConfig(dim=11, layers=2), 23).eval()
    head = torch.randn(7, 23)
    config = SearchConfig(3, no_repeat=0, max_length=13, ctc=ctc, lm=0.3, max_length_ratio=0.7, max_coverage=3.0)

    def run(parts: list[Tensor]) -> tuple[Tensor, Tensor]:
        memory = batch_of(parts)
        scorers = [CTCPrefixScorer((memory.values @ head).log_softmax(-1), memory.mask), LanguageModelScorer(language)]
        return beam_search(decoder, decoder.read(memory), config, scorers, memory.mask.sum(1))

    parts = sounds(23)
    tokens, scores = (torch.cat(each) for each in zip(*(run([part]) for part in parts), strict=True))
    assert len({tuple(row) for row in tokens[:, 0].tolist()}) > 11
    for size in (2, 7, 23):
        for index in torch.randperm(23, generator=torch.Generator().manual_seed(size)).split(size):
            found = run([parts[i] for i in index])
            assert torch.equal(found[0], tokens[index])
            torch.testing.assert_close(found[1], scores[index], rtol=0, atol=1e-4)


def test_language_model_scores_a_sentence_as_its_loss_does() -> None:
    torch.manual_seed(9)
    model = LanguageModel(LanguageModelConfig(dim=7, layers=2, dropout=0.5), 11).eval()
    config = replace(OFF, beam=3, max_length=5, ctc=1.0, lm=1.0)
    deaf = CTCPrefixScorer(torch.zeros(2, 7, 11).log_softmax(-1))
    deaf.score = lambda tokens, source, state: (torch.zeros(*tokens.shape, 11), None)
    found = beam_search(TableDecoder(), Ready(None, torch.zeros(2, 1)), config, [deaf, LanguageModelScorer(model)])
    for tokens, score in zip(found.tokens[0], found.scores[0].tolist(), strict=True):
        with torch.no_grad():
            assert score == pytest.approx(-float(model.loss(tokens.unsqueeze(0))), abs=1e-5)
    assert torch.equal(found.tokens[0], found.tokens[1])


# The end comes, and neither too early nor too late


def loop_of(*words: int, n_words: int = 3, sure: float = 6.0) -> Ready:
    """A decoder's table that says the words again and again, and nearly never ends."""
    table = torch.zeros(1, FIRST + n_words, FIRST + n_words)
    table[..., END] = -sure
    for before, after in zip((START, *words), (*words, words[0]), strict=True):
        table[0, before, after] = sure
    table[0, words[-1], words[0]] = sure
    return table_source(table)


def spoken(*path: int) -> Tensor:
    """What a CTC head says that is nearly sure of a path."""
    return (12 * torch.eye(FIRST + 3)[list(path)]).log_softmax(-1).unsqueeze(0)


@pytest.mark.parametrize("beam", [1, 5])
def test_ctc_stops_a_decoder_that_loops(beam: int) -> None:
    a, b, c = range(FIRST, FIRST + 3)
    config = replace(OFF, beam=beam, max_length=50)
    alone = beam_search(TableDecoder(), loop_of(a, b), config)
    assert len(words_of(alone.tokens[0, 0])) == 50  # as it wants to
    logp = spoken(PAD, a, a, PAD, b, PAD, PAD, a, b, b, PAD, PAD, PAD, PAD)
    found = beam_search(TableDecoder(), loop_of(a, b, sure=4.0), replace(config, ctc=0.5), [CTCPrefixScorer(logp)])
    assert words_of(found.tokens[0, 0]) == (a, b, a, b)
    # and where it would not be stopped by its weight, because the sound has no more places
    found = beam_search(TableDecoder(), loop_of(a, b, sure=30.0), replace(config, ctc=0.1), [CTCPrefixScorer(logp)])
    assert 4 <= len(words_of(found.tokens[0, 0])) <= 14


def test_ctc_keeps_a_decoder_from_skipping_and_from_an_early_end() -> None:
    a, b, c = range(FIRST, FIRST + 3)
    table = torch.zeros(1, FIRST + 3, FIRST + 3)
    table[0, a, END] = table[0, START, a] = 3.0
    config = replace(OFF, max_length=11)
    assert words_of(beam_search(TableDecoder(), table_source(table), config).tokens[0, 0]) == (a,)
    scorer = CTCPrefixScorer(spoken(a, b, PAD, b, c, PAD, a))
    found = beam_search(TableDecoder(), table_source(table), replace(config, ctc=0.5), [scorer])
    assert words_of(found.tokens[0, 0]) == (a, b, b, c, a)


class LookingTable(TableDecoder):
    """Looks at place 0 with the first token, then at place 1, ... and stays where the sound ends."""

    def step(self, tokens: Tensor, source: Ready, state: Any) -> Step:
        step = super().step(tokens, source, state[:1])
        place = state[1].clamp_max(4)
        weights = torch.nn.functional.one_hot(place, 5).float().unsqueeze(2).expand(-1, -1, 3, -1)
        return Step(step.logits, weights, (*step.state, state[1] + 1))

    def start(self, source: Ready, n_queries: int) -> Any:
        return *super().start(source, n_queries), torch.zeros(len(source.summary), n_queries, dtype=torch.long)


@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("max_coverage, expected", [(1.0, 5), (3.5, 7), (0.0, 50)])
def test_coverage_stops_a_loop_where_attention_stands_still(max_coverage: float, expected: int, beam: int) -> None:
    config = replace(OFF, beam=beam, max_length=50, max_coverage=max_coverage)
    found = beam_search(LookingTable(), loop_of(FIRST, FIRST + 1), config)
    assert len(words_of(found.tokens[0, 0])) == expected
    assert found.scores.isfinite().any(1).all()


@pytest.mark.parametrize("ratio, places, expected", [(0.5, [8, 3, 0], [4, 1, 0]), (2.0, [8, 3, 30], [16, 6, 50])])
def test_a_sentence_is_no_longer_than_its_sound_allows(ratio: float, places: list[int], expected: list[int]) -> None:
    one = loop_of(FIRST, FIRST + 1)
    source = table_source(one.keys.keys.expand(3, -1, -1).contiguous())
    config = SearchConfig(beam=3, max_length=50, no_repeat=0, min_length=1, max_length_ratio=ratio)
    found = beam_search(TableDecoder(), source, config, n_places=torch.tensor(places))
    assert [len(words_of(row[0])) for row in found.tokens] == expected


def test_a_length_by_places_needs_the_places() -> None:
    with pytest.raises(ConfigError, match="max_length_ratio"):
        beam_search(TableDecoder(), random_source(1, 3, seed=1), SearchConfig(max_length_ratio=1.0))


@pytest.mark.parametrize("margin, expected", [(None, 1), (-3.0, 1), (-1.0, 3), (0.5, 7)])
def test_an_end_counts_only_if_it_is_probable_enough(margin: float | None, expected: int) -> None:
    """The end is 2 below the best word after the first word, even with it after the third, and never 0.5 above."""
    a = FIRST
    table = torch.full((1, FIRST + 7, FIRST + 7), -30.0)
    for n, end in enumerate((-9.0, -2.0, -9.0, 0.0, -9.0, -9.0, -9.0)):
        before = START if n == 0 else a + n - 1
        table[0, before, a + n], table[0, before, END] = 0.0, end
    config = replace(OFF, beam=2, min_length=1, max_length=7, length_penalty=0.0, end_margin=margin)
    found = beam_search(TableDecoder(), table_source(table), config)
    lengths = [len(words_of(row)) for row in found.tokens[0]]
    assert min(lengths) == expected


def test_a_length_bonus_makes_sentences_longer() -> None:
    logits = torch.zeros(FIRST + 2)
    logits[END] = 0.5
    lengths = []
    for bonus in (0.0, 3.0):
        config = replace(OFF, beam=3, max_length=9, length_penalty=0.0, length_bonus=bonus)
        lengths.append(len(words_of(beam_search(TableDecoder(), same_row(logits), config).tokens[0, 0])))
    assert lengths[0] == 0 and lengths[1] > 0
