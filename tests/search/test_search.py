"""Search against enumeration, against a beam search written with plain lists, and alone against in any batch."""

from math import exp

import pytest
import torch
from torch import Tensor

from multimodal_attn.decoders import Decoder, DecoderConfig, Ready, Step, build_decoder
from multimodal_attn.errors import ConfigError
from multimodal_attn.memory import Memory
from multimodal_attn.search import SearchConfig, beam_search, sample
from multimodal_attn.tokens import END, PAD, START, UNKNOWN
from tests.table_decoder import (
    FIRST,
    Sentence,
    TableDecoder,
    every_sentence,
    listed_beam_search,
    log_probabilities,
    n_best,
    random_source,
    repeats,
    same_row,
    words_of,
)


def assert_same(found: list[Sentence], expected: list[Sentence]) -> None:
    assert [words for words, _ in found] == [words for words, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-5)


CONFIGS = [
    {"no_repeat": 0, "min_length": 0},
    {"no_repeat": 1, "min_length": 1, "length_penalty": 0.0},
    {"no_repeat": 2, "min_length": 2, "length_penalty": 0.7},
    {"no_repeat": 3, "min_length": 0, "length_penalty": 2.0},
]


@pytest.mark.parametrize("options", CONFIGS, ids=str)
def test_wide_beam_finds_every_sentence_in_the_order_of_enumeration(options: dict) -> None:
    source = random_source(2, 3, seed=1)
    config = SearchConfig(beam=41, max_length=3, **options)  # 1 + 3 + 9 + 27 sentences, and one more
    found = beam_search(TableDecoder(), source, config)
    for row in range(2):
        assert_same(n_best(found.tokens[row], found.scores[row]), every_sentence(source, row, config))


@pytest.mark.parametrize("beam", [1, 2, 3, 5])
@pytest.mark.parametrize("options", CONFIGS, ids=str)
def test_beam_search_is_the_one_written_with_lists(options: dict, beam: int) -> None:
    source = random_source(13, 7, seed=2)
    config = SearchConfig(beam=beam, max_length=7, **options)
    found = beam_search(TableDecoder(), source, config)
    for row in range(13):
        assert_same(n_best(found.tokens[row], found.scores[row]), listed_beam_search(source, row, config))


def test_sentences_come_best_first_and_once() -> None:
    found = beam_search(TableDecoder(), random_source(11, 5, seed=3), SearchConfig(beam=5, max_length=6))
    for tokens, scores in zip(*found, strict=True):
        assert scores.tolist() == sorted(scores.tolist(), reverse=True)
        assert len({words_of(row) for row in tokens}) == 5


# Rules


@pytest.mark.parametrize("beam", [1, 3])
def test_special_tokens_never_appear_however_probable(beam: int) -> None:
    logits = torch.zeros(11)
    logits[[PAD, START, UNKNOWN]] = 30.0
    config = SearchConfig(beam=beam, max_length=5, no_repeat=0)
    assert all(
        min(words_of(row), default=FIRST) >= FIRST
        for row in beam_search(TableDecoder(), same_row(logits), config).tokens[0]
    )
    for row in sample(TableDecoder(), same_row(logits), 7, max_length=5)[0][0]:
        assert min(words_of(row), default=FIRST) >= FIRST


@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("end, expected", [(30.0, 2), (-30.0, 5)])
def test_lengths_stay_between_their_limits(end: float, expected: int, beam: int) -> None:
    logits = torch.zeros(11)
    logits[END] = end
    config = SearchConfig(beam=beam, min_length=2, max_length=5, no_repeat=0)
    found = beam_search(TableDecoder(), same_row(logits), config)
    assert {len(words_of(row)) for row in found.tokens[0]} == {expected}
    assert found.scores.isfinite().all()


@pytest.mark.parametrize("beam", [1, 2])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_no_sequence_of_n_tokens_comes_twice(n: int, beam: int) -> None:
    logits = torch.zeros(7)
    logits[FIRST] = 3.0  # would be said again and again
    logits[END] = -30.0
    limits = {"beam": beam, "min_length": 3, "max_length": 3 if n == 1 else 7}
    free, kept = (beam_search(TableDecoder(), same_row(logits), SearchConfig(no_repeat=k, **limits)) for k in (0, n))
    assert repeats(words_of(free.tokens[0, 0]), n)
    assert not any(repeats(words_of(row), n) for row in kept.tokens[0])


