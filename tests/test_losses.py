"""Losses from their equations, in plain loops, and what padding must not do to them."""

from itertools import product
from math import exp, log

import pytest
import torch
from torch import Tensor

from multimodal_attn.attention import Choice
from multimodal_attn.losses import (
    coverage,
    cross_entropy,
    doubly_stochastic,
    grounding,
    guided_attention,
    mean_entropy,
    self_critical,
)
from tasks.training.module import draw_loss

B, M, T, N, S, V = 2, 3, 5, 3, 7, 11
LENGTHS = ((5, 2, 0), (1, 4, 3))  # tokens of each sentence; one is empty


def sentences() -> tuple[Tensor, Tensor]:
    """Weights (B, M, T, N, S) and real (B, M, T)."""
    torch.manual_seed(1)
    real = torch.arange(T) < torch.tensor(LENGTHS).unsqueeze(-1)
    return torch.randn(B, M, T, N, S, dtype=torch.float64).softmax(-1), real


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_the_mean_over_tokens_with_smoothed_targets(smoothing: float) -> None:
    torch.manual_seed(2)
    logits, targets, expected = torch.randn(T, V), torch.randint(V, (T,)), 0.0
    for row, target in zip(logits.tolist(), targets.tolist(), strict=True):
        logp = [x - log(sum(map(exp, row))) for x in row]
        expected -= ((1 - smoothing) * logp[target] + smoothing * sum(logp) / V) / T
    assert float(cross_entropy(logits, targets, smoothing)) == pytest.approx(expected, rel=1e-5)


def test_cross_entropy_of_half_precision_is_computed_in_single() -> None:
    torch.manual_seed(3)
    logits, targets = torch.randn(T, V).bfloat16(), torch.randint(V, (T,))
    assert torch.equal(cross_entropy(logits, targets), cross_entropy(logits.float(), targets))


def test_doubly_stochastic_compares_each_place_with_its_fair_share() -> None:
    weights, real = sentences()
    expected, n = 0.0, 0
    for b, m in product(range(B), range(M)):
        length = LENGTHS[b][m]
        for head, place in product(range(N), range(S)) if length else ():
            attended = sum(float(weights[b, m, t, head, place]) for t in range(length))
            expected, n = expected + (1 - attended * S / length) ** 2, n + 1
    assert float(doubly_stochastic(weights, real)) == pytest.approx(expected / n)


def test_doubly_stochastic_is_zero_for_even_attention_and_large_for_a_stare() -> None:
    _, real = sentences()
    even = torch.full((B, M, T, N, S), 1 / S)
    stare = torch.zeros(B, M, T, N, S)
    stare[..., 3] = 1
    assert float(doubly_stochastic(even, real)) == pytest.approx(0, abs=1e-12)
    assert float(doubly_stochastic(stare, real)) == pytest.approx(((S - 1) ** 2 + S - 1) / S)


def test_padded_tokens_and_empty_sentences_leave_no_trace_in_the_regularisers() -> None:
    weights, real = sentences()
    other = torch.where(real[..., None, None], weights, 9.0).requires_grad_()
    for loss in (doubly_stochastic, mean_entropy):
        assert loss(other, real).item() == pytest.approx(loss(weights, real).item())
        (gradient,) = torch.autograd.grad(loss(other, real), other)
        assert gradient.isfinite().all()
        assert torch.equal(gradient.abs().sum((-1, -2)) > 0, real)


def test_entropy_counts_the_nats_of_choosing() -> None:
    weights, real = sentences()
    entropies = [-sum(w * log(w) for w in row) for row in weights[real].flatten(0, 1).tolist()]
    assert float(mean_entropy(weights, real)) == pytest.approx(sum(entropies) / len(entropies))
    one_place = torch.nn.functional.one_hot(torch.zeros(B, M, T, N, dtype=torch.long), S).float()
    assert float(mean_entropy(one_place, real)) == 0
    assert float(mean_entropy(torch.full_like(one_place, 1 / S), real)) == pytest.approx(log(S))


