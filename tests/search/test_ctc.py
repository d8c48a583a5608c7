"""CTC against the enumeration of all alignments, in double precision, and alone against in any batch."""

from itertools import groupby, product

import pytest
import torch
from numpy import logaddexp
from torch import Tensor

from multimodal_attn.memory import Memory, select_inputs, select_queries
from multimodal_attn.search.ctc import CTCHead, ctc_align, ctc_greedy, ctc_loss
from multimodal_attn.search.ctc_prefix import CTCPrefixScorer
from multimodal_attn.tokens import END, PAD, SPECIALS, START

A, B, C = (len(SPECIALS) + n for n in range(3))
V = C + 1
NAN, NEVER = float("nan"), -torch.inf


def heard(n_places: int, seed: int, sharpness: float = 1.0) -> Tensor:
    """Random log-probabilities (S, V) in double precision; of the special tokens only the blank is ever heard."""
    logits = sharpness * torch.randn(n_places, V, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    logits[:, 1 : len(SPECIALS)] = -torch.inf
    return logits.log_softmax(-1)


def spelled(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(token for token, _ in groupby(path) if token != PAD)


def every_sentence(logp: Tensor) -> dict[tuple[int, ...], float]:
    """The probability of every sentence: the sum over all paths that spell it."""
    chances: dict[tuple[int, ...], float] = {}
    p = logp.exp().tolist()
    for path in product((PAD, A, B, C), repeat=len(p)):
        chance = 1.0
        for place, token in enumerate(path):
            chance *= p[place][token]
        chances[spelled(path)] = chances.get(spelled(path), 0.0) + chance
    return chances


def padded(parts: list[Tensor], padding: float = NAN) -> tuple[Tensor, Tensor]:
    """One batch (B, S, V) and its mask."""
    longest = max(map(len, parts))
    logp = torch.full((len(parts), longest, V), padding, dtype=parts[0].dtype)
    for row, part in zip(logp, parts, strict=True):
        row[: len(part)] = part
    return logp, torch.arange(longest) < torch.tensor([[len(part)] for part in parts])


def follow(logp: Tensor, prefixes: list[list[int]], mask: Tensor | None = None) -> Tensor:
    """Scores (B, M, V) of what follows the same M prefixes of equal length for every input, step by step."""
    scorer = CTCPrefixScorer(logp, mask)
    source, state = scorer.start(len(logp))
    tokens = torch.tensor([[START, *prefix] for prefix in prefixes]).expand(len(logp), -1, -1)
    for last in tokens.unbind(-1):
        scores, state = scorer.score(last, source, state)
    return scores


# Prefix scores

PREFIXES = [[], [A], [B], [A, A], [A, B], [A, B, A], [B, B, B], [C, A, A], [A, B, C, A]]


@pytest.mark.parametrize("prefix", PREFIXES, ids=str)
def test_scores_are_those_of_all_alignments_enumerated(prefix: list[int]) -> None:
    logp = heard(5, seed=1)
    chances = every_sentence(logp)

    def starts_with(tokens: tuple[int, ...]) -> float:
        return sum(chance for sentence, chance in chances.items() if sentence[: len(tokens)] == tokens)

    scores = follow(logp.unsqueeze(0), [prefix])[0, 0].exp()
    whole = starts_with(tuple(prefix))
    for token in (A, B, C):
        assert float(scores[token]) == pytest.approx(starts_with((*prefix, token)) / whole, rel=1e-6, abs=1e-12)
    assert float(scores[END]) == pytest.approx(chances[tuple(prefix)] / whole, rel=1e-6)


@pytest.mark.parametrize("n_places", [7, 401])
def test_extensions_and_the_end_of_a_prefix_sum_to_the_prefix(n_places: int) -> None:
    logp = torch.stack([heard(n_places, seed, sharpness=3) for seed in (2, 3)])
    for prefix in PREFIXES:
        assert follow(logp, [prefix])[..., END:].exp().sum(-1).flatten().tolist() == pytest.approx([1, 1], rel=1e-5)


def test_scores_of_a_sentence_sum_to_its_full_probability() -> None:
    parts, sentence = [heard(31, 4, 2.0), heard(43, 5, 2.0), heard(97, 6, 2.0)], [A, B, B, C, A, A, A, C]
    logp, mask = padded(parts)
    scorer = CTCPrefixScorer(logp, mask)
    source, state = scorer.start(3)
    total = torch.zeros(3)
    for last, token in zip([START, *sentence], [*sentence, END], strict=True):
        scores, state = scorer.score(torch.full((3, 1), last), source, state)
        total += scores[:, 0, token]
    for row, part in enumerate(parts):
        loss = torch.nn.functional.ctc_loss(
            part.unsqueeze(1), torch.tensor([sentence]), [len(part)], [len(sentence)], reduction="sum"
        )
        assert float(total[row]) == pytest.approx(-float(loss), rel=1e-5)


def test_a_long_and_sure_sound_is_scored_like_the_recursion_step_by_step() -> None:
    logp = heard(751, seed=7, sharpness=20.0)
    logp[:, PAD] += 50  # mostly blanks, with sudden tokens, like a trained head
    logp = logp.log_softmax(-1)
    prefix = [A, B, B, C, A, C]
    rows = logp.tolist()
    speaking, silent, last = [NEVER] * 752, [0.0, *logp[:, PAD].cumsum(0).tolist()], None
    for token in prefix:
        new_speaking, new_silent = [NEVER], [NEVER]
        for t, row in enumerate(rows):
            ready = silent[t] if token == last else logaddexp(silent[t], speaking[t])
            new_speaking.append(row[token] + logaddexp(new_speaking[t], ready))
            new_silent.append(row[PAD] + logaddexp(new_silent[t], new_speaking[t]))
        speaking, silent, last = new_speaking, new_silent, token
    of_prefix = logaddexp(speaking, silent)
    scores = follow(logp.unsqueeze(0), [prefix])[0, 0]
    for token in (A, B):
        expected = logaddexp.reduce(of_prefix[:-1] + logp[:, token].numpy()) - of_prefix[-1]
        assert float(scores[token] - scores[END]) == pytest.approx(expected, abs=1e-3)


def test_hypotheses_reordered_and_inputs_left_out_go_on_as_they_would_alone() -> None:
    parts = [heard(n, seed=n) for n in (11, 13, 17)]
    logp, mask = padded(parts)
    scorer = CTCPrefixScorer(logp, mask)
    source, state = scorer.start(3)
    _, state = scorer.score(torch.full((3, 1), START), source, state)
    state = select_queries(state, torch.zeros(3, 2, dtype=torch.long))
    _, state = scorer.score(torch.tensor([[A, B]] * 3), source, state)
    source, state = select_inputs((source, select_queries(state, torch.tensor([[1, 0, 1]] * 3))), torch.tensor([2, 0]))
    scores, _ = scorer.score(torch.tensor([[B, B, C]] * 2), source, state)
    for row, part in enumerate((parts[2], parts[0])):
        for column, prefix in enumerate([[B, B], [A, B], [B, C]]):
            torch.testing.assert_close(scores[row, column], follow(part.unsqueeze(0), [prefix])[0, 0])


@pytest.mark.parametrize("padding", [NAN, 0.0, 1e3])
def test_padding_changes_no_score(padding: float) -> None:
    parts = [heard(n, seed=n, sharpness=4).float() for n in (3, 101, 5, 47)]
    prefixes = [[A, B, A], [B, B, C]]
    logp, mask = padded(parts, padding)
    together = follow(logp, prefixes, mask)
    for row, part in enumerate(parts):
        torch.testing.assert_close(together[row], follow(part.unsqueeze(0), prefixes)[0], rtol=0, atol=1e-5)


def test_a_sentence_has_no_more_tokens_than_its_sound_has_places() -> None:
    logp, mask = padded([heard(3, 8), heard(11, 9)])
    full, long = follow(logp, [[A, B, C]], mask)[:, 0]
    assert full[[A, B, C]].tolist() == [NEVER] * 3 and full[END] == 0
    assert long.index_select(0, torch.tensor([END, A, B, C])).isfinite().all()
    assert follow(logp, [[A, B, C, A, B]], mask)[0].max() == NEVER


def test_a_token_that_the_sound_never_had_is_improbable_but_no_nan_appears() -> None:
    logp = torch.full((1, 7, V), -torch.inf)
    logp[:, :, PAD] = 0.0  # nothing but blanks
    scores = follow(logp, [[]])[0, 0]
    assert scores[END] == 0 and scores[A] == NEVER
    assert follow(logp, [[A]]).max() == NEVER


# Greedy reading and forced alignment


def test_the_greedy_sentence_is_the_best_path_without_repeats_and_blanks() -> None:
    paths = [(PAD, A, A, PAD, A, B), (PAD, PAD, PAD), (C, C, B, PAD, PAD, PAD, B)]
    logp, mask = padded([torch.eye(V)[list(path)].log_softmax(-1) for path in paths])
    found = ctc_greedy(logp, mask)
    assert found.tolist() == [[A, A, B, END], [END, PAD, PAD, PAD], [C, B, B, END]]
    assert torch.equal(ctc_greedy(logp[:1, :6]), found[:1])


def test_the_greedy_sentence_never_holds_special_tokens() -> None:
    logp = heard(7, 3).unsqueeze(0)
    logp[..., 1 : len(SPECIALS)] = 5.0
    assert set(ctc_greedy(logp).flatten().tolist()) <= {PAD, END, A, B, C}


@pytest.mark.parametrize("ids", [[A], [A, A], [A, B, A], [C, C, B], [B, C, A, B]], ids=str)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_alignment_is_the_best_of_all_paths(ids: list[int], seed: int) -> None:
    logp = heard(6, seed)
    paths = [path for path in product((PAD, A, B, C), repeat=6) if spelled(path) == tuple(ids)]
    best = max(paths, key=lambda path: float(logp[torch.arange(6), list(path)].sum()))
    runs, place = [], 0
    for token, run in groupby(best):
        start, place = place, place + len(list(run))
        if token != PAD:
            runs.append([start, place])
    assert ctc_align(logp, torch.tensor(ids)).tolist() == runs


def test_a_planted_path_is_found_through_impossible_places() -> None:
    path = [PAD, PAD, A, A, PAD, A, B, PAD, PAD, C, C, C, PAD]
    logp = torch.full((len(path), V), -torch.inf)
    logp[torch.arange(len(path)), path] = 0.0
    assert ctc_align(logp, torch.tensor([A, A, B, C])).tolist() == [[2, 4], [5, 6], [6, 7], [9, 12]]


def test_a_sentence_without_a_path_has_no_alignment() -> None:
    assert ctc_align(heard(3, 1), torch.tensor([A, B, C, A])) is None
    assert ctc_align(heard(3, 1), torch.tensor([A, A, B])) is None
    assert ctc_align(heard(3, 1), torch.tensor([A, B, C])).tolist() == [[0, 1], [1, 2], [2, 3]]
    assert ctc_align(heard(3, 1), torch.tensor([], dtype=torch.long)).shape == (0, 2)


# Head and loss


def test_the_loss_is_the_mean_of_what_all_alignments_give_per_token() -> None:
    parts, sentences = [heard(5, 1), heard(4, 2), heard(3, 3)], [[A, B], [C, C], [B]]
    tokens = torch.tensor([[A, B, END], [C, C, END], [B, END, PAD]])
    expected = [
        -torch.tensor(every_sentence(part)[tuple(ids)]).log() / len(ids)
        for part, ids in zip(parts, sentences, strict=True)
    ]
    assert float(ctc_loss(*padded(parts), tokens)) == pytest.approx(float(sum(expected)) / 3, rel=1e-5)


def test_a_sentence_too_long_for_its_sound_costs_nothing_and_teaches_nothing() -> None:
    logp = heard(3, 1).unsqueeze(0).requires_grad_()
    loss = ctc_loss(logp, torch.ones(1, 3, dtype=torch.bool), torch.tensor([[A, A, B, END]]))
    loss.backward()
    assert float(loss.detach()) == 0 and not logp.grad.any()


def test_the_head_reads_every_place_by_itself_and_no_padding() -> None:
    torch.manual_seed(11)
    head = CTCHead(7, V)
    values, mask = torch.randn(3, 5, 7), torch.arange(5) < torch.tensor([[5], [2], [3]])
    logp = head(Memory(values.masked_fill(~mask.unsqueeze(-1), NAN), mask))
    assert logp.shape == (3, 5, V) and logp.isfinite().all()
    torch.testing.assert_close(logp[1, 1], head(Memory(values[1:2, 1:2]))[0, 0])
    torch.testing.assert_close(logp.exp().sum(-1), torch.ones(3, 5))
