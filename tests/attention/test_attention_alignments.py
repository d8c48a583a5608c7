"""Every alignment beyond the basic ones against its definition, found in another way: bisection, plain sums, paths."""

from collections.abc import Callable
from itertools import product
from math import exp, tanh

import pytest
import torch
from torch import Tensor

from multimodal_attn.attention import Choice, Gumbel, Hard, reinforce
from tests.attention.test_attention import B, D, M, Q, S, T, build, inputs

N = 3
MASK = (torch.arange(S) < torch.tensor([[S], [4], [0]]))[:, None, None]  # (3, 1, 1, S)


def energies(seed: int = 8, scale: float = 1.5) -> Tensor:
    """(3, N, M, T, S)"""
    return scale * torch.randn(3, N, M, T, S, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def queries() -> Tensor:
    return torch.randn(3, M, T, Q, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


def build_alignment(name: str, training: bool = False, **options: float) -> torch.nn.Module:
    data = {"score": "general", "align": name, "heads": N, "dim": 9, **options}
    return build(data).align.train(training)


def check_rows(name: str, row: Callable[[list[float], int], list[float]], **options: float) -> None:
    """Compare every row of weights, batched over steps, with row(energies of the real places, step)."""
    found = build_alignment(name, **options).unroll(energies(), MASK, queries()).weights
    for b, n, m, t in product(range(3), range(N), range(M), range(T)):
        real = int(MASK[b].sum())
        expected = row(energies()[b, n, m, t, :real].tolist(), t) if real else []
        expected = torch.tensor(expected + [0.0] * (S - real)).double()
        torch.testing.assert_close(found[b, n, m, t], expected, rtol=1e-6, atol=1e-8)


def softmax(row: list[float]) -> list[float]:
    return [exp(e) / sum(map(exp, row)) for e in row]


def bisect(sum_above: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function of the threshold passes 1."""
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if sum_above(middle) > 1 else (low, middle)
    return low


# Sparse


@pytest.mark.parametrize("name, scale, power", [("sparsemax", 1.0, 1), ("entmax_1.5", 0.5, 2)])
def test_sparse_weights_have_the_one_threshold_that_makes_their_sum_1(name: str, scale: float, power: int) -> None:
    def row(values: list[float], step: int) -> list[float]:
        def above(threshold: float) -> list[float]:
            return [max(scale * e - threshold, 0.0) ** power for e in values]

        return above(bisect(lambda threshold: sum(above(threshold)), min(values) * scale - 1, max(values) * scale))

    check_rows(name, row)


@pytest.mark.parametrize("name", ["sparsemax", "entmax_1.5"])
def test_sparse_weights_are_right_for_ties_and_for_energies_far_apart(name: str) -> None:
    align = build_alignment(name)
    ties = torch.tensor([[2.0, 2.0, -1e4, 2.0, -1e30], [0.0, 0.0, 0.0, 0.0, 0.0], [1e4, -1e4, 3.0, 0.0, 0.0]])
    weights = align(ties[:, None, None], None, (), queries()[:, :, 0]).weights[:, 0, 0]
    expected = torch.tensor([[1 / 3, 1 / 3, 0, 1 / 3, 0], [0.2] * 5, [1, 0, 0, 0, 0]])
    torch.testing.assert_close(weights, expected)


@pytest.mark.parametrize("name", ["sparsemax", "entmax_1.5"])
def test_sparse_weights_are_exactly_zero_somewhere_and_sum_to_1(name: str) -> None:
    weights = build_alignment(name).unroll(energies(), MASK, queries()).weights[0]
    assert (weights == 0).any() and ((weights > 0).sum(-1) > 1).any()
    torch.testing.assert_close(weights.sum(-1), torch.ones(N, M, T).double())


# Windows


@pytest.mark.parametrize("window, rate", [(1, 1.0), (2, 0.5), (2, 1.7), (1, 9.0)])
def test_local_m_is_a_softmax_over_the_places_around_the_step(window: int, rate: float) -> None:
    def row(values: list[float], step: int) -> list[float]:
        centre = min(rate * step, len(values) - 1)
        near = [abs(place - centre) <= window for place in range(len(values))]
        total = sum(exp(e) for e, inside in zip(values, near, strict=True) if inside)
        return [exp(e) / total if inside else 0.0 for e, inside in zip(values, near, strict=True)]

    check_rows("local_m", row, window=window, rate=rate)


@pytest.mark.parametrize("window", [1, 3])
def test_local_p_is_a_softmax_under_a_gaussian_around_the_predicted_place(window: int) -> None:
    align = build_alignment("local_p", window=window)
    with torch.no_grad():
        for parameter in align.parameters():
            parameter.mul_(3)
        found = align.unroll(energies(), MASK, queries()).weights
    inner, outer = align.position[0].weight.detach(), align.position[2].weight.detach()
    for b, n, m, t in product(range(2), range(N), range(M), range(T)):
        n_places = int(MASK[b].sum())
        hidden = [tanh(float(row @ queries()[b, m, t])) for row in inner]
        place = n_places / (1 + exp(-sum(float(v) * h for v, h in zip(outer[n], hidden, strict=True))))
        near = [s for s in range(n_places) if abs(s - place) <= window]
        shares = softmax([float(energies()[b, n, m, t, s]) for s in near])
        expected = torch.zeros(S).double()
        for s, share in zip(near, shares, strict=True):
            expected[s] = share * exp(-((s - place) ** 2) / (2 * (window / 2) ** 2))
        torch.testing.assert_close(found[b, n, m, t], expected)


# Hard


@pytest.mark.parametrize("name", ["hard", "gumbel"])
def test_hard_attention_takes_the_best_real_place_in_evaluation(name: str) -> None:
    check_rows(name, lambda values, step: [float(e == max(values)) for e in values])


@pytest.mark.parametrize("align", [Hard(soft=0.0), Gumbel()], ids=["hard", "gumbel"])
def test_places_are_drawn_as_often_as_the_softmax_says(align: torch.nn.Module) -> None:
    torch.manual_seed(0)
    n_draws, row = 20_000, torch.tensor([0.3, -1.0, 1.2, 0.0, 5.0])
    mask = torch.tensor([True, True, True, True, False])[None, None, None]
    weights = align.train().unroll(row.expand(1, 1, 1, n_draws, 5), mask, torch.zeros(1, 1, n_draws, 1)).weights
    torch.testing.assert_close(weights.amax(-1), torch.ones(1, 1, 1, n_draws))
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 1, 1, n_draws))
    share = torch.tensor(softmax(row[:4].tolist()) + [0.0])
    deviation = (share * (1 - share) / n_draws).sqrt()
    assert torch.all((weights.mean((0, 1, 2, 3)) - share).abs() <= 4 * deviation)


def test_draws_of_hard_attention_come_with_their_log_probability_and_entropy() -> None:
    torch.manual_seed(0)
    aligned = build_alignment("hard", training=True, soft=0.0).unroll(energies(), MASK, queries())
    for b, n, m, t in product(range(2), range(N), range(M), range(T)):
        share = torch.tensor(softmax(energies()[b, n, m, t, : int(MASK[b].sum())].tolist())).double()
        drawn = aligned.weights[b, n, m, t].argmax()
        torch.testing.assert_close(aligned.choice.log_prob[b, n, m, t], share[drawn].log())
        torch.testing.assert_close(aligned.choice.entropy[b, n, m, t], -(share * share.log()).sum())
    assert torch.all(aligned.choice.log_prob[2] == 0) and torch.all(aligned.choice.entropy[2] == 0)


def test_soft_sentences_of_hard_attention_are_soft_at_every_step_and_have_drawn_nothing() -> None:
    torch.manual_seed(0)
    attention = build({"score": "general", "align": "hard", "soft": 0.5}).train()
    asked, memory = inputs()
    keys, state, soft = attention.project(memory), (), []
    for query in asked.unbind(2):
        _, weights, state, choice = attention(query, keys, state)
        soft.append(weights.amax(-1) < 1)
        assert torch.all((choice.log_prob == 0) == soft[-1])
    assert all(torch.equal(step, soft[0]) for step in soft) and soft[0].any() and not soft[0].all()
    _, weights, choice = attention.unroll_choices(asked, keys)
    assert torch.equal((weights.amax(-1) < 1).all(2), (weights.amax(-1) < 1).any(2))
    assert torch.equal(weights.amax(-1) < 1, choice.log_prob == 0)


def test_reinforce_has_the_gradient_of_the_expected_reward_in_the_mean() -> None:
    torch.manual_seed(0)
    n_draws, mask = 40_000, torch.tensor([True, True, True, False])
    likelihood = torch.tensor([[-1.0, -3.0, -0.2, 0.0], [-2.0, -0.5, -1.0, 0.0]]).double()  # (T, S)
    logits = torch.tensor([[0.5, -0.3, 0.1, 2.0], [0.2, 0.9, -0.4, 2.0]]).double().requires_grad_()
    share = logits.masked_fill(~mask, -torch.inf).softmax(-1)
    entropy = -(share * share.clamp_min(1e-300).log()).sum(-1)
    (exact,) = torch.autograd.grad(-((share * likelihood).sum(-1) + 0.3 * entropy).mean(), logits)

    aligned = (
        Hard(soft=0.0)
        .train()
        .unroll(logits.expand(n_draws, 1, 1, 2, 4), mask[None, None, None], torch.zeros(n_draws, 1, 2, 1))
    )
    drawn = (aligned.weights[:, 0] * likelihood).sum(-1)  # (n_draws, M = 1, T)
    choice = Choice(*(part.permute(0, 2, 3, 1) for part in aligned.choice))
    real = torch.ones_like(drawn, dtype=torch.bool)
    for baseline in (0.0, -1.5):
        (found,) = torch.autograd.grad(reinforce(choice, drawn, real, baseline, 0.3), logits, retain_graph=True)
        torch.testing.assert_close(found, exact, rtol=0, atol=0.012)
    assert exact.abs().max() > 0.1


def test_reinforce_counts_no_token_after_the_end() -> None:
    real = torch.tensor([[[True, True, False]]])
    log_prob = torch.tensor([[[-1.0, -2.0, -3.0]]]).unsqueeze(-1).requires_grad_()
    choice = Choice(log_prob, torch.zeros(1, 1, 3, 1))
    (found,) = torch.autograd.grad(reinforce(choice, torch.tensor([[[-0.5, -0.25, -9.0]]]), real), log_prob)
    torch.testing.assert_close(found.flatten(), torch.tensor([0.375, 0.125, 0.0]))  # rewards -0.75 and -0.25, halved


def test_straight_through_gradient_is_that_of_the_softmax_with_the_same_noise() -> None:
    row, pull = energies().float().requires_grad_(), torch.randn(3, N, M, T, S)
    torch.manual_seed(5)
    hard = Gumbel(temperature=0.7).train().unroll(row, None, queries()).weights
    torch.manual_seed(5)
    noisy = row - torch.empty_like(row).exponential_().log()
    (expected,) = torch.autograd.grad(((noisy / 0.7).softmax(-1) * pull).sum(), row)
    torch.testing.assert_close(torch.autograd.grad((hard * pull).sum(), row)[0], expected)
    assert torch.equal(hard.argmax(-1), noisy.argmax(-1))


def test_shapes_are_those_of_the_contract() -> None:
    attention = build({"score": "additive", "align": "hard", "heads": 3, "dim": 9}).train()
    asked, memory = inputs()
    context, weights, choice = attention.unroll_choices(asked, attention.project(memory))
    assert context.shape == (B, M, T, D) and weights.shape == (B, M, T, 3, S)
    assert choice.log_prob.shape == choice.entropy.shape == (B, M, T, 3)