# Self-critical


def test_self_critical_is_reward_above_the_other_samples_times_log_probability() -> None:
    torch.manual_seed(4)
    _, real = sentences()
    logp, rewards, expected = -torch.rand(B, M, T), torch.rand(B, M), 0.0
    for b, m in product(range(B), range(M)):
        others = [float(rewards[b, k]) for k in range(M) if k != m]
        advantage = float(rewards[b, m]) - sum(others) / (M - 1)
        expected -= advantage * sum(float(logp[b, m, t]) for t in range(LENGTHS[b][m]))
    assert float(self_critical(logp, rewards, real)) == pytest.approx(expected / sum(map(sum, LENGTHS)), rel=1e-5)


def test_better_samples_become_more_probable_and_worse_ones_less() -> None:
    real = torch.ones(1, M, T, dtype=torch.bool)
    real[0, :, 3:] = False
    logp = torch.full((1, M, T), -1.0, requires_grad=True)
    self_critical(logp, torch.tensor([[0.2, 1.5, 0.85]]), real).backward()
    worse, better, average = logp.grad[0, :, :3]
    assert torch.all(better < 0) and torch.all(worse > 0)  # descent goes against the gradient
    torch.testing.assert_close(average, torch.zeros(3), atol=1e-7, rtol=0)
    assert torch.all(logp.grad[0, :, 3:] == 0)


def test_equal_rewards_teach_nothing() -> None:
    logp = torch.full((B, M, T), -1.0, requires_grad=True)
    self_critical(logp, torch.full((B, M), 0.5), torch.ones(B, M, T, dtype=torch.bool)).backward()
    assert torch.all(logp.grad == 0)


# Regularisers of attention


def test_coverage_is_the_overlap_with_what_was_looked_at_before() -> None:
    weights, real = sentences()
    expected, n = 0.0, 0
    for b, m, head in product(range(B), range(M), range(N)):
        before = [0.0] * S
        for t in range(LENGTHS[b][m]):
            now = weights[b, m, t, head].tolist()
            expected += sum(map(min, now, before))
            before, n = [sum(pair) for pair in zip(before, now, strict=True)], n + 1
    assert float(coverage(weights, real)) == pytest.approx(expected / n)


def test_coverage_costs_nothing_for_ever_new_places_and_all_for_a_stare() -> None:
    real = torch.ones(B, M, T, dtype=torch.bool)
    new = torch.eye(T, S).expand(B, M, T, S).unsqueeze(-2)
    assert float(coverage(new, real)) == 0
    assert float(coverage(new[:, :, :1].expand_as(new), real)) == pytest.approx((T - 1) / T)  # the first is never old


def test_guided_attention_weighs_the_distance_from_the_diagonal_of_each_sentence() -> None:
    weights, real = sentences()
    n_places, expected, n = (7, 5), 0.0, 0
    weights[1, ..., 5:] = 0  # padding of the second input
    for b, m, head in product(range(B), range(M), range(N)):
        for t in range(LENGTHS[b][m]):
            for s in range(n_places[b]):
                apart = s / n_places[b] - t / LENGTHS[b][m]
                expected += float(weights[b, m, t, head, s]) * (1 - exp(-(apart**2) / (2 * 0.3**2)))
            n += 1
    found = guided_attention(weights, real, torch.tensor(n_places), width=0.3)
    assert float(found) == pytest.approx(expected / n)


def test_guided_attention_costs_nothing_on_the_diagonal_and_much_away_from_it() -> None:
    real = torch.ones(1, 1, S, dtype=torch.bool)
    diagonal = torch.eye(S).view(1, 1, S, 1, S)
    assert float(guided_attention(diagonal, real, torch.tensor([S]))) == 0
    assert float(guided_attention(diagonal.flip(2), real, torch.tensor([S]))) > 0.5


def places_and_tokens() -> tuple[Tensor, Tensor]:
    """What each place would say, logp (B, S, V), and tokens (B, M, T)."""
    torch.manual_seed(4)
    return torch.randn(B, S, V, dtype=torch.float64).log_softmax(-1), torch.randint(V, (B, M, T))


