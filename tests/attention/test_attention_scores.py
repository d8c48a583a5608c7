"""Every score beyond the basic ones against its equation, written out place by place and step by step in float64."""

from copy import deepcopy
from itertools import product
from math import exp, log, sqrt

import pytest
import torch
from torch import Tensor

from multimodal_attn.attention import Attention
from multimodal_attn.memory import Memory
from tests.attention.test_attention import A, B, D, M, S, T, build, inputs, name_of, pooled, repeat_steps

OPTIONS = (
    {"score": "mlp", "layers": 1},
    {"score": "mlp", "layers": 3},
    {"score": "cosine"},
    {"score": "cosine", "strength": 2.5},
    {"score": "gaussian"},
    {"score": "gaussian", "width": 1.7},
    {"score": "gaussian", "learned": True},
    {"score": "location", "filters": 2, "width": 5},
    {"score": "location", "filters": 3, "width": 3, "cumulative": True},
    {"score": "coverage"},
    {"score": "coverage", "most_fertile": 0},
)
MECHANISMS = [{"heads": heads, "dim": A, **options} for options, heads in product(OPTIONS, (1, 3))]


def build_moved(data: dict) -> Attention:
    """A mechanism whose parameters all differ from 0 and from one another."""
    attention = build(data)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return attention


class Case:
    """One head of one mechanism: the projections that most scores share."""

    def __init__(self, attention: Attention, data: dict, head: int) -> None:
        self.p = dict(attention.score.named_parameters()) | dict(attention.score.named_buffers())
        self.data, self.head, self.width = data, head, A // data["heads"]
        self.rows = slice(head * self.width, (head + 1) * self.width)

    def query(self, query: Tensor) -> Tensor:
        return self.p["query_map.weight"][self.rows] @ query

    def key(self, value: Tensor) -> Tensor:
        return self.p["key_map.weight"][self.rows] @ value

    def read(self, hidden: Tensor) -> float:
        return float(self.p["v"][self.head] @ (hidden + self.p["query_map.bias"][self.rows]).tanh())


History = list[list[float]]  # the weights of each earlier step


def mlp(case: Case, query: Tensor, values: Tensor, s: int, earlier: History) -> float:
    hidden = (case.query(query) + case.key(values[s]) + case.p["query_map.bias"][case.rows]).tanh()
    for layer in range(case.data["layers"] - 1):
        hidden = (hidden @ case.p["hidden"][layer, case.head] + case.p["hidden_bias"][layer, case.head, 0]).tanh()
    return float(case.p["v"][case.head] @ hidden)


def cosine(case: Case, query: Tensor, values: Tensor, s: int, earlier: History) -> float:
    a, b = case.query(query), case.key(values[s])
    strength = float(case.p["strength_map.weight"][case.head] @ query + case.p["strength_map.bias"][case.head])
    return log(1 + exp(strength)) * float(a @ b) / sqrt(float(a @ a) * float(b @ b))


def gaussian(case: Case, query: Tensor, values: Tensor, s: int, earlier: History) -> float:
    width = case.data.get("width", sqrt(case.width))
    if case.data.get("learned"):
        width = exp(case.p["log_width"][case.head])
    return -sum(float(d) ** 2 for d in case.query(query) - case.key(values[s])) / (2 * width**2)


def location(case: Case, query: Tensor, values: Tensor, s: int, earlier: History) -> float:
    signals = [earlier[-1] if earlier else [0.0] * len(values)]
    if case.data.get("cumulative"):
        signals.append([sum(row[place] for row in earlier) for place in range(len(values))])
    found = torch.zeros(case.data["filters"]).double()
    half = case.data["width"] // 2
    for k, (channel, signal), tap in product(range(len(found)), enumerate(signals), range(case.data["width"])):
        if 0 <= s + tap - half < len(values):
            found[k] += case.p["filters"][case.head * len(found) + k, channel, tap] * signal[s + tap - half]
    return case.read(case.query(query) + case.key(values[s]) + found @ case.p["location_map"][case.head])


def coverage(case: Case, query: Tensor, values: Tensor, s: int, earlier: History) -> float:
    fertility = 1.0
    if case.data.get("most_fertile", 2):
        fertility = 2 / (1 + exp(-float(case.p["fertility_map.weight"][case.head] @ values[s])))
    covered = sum(row[s] for row in earlier) / fertility
    return case.read(case.query(query) + case.key(values[s]) + covered * case.p["u"][case.head])


EQUATIONS = {"mlp": mlp, "cosine": cosine, "gaussian": gaussian, "location": location, "coverage": coverage}


