"""The attention core against its equations, each written out place by place in float64."""

import pickle
from itertools import product
from math import exp, sqrt

import pytest
import torch
from torch import Tensor, nn

from multimodal_attn.attention import Attention, NoAttention, build_attention
from multimodal_attn.memory import Memory, select_queries

B, S, M, T = 2, 7, 3, 5  # inputs, places, queries per input, steps
Q, D, A = 11, 15, 21  # widths of query, memory and attention; both last are multiples of 3 heads
SCORES = ("additive", "dot", "scaled_dot", "general")
ALIGNMENTS = ({"align": "softmax"}, {"align": "softmax", "temperature": 0.3}, {"align": "uniform"}, {"align": "static"})
MECHANISMS = [
    {"score": score, "heads": heads, "dim": A, **align} for score, heads, align in product(SCORES, (1, 3), ALIGNMENTS)
]
UNPROJECTED = [
    {"score": score, "project": False, "dim": D, **align}
    for score, align in product(("dot", "scaled_dot"), ALIGNMENTS)
    if align["align"] != "uniform"
]


def name_of(data: dict) -> str:
    return "-".join(map(str, data.values()))


def build(data: dict, dtype: torch.dtype = torch.float64) -> Attention:
    torch.manual_seed(3)
    return build_attention(data, D if data.get("project") is False else Q, D).to(dtype)


def inputs(query_dim: int = Q, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Memory]:
    """Queries (B, M, T, Q), and a memory with 7 and 4 real places."""
    torch.manual_seed(4)
    mask = torch.arange(S) < torch.tensor([[S], [4]])
    return torch.randn(B, M, T, query_dim, dtype=dtype), Memory(torch.randn(B, S, D, dtype=dtype), mask)


def inputs_for(data: dict) -> tuple[Tensor, Memory]:
    return inputs(D if data.get("project") is False else Q)