def test_grounding_is_the_mixture_of_what_the_places_would_say() -> None:
    (weights, real), (logp, tokens) = sentences(), places_and_tokens()
    expected, n = 0.0, 0
    for b, m, head in product(range(B), range(M), range(N)):
        for t in range(LENGTHS[b][m]):
            said = [exp(float(logp[b, s, tokens[b, m, t]])) for s in range(S)]
            expected -= log(sum(float(w) * p for w, p in zip(weights[b, m, t, head], said, strict=True)))
            n += 1
    assert float(grounding(weights, logp, tokens, real)) == pytest.approx(expected / n)


def test_grounding_draws_attention_to_the_only_place_that_names_the_token() -> None:
    logits = torch.zeros(1, S, V)
    logits[0, 4, 3] = 6.0  # place 4 says token 3, the others anything
    energies = torch.zeros(1, 1, 2, 1, S, requires_grad=True)
    tokens, real = torch.tensor([[[3, 7]]]), torch.ones(1, 1, 2, dtype=torch.bool)
    grounding(energies.softmax(-1), logits.log_softmax(-1), tokens, real).backward()
    pulls = -energies.grad[0, 0, :, 0]  # (T, S)
    assert pulls[0].argmax() == 4 and (pulls[0, :4] < 0).all()
    assert pulls[1].argmin() == 4 and pulls[1].abs().max() < pulls[0].abs().max() / 3


def every_regulariser(weights: Tensor, real: Tensor) -> list[Tensor]:
    n_places = torch.full((B,), S)
    others = [loss(weights, real) for loss in (doubly_stochastic, mean_entropy, coverage)]
    return [*others, guided_attention(weights, real, n_places), grounding(weights, *places_and_tokens(), real)]


def test_padded_tokens_and_empty_sentences_leave_no_trace_in_any_regulariser() -> None:
    weights, real = sentences()
    other = torch.where(real[..., None, None], weights, 9.0).requires_grad_()
    for there, here in zip(every_regulariser(other, real), every_regulariser(weights, real), strict=True):
        assert there.item() == pytest.approx(here.item())
        (gradient,) = torch.autograd.grad(there, other)
        assert gradient.isfinite().all()
        assert not gradient[~real].any() and gradient[real].any()


def test_weights_of_no_heads_and_sentences_of_no_tokens_cost_nothing() -> None:
    weights, real = sentences()
    assert [float(loss) for loss in every_regulariser(weights[:, :, :, :0], real)] == [0.0] * 5
    assert [float(loss) for loss in every_regulariser(weights, torch.zeros_like(real))] == [0.0] * 5


def test_weights_of_exactly_zero_have_a_finite_gradient() -> None:
    _, real = sentences()
    weights = torch.nn.functional.one_hot(torch.zeros(B, M, T, N, dtype=torch.long), S).double().requires_grad_()
    sum(every_regulariser(weights, real)).backward()
    assert weights.grad.isfinite().all()


def test_draws_are_judged_by_their_own_sentence_against_the_others() -> None:
    """Of two sentences the likelier one's draws are made more probable, the other's less."""
    tokens = torch.tensor([[[4, 2]], [[5, 2]]])  # (B, M, T)
    logits = torch.zeros(4, 7)
    logits[torch.arange(4), tokens.flatten()] = torch.tensor([3.0, 3.0, -3.0, -3.0])
    log_prob = torch.zeros(2, 1, 2, 1, requires_grad=True)
    draw_loss(Choice(log_prob, torch.zeros(2, 1, 2, 1)), logits, tokens).backward()
    gradient = log_prob.grad.flatten()
    assert (gradient[:2] < 0).all() and (gradient[2:] > 0).all()
    logp = logits.log_softmax(-1)[torch.arange(4), tokens.flatten()]
    expected = -(logp[0] + logp[1] - 2 * logp[2:].mean()) / 4  # the first draw answers for both tokens
    assert torch.isclose(gradient[0], expected)
