"""The sentinel against its equations, and what it owes its users: masks, batches, and an honest share."""

import re
from itertools import product
from math import exp

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from multimodal_attn.attention import ALIGNMENTS, Attention, build_attention
from multimodal_attn.errors import ConfigError
from multimodal_attn.memory import Memory, select_queries
from tests.attention.test_attention import A, B, D, M, Q, S, T, build, energy, inputs, name_of, repeat_steps
from tests.decoders import test_decoders as decoders
from tests.planted import N_ANSWERS, Planted, Solver, plant

FIT = ("softmax", "hard", "gumbel", "sparsemax", "entmax_1.5")
# scores that remember nothing, all steps at once, and those that read the earlier weights, one by one
CASES = [
    {"score": score, "align": align, "heads": heads, "dim": A, "sentinel": True}
    for (score, heads), align in product([("additive", 1), ("general", 3), ("location", 3), ("coverage", 1)], FIT)
]
every_case = pytest.mark.parametrize("data", CASES, ids=name_of)
REFERENCES = [
    {"score": score, "align": "softmax", "heads": heads, "dim": A, "sentinel": True}
    for score, heads in product(("additive", "scaled_dot", "general"), (1, 3))
]


def unroll(attention: Attention, queries: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
    return attention.unroll(queries, attention.project(memory))


# The equations, for one query


def sentinel_of(attention: Attention, query: Tensor) -> Tensor:
    """Eq. 9 and 10, with the query in place of the memory cell. (D,)"""
    p = dict(attention.align.named_parameters())
    gate = 1 / (1 + torch.exp(-(p["gate.weight"] @ query + p["gate.bias"])))
    return gate * torch.tanh(p["content.weight"] @ query + p["content.bias"])


def sentinel_energy(attention: Attention, head: int, query: Tensor) -> float:
    """Eq. 12"""
    p, width = dict(attention.align.score.named_parameters()), A // attention.heads
    rows = slice(head * width, (head + 1) * width)
    asked = p["query_map.weight"][rows] @ query + p["query_map.bias"][rows]
    return float(p["v"][head] @ torch.tanh(asked + p["key_map.weight"][rows] @ sentinel_of(attention, query)))


def by_the_equations(attention: Attention, data: dict, query: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Context (D,) and the weights of the real places and the sentinel (N, s + 1) of one query."""
    rows = []
    for head in range(data["heads"]):
        powers = [exp(energy(attention, data, head, query, x)) for x in values]
        powers.append(exp(sentinel_energy(attention, head, query)))
        rows.append([power / sum(powers) for power in powers])
    places = [*(attention.value_map(x) for x in values), sentinel_of(attention, query)]
    width = D // data["heads"]
    parts = [
        sum(w * x[head * width : (head + 1) * width] for w, x in zip(row, places, strict=True))
        for head, row in enumerate(rows)
    ]
    return attention.output_map(torch.cat(parts)), torch.tensor(rows, dtype=torch.float64)


@torch.no_grad()
@pytest.mark.parametrize("data", REFERENCES, ids=name_of)
def test_contexts_and_weights_follow_the_equations(data: dict) -> None:
    attention, (queries, memory) = build(data), inputs()
    contexts, weights = unroll(attention, queries, memory)
    assert contexts.shape == (B, M, T, D) and weights.shape == (B, M, T, data["heads"], S)
    for b, m, t in product(range(B), range(M), range(T)):
        n_real = int(memory.mask[b].sum())
        context, rows = by_the_equations(attention, data, queries[b, m, t], memory.values[b, :n_real])
        torch.testing.assert_close(contexts[b, m, t], context)
        torch.testing.assert_close(weights[b, m, t, :, :n_real], rows[:, :-1])
        torch.testing.assert_close(1 - weights[b, m, t].sum(-1), rows[:, -1])


@pytest.mark.parametrize("data", [*REFERENCES, REFERENCES[1] | {"score": "location"}], ids=name_of)
def test_gradients_agree_with_finite_differences(data: dict) -> None:
    attention, (queries, memory) = build(data), inputs()
    tensors = (queries[:, :, :2].clone().requires_grad_(), memory.values.requires_grad_(), *attention.parameters())

    def outputs(queries: Tensor, values: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        return unroll(attention, queries, Memory(values, memory.mask))

    assert torch.autograd.gradcheck(outputs, tensors, fast_mode=True)


@torch.no_grad()
@pytest.mark.parametrize("align", FIT)
def test_sentinel_is_one_more_place_for_the_alignment(align: str) -> None:
    """With energies and values as if the sentinel stood among the places, the plain alignment gives the same."""
    data = {"score": "dot", "align": align, "heads": 3, "dim": A, "sentinel": True}
    attention, (queries, memory) = build(data).eval(), inputs()
    query = queries[:, :, 0]
    s, own = attention.align.look_inward(query)
    keys = attention.project(memory)
    energies = torch.cat([attention.score(attention.score.queries(query), keys.keys), own], -1)
    mask = torch.cat([memory.mask, torch.ones(B, 1, dtype=torch.bool)], 1)[:, None, None]
    expected = build_attention(data | {"sentinel": False}, Q, D).eval().align(energies, mask, (), query).weights
    found = attention(query, keys, ())
    torch.testing.assert_close(found.weights.transpose(1, 2), expected[..., :-1])
    context = expected[..., :-1] @ keys.values + expected[..., -1:] * s
    torch.testing.assert_close(found.context, attention.output_map(context.transpose(1, 2).flatten(2)))


# Masks, states and batches


@every_case
def test_input_without_a_real_place_leaves_the_sentinel_alone_and_finite_gradients(data: dict) -> None:
    torch.manual_seed(0)
    attention, (queries, memory) = build(data).train(), inputs()
    memory.mask[1] = False
    values = memory.values.masked_fill(~memory.mask[..., None], torch.inf).requires_grad_()
    keys = attention.project(Memory(values, memory.mask))
    context, weights, choice = attention.unroll_choices(queries.requires_grad_(), keys)
    alone = torch.stack([sentinel_of(attention, query) for query in queries[1].flatten(0, 1)]).unflatten(0, (M, T))
    assert torch.all(weights[1] == 0)
    torch.testing.assert_close(context[1], attention.output_map(alone))
    loss = context.sum() + (choice.log_prob + choice.entropy if choice else weights).square().sum()
    gradients = torch.autograd.grad(loss, (queries, values, *attention.parameters()), allow_unused=True)
    assert all(gradient is None or gradient.isfinite().all() for gradient in gradients)
    assert gradients[1][~memory.mask].eq(0).all()


@torch.no_grad()
@every_case
def test_one_step_after_the_other_is_all_steps_at_once(data: dict) -> None:
    attention, (queries, memory) = build(data).eval(), inputs()
    expected = unroll(attention, queries, memory)
    for found, part in zip(repeat_steps(attention, queries, memory), expected, strict=True):
        torch.testing.assert_close(found, part)


@torch.no_grad()
@every_case
def test_alone_or_in_a_batch_padded_with_nan_is_the_same(data: dict) -> None:
    attention, (queries, memory) = build(data).eval(), inputs()
    n_real = int(memory.mask[1].sum())
    padded = memory.values.masked_fill(~memory.mask[..., None], torch.nan)
    context, weights = unroll(attention, queries, Memory(padded, memory.mask))
    alone = unroll(attention, queries[1:], Memory(memory.values[1:, :n_real]))
    torch.testing.assert_close(context[1:], alone[0])
    torch.testing.assert_close(weights[1:, ..., :n_real], alone[1])
    assert torch.all(weights[1, ..., n_real:] == 0)


@torch.no_grad()
@every_case
def test_beam_may_reorder_the_state(data: dict) -> None:
    attention, (queries, memory) = build(data).eval(), inputs()
    keys = attention.project(memory)
    state = attention(queries[:, :, 0], keys, attention.start(memory)).state
    parents = torch.tensor([[2, 2, 0], [1, 0, 2]])
    found = attention(queries[:, :, 1], keys, select_queries(state, parents))
    for b, m in product(range(B), range(M)):  # hypothesis m goes on from its parent's history
        history = torch.stack([queries[b, parents[b, m], 0], queries[b, m, 1]])[None, None]
        own = Memory(memory.values[b : b + 1], memory.mask[b : b + 1])
        context, weights = repeat_steps(attention, history, own)
        torch.testing.assert_close(found.weights[b, m], weights[0, 0, 1])
        torch.testing.assert_close(found.context[b, m], context[0, 0, 1])


@torch.no_grad()
@pytest.mark.parametrize("form", decoders.FORMS)
def test_every_decoder_takes_a_sentinel_and_its_unroll_is_the_step_repeated(form: str) -> None:
    decoder, given = decoders.build(form, {"score": "additive", "sentinel": True}), decoders.inputs()
    found = decoders.unroll(decoder, *given)
    for part, expected in zip(found, decoders.repeat_steps(decoder, *given), strict=True):
        torch.testing.assert_close(part, expected)
    assert torch.all(found[1].sum(-1) < 0.999)


# What it is for


def plant_known(n: int) -> tuple[Planted, Tensor]:
    """The planted task with about half of the tokens told the answer instead of the place; which: (n, 1, T)."""
    task = plant("sequence", n)
    known = torch.rand(task.answers.shape) < 0.5
    cue = task.queries[..., :-T] * ~known[..., None]
    told = functional.one_hot(task.answers, N_ANSWERS) * known[..., None]
    return task._replace(queries=torch.cat([cue, told], -1)), known


def test_sentinel_takes_the_tokens_that_need_no_look() -> None:
    torch.manual_seed(1)
    solver = Solver({"score": "additive", "sentinel": True}, plant_known(1)[0])
    optimizer = torch.optim.Adam(solver.parameters(), 0.02)
    for _ in range(200):
        optimizer.zero_grad()
        solver.loss(plant_known(64)[0]).backward()
        optimizer.step()
    task, known = plant_known(256)
    with torch.no_grad():
        _, weights = solver.attention.unroll(task.queries, solver.attention.project(task.memory))
    share = 1 - weights.sum(-1).squeeze(-1)
    assert solver.accuracy(task)[0] > 0.99
    assert share[known].mean() > 0.9 and share[~known].mean() < 0.1


# Configuration


def test_parameters_are_as_before_without_a_sentinel() -> None:
    plain = {name for name, _ in build({"score": "additive", "heads": 3, "dim": A}).named_parameters()}
    told = {
        name for name, _ in build({"score": "additive", "heads": 3, "dim": A, "sentinel": False}).named_parameters()
    }
    more = {name for name, _ in build({"score": "additive", "heads": 3, "dim": A, "sentinel": True}).named_parameters()}
    assert plain == told == {name for name in more if not name.startswith("align.")} < more


@pytest.mark.parametrize("align", [*sorted(set(ALIGNMENTS) - set(FIT)), "none"])
def test_other_alignments_refuse_a_sentinel_in_one_line(align: str) -> None:
    message = f"attention: no sentinel goes with align '{align}'; it goes with {', '.join(FIT)}"
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        build_attention({"align": align, "dim": A, "sentinel": True}, Q, D)