def test_sequence_stays_forbidden_though_its_last_token_followed_others_too() -> None:
    a, b, c, x, y, other = range(FIRST, FIRST + 6)
    script = [a, b, c, x, y, c, a, b, c, a]  # the second a b c is forbidden, and x y c must not make it allowed

    class Script(TableDecoder):
        def step(self, tokens: Tensor, source: Ready, state: tuple[Tensor]) -> Step:
            logits = torch.zeros(*tokens.shape, FIRST + 6)
            logits[..., other], logits[..., script[int(state[0].max())]] = 1.0, 2.0
            return Step(logits, tokens, (state[0] + 1,))

    config = SearchConfig(beam=1, no_repeat=3, min_length=9, max_length=9)
    found = beam_search(Script(), same_row(torch.zeros(FIRST + 6)), config)
    assert words_of(found.tokens[0, 0]) == (a, b, c, x, y, c, a, b, other)


def test_sentence_ends_when_nothing_else_is_left_to_say() -> None:
    config = SearchConfig(beam=2, no_repeat=1, min_length=5, max_length=7)
    found = beam_search(TableDecoder(), same_row(torch.zeros(FIRST + 3)), config)
    assert [len(words_of(row)) for row in found.tokens[0]] == [3, 3]
    assert found.scores.isfinite().all()


# Ties


def test_equal_tokens_are_taken_lowest_first() -> None:
    logits = torch.full((1009,), -9.0)
    logits[[503, 97, 811]] = 2.0
    config = SearchConfig(beam=1, min_length=2, max_length=2, no_repeat=0)
    assert words_of(beam_search(TableDecoder(), same_row(logits), config).tokens[0, 0]) == (97, 97)
    config = SearchConfig(beam=3, min_length=1, max_length=1)
    found = beam_search(TableDecoder(), same_row(logits), config).tokens[0]
    assert [words_of(row) for row in found] == [(97,), (503,), (811,)]


def test_equal_hypotheses_are_taken_in_the_order_of_their_parents() -> None:
    config = SearchConfig(beam=3, min_length=2, max_length=2, no_repeat=0)
    found = beam_search(TableDecoder(), same_row(torch.zeros(1009)), config).tokens[0]
    assert [words_of(row) for row in found] == [(4, 4), (4, 5), (4, 6)]


def test_end_wins_a_tie_because_its_id_is_lower() -> None:
    config = SearchConfig(beam=1, min_length=1, max_length=5)
    assert words_of(beam_search(TableDecoder(), same_row(torch.zeros(101)), config).tokens[0, 0]) == (4,)


# Real decoders

MECHANISMS = [
    ("between", {"score": "scaled_dot"}),
    ("before", {"score": "additive"}),
    ("between", {"score": "general", "align": "static", "heads": 3}),
    ("before", {"align": "none"}),
]


def build(form: str, attention: dict) -> Decoder:
    torch.manual_seed(5)
    decoder = build_decoder(DecoderConfig(form, attention, dim=9, dropout=0.5), memory_dim=7, n_tokens=23).eval()
    for name, parameter in decoder.named_parameters():
        parameter.data *= 1 if name == "embedding.weight" else 2  # to make it choose
    return decoder


def memories(n: int) -> list[Tensor]:
    """One (S, D) each, of 3 to 11 places."""
    torch.manual_seed(6)
    return [2 * torch.randn(3 + int(torch.randint(9, ())), 7) for _ in range(n)]


def batch_of(parts: list[Tensor], padding: float = float("nan")) -> Memory:
    longest = max(map(len, parts))
    values = torch.full((len(parts), longest, parts[0].shape[1]), padding)
    for row, part in zip(values, parts, strict=True):
        row[: len(part)] = part
    return Memory(values, torch.arange(longest) < torch.tensor([[len(part)] for part in parts]))


