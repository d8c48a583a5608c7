"""The mechanisms that only go forward, against the sum over every way to go, on sizes where all can be listed."""

from collections.abc import Iterator
from itertools import product
from math import exp, prod

import pytest
import torch
from torch import Tensor

from multimodal_attn.attention import Attention
from multimodal_attn.memory import Memory
from tests.attention.test_attention import B, D, M, Q, build, repeat_steps

S, T = 5, 4
LENGTHS = (5, 3)
HEADS = (1, 3)


def problem(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Memory]:
    torch.manual_seed(6)
    mask = torch.arange(S) < torch.tensor(LENGTHS)[:, None]
    return torch.randn(B, M, T, Q, dtype=dtype), Memory(torch.randn(B, S, D, dtype=dtype), mask)


def mechanism(align: str, heads: int, training: bool, **options: float) -> Attention:
    attention = build({"score": "general", "align": align, "heads": heads, "dim": 9, **options}).train(training)
    with torch.no_grad():
        for parameter in attention.align.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return attention


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def walks(stops: list[list[float]]) -> Iterator[tuple[list[int | None], float]]:
    """Every sequence of places where the steps of a monotonic walk may stop, and its probability.

    stops[t][s] is the probability to stop at place s when step t comes by; None is a step that stops nowhere.
    """
    n_places = len(stops[0])

    def go_on(step: int, place: int | None, done: list[int | None], probability: float) -> Iterator:
        if step == len(stops):
            yield done, probability
        elif place is None:
            yield from go_on(step + 1, None, [*done, None], probability)
        else:
            for stop in range(place, n_places):
                past = prod(1 - stops[step][s] for s in range(place, stop))
                yield from go_on(step + 1, stop, [*done, stop], probability * past * stops[step][stop])
            past = prod(1 - stops[step][s] for s in range(place, n_places))
            yield from go_on(step + 1, None, [*done, None], probability * past)

    yield from go_on(0, 0, [], 1.0)


def share_of_chunk(energies: list[float], last: int, chunk: int) -> dict[int, float]:
    places = range(max(0, last - chunk + 1), last + 1)
    total = sum(exp(energies[s]) for s in places)
    return {s: exp(energies[s]) / total for s in places}


def expected_weights(attention: Attention, chunk: int, queries: Tensor, memory: Memory) -> Tensor:
    """Weights (B, M, T, N, S) summed over all walks."""
    heads, two = attention.heads, attention.align.n_scores == 2
    scores = (attention.score.first, attention.score.second) if two else (attention.score, attention.score)
    weights = torch.zeros(B, M, T, heads, S).double()
    for b, m, n in product(range(B), range(M), range(heads)):
        values = memory.values[b, : LENGTHS[b]]
        both = [queries[b, m] @ score.key_map.weight[n * Q : (n + 1) * Q] @ values.T for score in scores]  # (T, S) each
        stop, inside = both[0] + attention.align.bias, both[1].tolist()
        stops = [[sigmoid(e) if attention.training else float(e > 0) for e in row] for row in stop.tolist()]
        total = 0.0
        for stopped, probability in walks(stops):
            total += probability
            for t, place in enumerate(stopped):
                shares = {} if place is None else share_of_chunk(inside[t], place, chunk)
                for s, share in shares.items():
                    weights[b, m, t, n, s] += probability * share
        assert abs(total - 1) < 1e-9
    return weights


@torch.no_grad()
@pytest.mark.parametrize("training", [True, False], ids=["expected", "hard"])
@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("chunk", [0, 1, 2, 3, 9], ids=lambda chunk: f"mocha-{chunk}" if chunk else "monotonic")
def test_weights_are_the_sum_over_all_walks(chunk: int, heads: int, training: bool) -> None:
    options = {"chunk": chunk} if chunk else {}
    attention = mechanism("mocha" if chunk else "monotonic", heads, training, noise=0.0, bias=0.3, **options)
    queries, memory = problem()
    expected = expected_weights(attention, chunk or 1, queries, memory)
    for found in (attention.unroll(queries, attention.project(memory)), repeat_steps(attention, queries, memory)):
        torch.testing.assert_close(found[1], expected)
    assert expected.max() > (0.1 if training else 0.3)


@torch.no_grad()
@pytest.mark.parametrize("n_places", [1, 2, 3, 8, 13])
def test_walk_is_the_recurrence_for_any_number_of_places(n_places: int) -> None:
    torch.manual_seed(2)
    attention = mechanism("monotonic", 1, True, noise=0.0, bias=0.0)
    stops = torch.rand(T, n_places).double() * 0.8
    found = attention.align.unroll(
        stops.logit()[None, None, None] - attention.align.bias, None, torch.zeros(1, 1, T, 1)
    )
    before = [1.0] + [0.0] * (n_places - 1)
    for t in range(T):
        come, now = 0.0, []
        for s in range(n_places):
            come = before[s] + (come * (1 - float(stops[t, s - 1])) if s else 0.0)
            now.append(come * float(stops[t, s]))
        before = now
        torch.testing.assert_close(found.weights[0, 0, 0, t], torch.tensor(now).double())