def repeat_steps(attention: Attention, queries: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
    """What `unroll` must equal: contexts (B, M, T, D) and weights (B, M, T, N, S) of one step after the other."""
    keys, state, steps = attention.project(memory), attention.start(memory), []
    for query in queries.unbind(2):
        context, weights, state, _ = attention(query, keys, state)
        steps.append((context, weights))
    contexts, weights = (torch.stack(parts, 2) for parts in zip(*steps, strict=True))
    return contexts, weights


# The equations, for one input, one query and one head


def energy(attention: Attention, data: dict, head: int, query: Tensor, value: Tensor) -> float:
    p = dict(attention.score.named_parameters())
    if data["score"] == "general":  # q . W x
        return float(query @ p["key_map.weight"][head * Q : (head + 1) * Q] @ value)
    width = A // data.get("heads", 1)
    rows = slice(head * width, (head + 1) * width)
    if data["score"] == "additive":  # v . tanh(W_q q + b + W_k x)
        hidden = p["query_map.weight"][rows] @ query + p["query_map.bias"][rows] + p["key_map.weight"][rows] @ value
        return float(p["v"][head] @ hidden.tanh())
    if data.get("project") is False:
        width, product_ = D, query @ value
    else:
        product_ = (p["query_map.weight"][rows] @ query) @ (p["key_map.weight"][rows] @ value)
    return float(product_) / (sqrt(width) if data["score"] == "scaled_dot" else 1)


def distribution(attention: Attention, data: dict, head: int, query: Tensor, values: Tensor) -> list[float]:
    """Weights over the real places."""
    if data["align"] == "uniform":
        return [1 / len(values)] * len(values)
    powers = [exp(energy(attention, data, head, query, x) / data.get("temperature", 1)) for x in values]
    return [power / sum(powers) for power in powers]


def pooled(attention: Attention, weights: list[list[float]], values: Tensor) -> Tensor:
    """The weighted sum; with several heads, of each head's share of the projected values, joined and mapped (D,)."""
    if len(weights) == 1:
        return sum(w * x for w, x in zip(weights[0], values, strict=True))
    parts, width = [], D // len(weights)
    for head, row in enumerate(weights):
        part = slice(head * width, (head + 1) * width)
        parts.append(sum(w * attention.value_map(x)[part] for w, x in zip(row, values, strict=True)))
    return attention.output_map(torch.cat(parts))


def by_the_equations(attention: Attention, data: dict, queries: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
    heads = data.get("heads", 1)
    contexts, weights = torch.zeros(B, M, T, D).double(), torch.zeros(B, M, T, heads, S).double()
    for b, m, t in product(range(B), range(M), range(T)):
        values = memory.values[b, : int(memory.mask[b].sum())]
        asked = queries[b, m, 0 if data["align"] == "static" else t]
        rows = [distribution(attention, data, head, asked, values) for head in range(heads)]
        contexts[b, m, t] = pooled(attention, rows, values)
        weights[b, m, t, :, : len(values)] = torch.tensor(rows)
    return contexts, weights


@torch.no_grad()
@pytest.mark.parametrize("data", MECHANISMS + UNPROJECTED, ids=name_of)
def test_contexts_and_weights_follow_the_equations(data: dict) -> None:
    attention, (queries, memory) = build(data), inputs_for(data)
    expected = by_the_equations(attention, data, queries, memory)
    for found in (attention.unroll(queries, attention.project(memory)), repeat_steps(attention, queries, memory)):
        torch.testing.assert_close(found[0], expected[0])
        torch.testing.assert_close(found[1], expected[1])


@pytest.mark.parametrize("data", MECHANISMS + UNPROJECTED, ids=name_of)
def test_gradients_agree_with_finite_differences(data: dict) -> None:
    attention, (queries, memory) = build(data), inputs_for(data)
    parameters = list(attention.parameters())
    tensors = (queries[:, :, :2].clone().requires_grad_(), memory.values.requires_grad_(), *parameters)

    def outputs(queries: Tensor, values: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        return attention.unroll(queries, attention.project(Memory(values, memory.mask)))

    assert torch.autograd.gradcheck(outputs, tensors, fast_mode=True)


def test_heads_of_scaled_dot_are_those_of_torch() -> None:
    width, heads = 15, 3
    torch.manual_seed(5)
    ours = build_attention({"score": "scaled_dot", "heads": heads, "dim": width}, width, width).double()
    theirs = nn.MultiheadAttention(width, heads, batch_first=True, dtype=torch.float64)
    maps = (ours.score.query_map, ours.score.key_map, ours.value_map, ours.output_map)
    biases = [torch.zeros(width).double() if layer.bias is None else layer.bias for layer in maps]
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([layer.weight for layer in maps[:3]]))
        theirs.in_proj_bias.copy_(torch.cat(biases[:3]))
        theirs.out_proj.weight.copy_(maps[3].weight)
        theirs.out_proj.bias.copy_(biases[3])
    queries, memory = inputs(width)
    query, values = queries[:, :, 0], memory.values
    found = ours(query, ours.project(memory), ())
    expected = theirs(query, values, values, key_padding_mask=~memory.mask, average_attn_weights=False)
    torch.testing.assert_close(found.context, expected[0])
    torch.testing.assert_close(found.weights, expected[1].transpose(1, 2))


# Masks


@pytest.mark.parametrize("padding", [float("nan"), float("inf"), 1e30])
@pytest.mark.parametrize("data", MECHANISMS, ids=name_of)
def test_masked_places_receive_no_weight_and_leave_no_trace(data: dict, padding: float) -> None:
    attention, (queries, memory) = build(data, torch.float32), inputs(dtype=torch.float32)

    def look(filling: float) -> tuple[Tensor, Tensor, list[Tensor]]:
        values = memory.values.masked_fill(~memory.mask[..., None], filling).requires_grad_()
        contexts, weights = attention.unroll(queries, attention.project(Memory(values, memory.mask)))
        gradients = torch.autograd.grad(contexts.square().sum(), (values, *attention.parameters()), allow_unused=True)
        return contexts, weights, [gradient for gradient in gradients if gradient is not None]

    contexts, weights, gradients = look(padding)
    assert torch.all(weights[~memory.mask[:, None, None, None].expand_as(weights)] == 0)
    torch.testing.assert_close(weights.sum(-1), torch.ones(B, M, T, data["heads"]))
    assert torch.equal(contexts, look(0)[0])
    assert all(map(torch.equal, gradients, look(0)[2]))


@pytest.mark.parametrize("data", MECHANISMS, ids=name_of)
def test_row_without_a_real_place_gives_zeros_and_finite_gradients(data: dict) -> None:
    attention, (queries, memory) = build(data), inputs()
    mask = memory.mask.clone()
    mask[1] = False
    tensors = (queries.requires_grad_(), memory.values.requires_grad_(), *attention.parameters())
    contexts, weights = attention.unroll(queries, attention.project(Memory(memory.values, mask)))
    assert torch.all(weights[1] == 0)
    assert torch.all(contexts[1] == 0)
    assert torch.all(contexts[0] != 0)
    gradients = torch.autograd.grad(contexts.sum(), tensors, allow_unused=True)
    assert all(gradient is None or gradient.isfinite().all() for gradient in gradients)


# Queries, states, and what is kept


@torch.no_grad()
@pytest.mark.parametrize("data", MECHANISMS, ids=name_of)
def test_many_queries_are_as_many_single_calls(data: dict) -> None:
    attention, (queries, memory) = build(data), inputs()
    contexts, weights = repeat_steps(attention, queries, memory)
    for m in range(M):
        alone = repeat_steps(attention, queries[:, m : m + 1], memory)
        torch.testing.assert_close(contexts[:, m : m + 1], alone[0])
        torch.testing.assert_close(weights[:, m : m + 1], alone[1])


@torch.no_grad()
def test_additive_energies_do_not_depend_on_the_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    attention, (queries, memory) = build({"score": "additive", "heads": 3, "dim": A}), inputs()
    whole = attention.unroll(queries, attention.project(memory))
    monkeypatch.setattr("multimodal_attn.attention.scores.BLOCK", 2 * B * S * A)  # two queries of fifteen at a time
    for part, expected in zip(attention.unroll(queries, attention.project(memory)), whole, strict=True):
        torch.testing.assert_close(part, expected)


@torch.no_grad()
@pytest.mark.parametrize("data", MECHANISMS, ids=name_of)
def test_beam_may_reorder_the_state(data: dict) -> None:
    attention, (queries, memory) = build(data), inputs()
    keys, state = attention.project(memory), attention.start(memory)
    state = attention(queries[:, :, 0], keys, state).state
    parents = torch.tensor([[2, 2, 0], [1, 0, 2]])
    found = attention(queries[:, :, 1], keys, select_queries(state, parents))
    for b, m in product(range(B), range(M)):  # hypothesis m goes on from its parent's history
        history = torch.stack([queries[b, parents[b, m], 0], queries[b, m, 1]])[None, None]
        own = Memory(memory.values[b : b + 1], memory.mask[b : b + 1])
        torch.testing.assert_close(found.weights[b, m], repeat_steps(attention, history, own)[1][0, 0, 1])


@torch.no_grad()
@pytest.mark.parametrize("data", MECHANISMS, ids=name_of)
def test_nothing_is_kept_on_the_module_between_steps(data: dict) -> None:
    attention, (queries, memory) = build(data), inputs()
    before = pickle.dumps(attention)
    repeat_steps(attention, queries, memory)
    attention.unroll(queries, attention.project(memory))
    assert pickle.dumps(attention) == before


@torch.no_grad()
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.bfloat16, 0.06)])
@pytest.mark.parametrize("data", MECHANISMS, ids=name_of)
def test_lower_precisions_stay_close(data: dict, dtype: torch.dtype, tolerance: float) -> None:
    queries, memory = inputs()
    exact = build(data)
    rough = build(data).to(dtype)
    contexts, weights = exact.unroll(queries, exact.project(memory))
    found = rough.unroll(queries.to(dtype), rough.project(Memory(memory.values.to(dtype), memory.mask)))
    assert found[0].dtype == dtype
    torch.testing.assert_close(found[0].double(), contexts, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(found[1].double(), weights, rtol=tolerance, atol=tolerance)


# Without attention


@torch.no_grad()
def test_no_attention_gives_an_empty_context_and_no_heads() -> None:
    attention = build_attention({"align": "none"}, Q, D)
    queries, memory = inputs()
    assert isinstance(attention, NoAttention) and attention.context_dim == 0
    keys = attention.project(memory)
    step = attention(queries[:, :, 0], keys, attention.start(memory))
    assert step.context.shape == (B, M, 0) and step.weights.shape == (B, M, 0, S)
    contexts, weights = attention.unroll(queries, keys)
    assert contexts.shape == (B, M, T, 0) and weights.shape == (B, M, T, 0, S)