def by_the_equations(attention: Attention, data: dict, queries: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
    contexts, weights = torch.zeros(B, M, T, D).double(), torch.zeros(B, M, T, data["heads"], S).double()
    for b, m in product(range(B), range(M)):
        values = memory.values[b, : int(memory.mask[b].sum())]
        earlier: list[History] = [[] for _ in range(data["heads"])]
        for t, head in product(range(T), range(data["heads"])):
            case = Case(attention, data, head)
            energies = [
                EQUATIONS[data["score"]](case, queries[b, m, t], values, s, earlier[head]) for s in range(len(values))
            ]
            earlier[head].append([exp(e) / sum(map(exp, energies)) for e in energies])
        for t in range(T):
            rows = [history[t] for history in earlier]
            contexts[b, m, t] = pooled(attention, rows, values)
            weights[b, m, t, :, : len(values)] = torch.tensor(rows)
    return contexts, weights


@torch.no_grad()
@pytest.mark.parametrize("data", MECHANISMS, ids=name_of)
def test_contexts_and_weights_follow_the_equations(data: dict) -> None:
    attention, (queries, memory) = build_moved(data), inputs()
    expected = by_the_equations(attention, data, queries, memory)
    for found in (attention.unroll(queries, attention.project(memory)), repeat_steps(attention, queries, memory)):
        torch.testing.assert_close(found[0], expected[0])
        torch.testing.assert_close(found[1], expected[1])


@torch.no_grad()
@pytest.mark.parametrize("data", MECHANISMS, ids=name_of)
def test_energies_follow_the_equations_too_where_a_softmax_would_not_show_it(data: dict) -> None:
    attention, (queries, memory) = build_moved(data), inputs()
    found = attention.score(attention.score.queries(queries[:, :, 0]), attention.project(memory).keys)
    for b, n, m, s in product(range(B), range(data["heads"]), range(M), range(4)):
        values = memory.values[b, : int(memory.mask[b].sum())]
        energy = EQUATIONS[data["score"]](Case(attention, data, n), queries[b, m, 0], values, s, [])
        assert float(found[b, n, m, s]) == pytest.approx(energy)


@pytest.mark.parametrize("data", MECHANISMS, ids=name_of)
def test_gradients_agree_with_finite_differences(data: dict) -> None:
    attention, (queries, memory) = build_moved(data), inputs()
    tensors = (queries[:, :, :3].clone().requires_grad_(), memory.values.requires_grad_(), *attention.parameters())

    def outputs(queries: Tensor, values: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        return attention.unroll(queries, attention.project(Memory(values, memory.mask)))

    assert torch.autograd.gradcheck(outputs, tensors, fast_mode=True)


@torch.no_grad()
@pytest.mark.parametrize("heads", [1, 3])
def test_strength_of_a_cosine_and_width_of_a_kernel_are_as_asked_before_training(heads: int) -> None:
    queries, memory = inputs()
    cosine_score = build({"score": "cosine", "heads": heads, "dim": A, "strength": 4.0}).score
    query, keys = queries[:, :, 0], cosine_score.keys(memory.values)
    torch.testing.assert_close(keys.norm(dim=-1), torch.ones(B, heads, S).double())
    torch.testing.assert_close(cosine_score.queries(query).norm(dim=-1), torch.full((B, heads, M), 4.0).double())
    fixed, learned = (
        build({"score": "gaussian", "heads": heads, "dim": A, "learned": on}).score for on in (False, True)
    )
    torch.testing.assert_close(fixed.log_width.exp(), torch.full((heads,), sqrt(A / heads)).double())
    assert "log_width" in dict(learned.named_parameters()) and "log_width" not in fixed.state_dict()


def energies_of(attention: Attention, query: Tensor, values: Tensor) -> Tensor:
    looked = attention.score.remember(torch.linspace(0, 1, B * M * S).view(B, M, 1, S).to(values.dtype), ())
    keys = attention.project(Memory(values)).keys
    return attention.score(attention.score.queries(query), keys, looked).double()


@torch.no_grad()
@pytest.mark.parametrize("autocast", [False, True], ids=["bfloat16", "autocast"])
@pytest.mark.parametrize("score", ["additive", "mlp", "location", "coverage"])
def test_large_sum_of_v_costs_no_digits_in_half_precision(score: str, autocast: bool) -> None:
    """As 2 v . sigmoid(2 x) - sum(v), the energies would have the rounding error of two numbers near 50."""
    exact = build({"score": score, "dim": 512})
    exact.score.v.add_(0.1)
    assert exact.score.v.sum() > 40
    dtype = torch.float32 if autocast else torch.bfloat16
    queries, memory = inputs()
    expected = energies_of(exact, queries[:, :, 0], memory.values)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = energies_of(deepcopy(exact).to(dtype), queries[:, :, 0].to(dtype), memory.values.to(dtype))
    error = (found - expected).square().mean().sqrt()
    assert error < 0.02 * expected.std()


@torch.no_grad()
def test_long_sums_of_weights_keep_single_precision_in_bfloat16() -> None:
    attention = build({"score": "coverage", "dim": A}, torch.bfloat16)
    looked, few = (), torch.full((1, 1, 1, S), 0.001, dtype=torch.bfloat16)
    for _ in range(1000):  # in bfloat16 the sum would stop growing at 0.25
        looked = attention.score.remember(few, looked)
    torch.testing.assert_close(looked[0].double(), 1000 * few.double(), rtol=1e-3, atol=0)


@torch.no_grad()
@pytest.mark.parametrize("score", ["location", "coverage"])
def test_both_scores_of_a_chunkwise_alignment_read_the_earlier_weights(score: str) -> None:
    attention, (queries, memory) = build_moved({"score": score, "align": "mocha", "dim": A}), inputs()
    twin, query = attention.score, queries[:, :, 0]
    looked = twin.remember(torch.rand(B, M, 1, S).double(), ())
    for number, single in enumerate((twin.first, twin.second)):
        expected = single(single.queries(query), single.keys(memory.values), looked)
        torch.testing.assert_close(twin(twin.queries(query), twin.keys(memory.values), looked)[number], expected)
        assert not torch.allclose(expected, single(single.queries(query), single.keys(memory.values)))