@torch.no_grad()
def test_expectation_stays_right_where_the_closed_form_divides_zero_by_zero() -> None:
    """600 places, each passed with probability sigmoid(-2): their product is below the smallest single number."""
    attention = mechanism("monotonic", 1, True, noise=0.0, bias=0.0).float()
    attention.align.bias.zero_()
    energies = torch.full((1, 1, 1, 2, 600), 2.0)
    energies[..., 0, :599] = -40.0  # the first step passes all places but the last
    weights = attention.align.unroll(energies, None, torch.zeros(1, 1, 2, 1)).weights[0, 0, 0]
    assert weights.isfinite().all()
    torch.testing.assert_close(weights[:, -1], torch.tensor([sigmoid(2), sigmoid(2) ** 2]))
    energies[..., 0, :] = 2.0
    weights = attention.align.unroll(energies, None, torch.zeros(1, 1, 2, 1)).weights[0, 0, 0]
    go_on = 1 - sigmoid(2)
    torch.testing.assert_close(weights[0, :30], sigmoid(2) * go_on ** torch.arange(30))
    torch.testing.assert_close(weights.sum(-1), torch.ones(2))


def test_noise_is_only_added_in_training() -> None:
    torch.manual_seed(1)
    attention = mechanism("monotonic", 1, True)
    queries, memory = problem()
    keys = attention.project(memory)
    assert not torch.equal(attention.unroll(queries, keys)[1], attention.unroll(queries, keys)[1])
    attention.eval()
    weights = attention.unroll(queries, keys)[1]
    assert torch.equal(weights, attention.unroll(queries, keys)[1])
    assert set(weights.unique().tolist()) == {0.0, 1.0}


# Forward attention


def paths(n_places: int, n_steps: int, reach: int) -> Iterator[tuple[int, ...]]:
    """All places of the steps, where step 0 comes from place 0, and each stays or moves on by 1 to `reach` places."""
    for moves in product(range(reach + 1), repeat=n_steps):
        path = tuple(sum(moves[: t + 1]) for t in range(n_steps))
        if path[-1] < n_places:
            yield path


def weigh_paths(energies: list[list[float]], leanings: list[float], n_places: int, reach: int) -> list[float]:
    """Weights of the last step: leanings[t] is the factor to move at step t, 1 minus it the factor to stay."""
    total = [0.0] * n_places
    for path in paths(n_places, len(energies), reach):
        weight = 1.0
        for t, place in enumerate(path):
            moved = place > (path[t - 1] if t else 0)
            weight *= exp(energies[t][place]) * (leanings[t] if moved else 1 - leanings[t])
        total[path[-1]] += weight
    return [weight / sum(total) for weight in total]


@torch.no_grad()
@pytest.mark.parametrize("reach", [1, 2, 7])
@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("agent", [False, True], ids=["forward", "forward_agent"])
def test_forward_weights_are_the_sum_over_all_paths(agent: bool, heads: int, reach: int) -> None:
    attention = mechanism("forward_agent" if agent else "forward", heads, True, reach=reach)
    queries, memory = problem()
    contexts, found = attention.unroll(queries, attention.project(memory))
    again = repeat_steps(attention, queries, memory)
    torch.testing.assert_close(again[0], contexts)
    torch.testing.assert_close(again[1], found)
    for b, m, n in product(range(B), range(M), range(heads)):
        values, leanings = memory.values[b, : LENGTHS[b]], [0.5]
        rows = (queries[b, m] @ attention.score.key_map.weight[n * Q : (n + 1) * Q] @ values.T).tolist()
        for t in range(T):
            expected = weigh_paths(rows[: t + 1], leanings, LENGTHS[b], reach)
            torch.testing.assert_close(found[b, m, t, n, : LENGTHS[b]], torch.tensor(expected).double())
            seen = torch.cat([contexts[b, m, t], queries[b, m, t]])
            leanings.append(sigmoid(float(attention.align.agent(seen)[n])) if agent else 0.5)


def test_forward_attention_survives_energies_and_an_agent_that_rule_everything_out() -> None:
    attention = mechanism("forward_agent", 1, True).float()
    energies = torch.full((1, 1, 1, S), -1e4)
    energies[..., -1] = 1e4  # the best place is out of reach
    energies.requires_grad_()
    state, query = (torch.eye(S)[-1].expand(1, 1, 1, S), torch.full((1, 1, 1), 200.0)), torch.zeros(1, 1, Q)
    first = attention.align(energies, None, (), query).weights
    stuck = attention.align(energies, None, state, query).weights  # told to move on from the last place
    assert first[..., :2].sum() == 1 and first.isfinite().all() and stuck.isfinite().all()
    (gradient,) = torch.autograd.grad((first.square() + stuck.square()).sum(), energies)
    assert gradient.isfinite().all()