@torch.no_grad()
@pytest.mark.parametrize("form, attention, beam", [(*MECHANISMS[0], 1), *((*one, 3) for one in MECHANISMS)])
def test_result_does_not_depend_on_what_else_is_in_the_batch(form: str, attention: dict, beam: int) -> None:
    decoder, parts = build(form, attention), memories(64)
    config = SearchConfig(beam=beam, max_length=11)
    alone = [beam_search(decoder, decoder.read(Memory(part.unsqueeze(0))), config) for part in parts]
    tokens, scores = torch.cat([one.tokens for one in alone]), torch.cat([one.scores for one in alone])
    assert len({tuple(row) for row in tokens[:, 0].tolist()}) > 7  # the inputs differ, so mixing them up would show
    for size in (2, 7, 16, 64):
        for index in torch.randperm(64).split(size):
            source = decoder.read(batch_of([parts[i] for i in index]))
            found = beam_search(decoder, source, config)
            assert torch.equal(found.tokens, tokens[index])
            torch.testing.assert_close(found.scores, scores[index], rtol=0, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("form, attention", MECHANISMS)
def test_beam_of_one_is_greedy(form: str, attention: dict) -> None:
    decoder, parts = build(form, attention), memories(17)
    found = beam_search(decoder, decoder.read(batch_of(parts)), SearchConfig(1, no_repeat=0, max_length=11))
    for tokens, part in zip(found.tokens, parts, strict=True):
        source = decoder.read(Memory(part.unsqueeze(0)))
        state, ids = decoder.start(source, 1), [START]
        while ids[-1] != END and len(ids) <= 11:
            logits, _, state = decoder.step(torch.tensor([ids[-1:]]), source, state)
            logits[..., [PAD, START, UNKNOWN]] = -torch.inf
            if len(ids) == 1:
                logits[..., END] = -torch.inf
            ids.append(int(logits.argmax()))
        assert words_of(tokens[0]) == tuple(token for token in ids[1:] if token != END)


@torch.no_grad()
@pytest.mark.parametrize("form, attention", MECHANISMS)
def test_score_is_the_mean_log_probability_under_teacher_forcing(form: str, attention: dict) -> None:
    decoder = build(form, attention)
    source = decoder.read(batch_of(memories(5)))
    tokens, scores = beam_search(decoder, source, SearchConfig(beam=3, max_length=11))
    before = torch.cat([torch.full_like(tokens[..., :1], START), tokens[..., :-1]], -1)
    logp = (
        decoder.logits(decoder.unroll(before, source)[0]).log_softmax(-1).gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    )
    real = tokens != PAD
    torch.testing.assert_close((logp * real).sum(-1) / real.sum(-1), scores, rtol=1e-4, atol=1e-5)


def test_search_builds_no_graph() -> None:
    decoder = build("between", {})
    assert not beam_search(decoder, decoder.read(batch_of(memories(2))), SearchConfig()).scores.requires_grad


# Sampling


def test_samples_follow_the_softmax_at_their_temperature() -> None:
    source, n, temperature = random_source(2, 3, seed=7), 5000, 0.7
    drawn, chosen = sample(TableDecoder(), source, n, max_length=2, temperature=temperature)
    assert drawn.shape == chosen.shape == (2, n, 3)
    assert not chosen[..., 2].any() and torch.equal(chosen[..., :2], drawn[..., :2] != PAD)
    for row in range(2):

        def chances(prefix: tuple[int, ...], row: int = row) -> dict[int, float]:
            logp = log_probabilities(source, row, prefix)
            powers = {token: exp(logp[token] / temperature) for token in (END, *range(FIRST, len(logp)))}
            return {token: power / sum(powers.values()) for token, power in powers.items()}

        sentences = [words_of(tokens) for tokens in drawn[row]]
        expected = {(): chances(())[END]}
        for a in range(FIRST, FIRST + 3):
            expected[a,] = chances(())[a] * chances((a,))[END]
            expected |= {(a, b): chances(())[a] * chances((a,))[b] for b in range(FIRST, FIRST + 3)}
        assert sum(expected.values()) == pytest.approx(1)
        chi_square = sum((sentences.count(s) - n * p) ** 2 / (n * p) for s, p in expected.items())
        assert chi_square < 39.1  # 12 degrees of freedom: one honest sampler in 10,000 is beyond


def test_samples_stop_when_all_have_ended() -> None:
    logits = torch.zeros(11)
    logits[END] = 30.0
    tokens, chosen = sample(TableDecoder(), same_row(logits), 7, max_length=5)
    assert tokens.tolist() == [[[END]] * 7] and chosen.all()


@pytest.mark.parametrize(
    "options", [{"beam": 0}, {"max_length": 0}, {"min_length": -1}, {"min_length": 31}, {"no_repeat": -1}], ids=str
)
def test_impossible_search_is_refused_in_one_line(options: dict) -> None:
    with pytest.raises(ConfigError) as caught:
        SearchConfig(**options)
    assert next(iter(options)) in str(caught.value) and "\n" not in str(caught.value)
