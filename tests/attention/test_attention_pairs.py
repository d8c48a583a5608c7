"""What every pair of score and alignment owes its users: masks, beams, batches, precisions, and nothing kept."""

import pickle
from itertools import product

import pytest
import torch
from torch import Tensor

from multimodal_attn.attention import ALIGNMENTS, SCORES, Attention
from multimodal_attn.memory import Memory, select_queries
from tests.attention.test_attention import A, B, M, S, T, build, inputs, name_of, repeat_steps

DRAWS = {"hard", "gumbel"}
QUIET = {  # without noise, and with a bias that stops at some places
    "monotonic": {"noise": 0.0, "bias": 0.5},
    "mocha": {"noise": 0.0, "bias": 0.5, "chunk": 2},
    "local_m": {"window": 2},
    "local_p": {"window": 2},
}
CONTENT = [score for score in SCORES if score != "constant"]


def pair(score: str, align: str, heads: int) -> dict:
    return {"score": score, "align": align, "heads": heads, "dim": A, **QUIET.get(align, {})}


# each pair with one number of heads; 1 and 3 take turns
PAIRS = [pair(s, a, 1 + 2 * (i % 2)) for i, (s, a) in enumerate(product(CONTENT, ALIGNMENTS))]
# each score and each alignment with every number of heads
FEW = [pair(score, "softmax", heads) for score, heads in product(CONTENT, (1, 3))]
FEW += [pair("location", align, heads) for align, heads in product(ALIGNMENTS, (1, 3))]
# options that change what is computed, and the sentinel with all that it goes with
MORE = [
    {"score": "mlp", "layers": 3},
    {"score": "gaussian", "learned": True},
    {"score": "location", "cumulative": True},
    {"score": "coverage", "most_fertile": 0},
    *({"score": "additive", "align": name, "sentinel": True} for name in ALIGNMENTS if ALIGNMENTS[name].takes_sentinel),
]
ROUNDED = [*FEW, *({"align": "softmax", "heads": 3, "dim": A} | data for data in MORE)]
every_pair = pytest.mark.parametrize("data", PAIRS, ids=name_of)
every_mechanism = pytest.mark.parametrize("data", FEW, ids=name_of)
every_rounded = pytest.mark.parametrize("data", ROUNDED, ids=name_of)


def unroll(attention: Attention, queries: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
    return attention.unroll(queries, attention.project(memory))


def padded(memory: Memory, filling: float) -> Memory:
    return Memory(memory.values.masked_fill(~memory.mask[..., None], filling), memory.mask)


@torch.no_grad()
@every_pair
def test_one_step_after_the_other_is_all_steps_at_once(data: dict) -> None:
    queries, memory = inputs()
    for training in (False,) if data["align"] in DRAWS else (False, True):
        attention = build(data).train(training)
        for found, expected in zip(
            repeat_steps(attention, queries, memory), unroll(attention, queries, memory), strict=True
        ):
            torch.testing.assert_close(found, expected)


@torch.no_grad()
@every_pair
def test_alone_or_in_a_batch_padded_with_nan_is_the_same(data: dict) -> None:
    attention, (queries, memory) = build(data).eval(), inputs()
    context, weights = unroll(attention, queries, padded(memory, torch.nan))
    n_real = int(memory.mask[1].sum())
    alone = unroll(attention, queries[1:], Memory(memory.values[1:, :n_real]))
    torch.testing.assert_close(context[1:], alone[0])
    torch.testing.assert_close(weights[1:, ..., :n_real], alone[1])
    assert torch.all(weights[1, ..., n_real:] == 0)


@every_pair
def test_row_without_a_real_place_gives_zeros_and_finite_gradients(data: dict) -> None:
    torch.manual_seed(0)
    attention, (queries, memory) = build(data).train(), inputs()
    memory.mask[1] = False
    memory = padded(memory, torch.inf)
    values = memory.values.requires_grad_()
    context, weights, choice = attention.unroll_choices(
        queries.requires_grad_(), attention.project(Memory(values, memory.mask))
    )
    assert torch.all(weights[1] == 0) and torch.all(context[1] == 0)
    loss = context.sum() + (choice.log_prob + choice.entropy if choice else weights).square().sum()
    gradients = torch.autograd.grad(loss, (queries, values, *attention.parameters()), allow_unused=True)
    assert all(gradient is None or gradient.isfinite().all() for gradient in gradients)
    assert torch.all(gradients[1][1] == 0) and torch.any(gradients[1][0] != 0)


@torch.no_grad()
@every_pair
def test_beam_may_reorder_the_state(data: dict) -> None:
    attention, (queries, memory) = build(data).eval(), inputs()
    keys, state = attention.project(memory), attention.start(memory)
    for t in range(2):
        state = attention(queries[:, :, t], keys, state).state
    parents = torch.tensor([[2, 2, 0], [1, 0, 2]])
    found = attention(queries[:, :, 2], keys, select_queries(state, parents)).weights
    rows = torch.arange(B)[:, None]
    histories = torch.cat([queries[rows, parents, :2], queries[:, :, 2:3]], 2)  # each goes on from its parent's
    torch.testing.assert_close(found, unroll(attention, histories, memory)[1][:, :, 2])


@torch.no_grad()
@every_mechanism
def test_many_queries_are_as_many_single_calls(data: dict) -> None:
    attention, (queries, memory) = build(data).eval(), inputs()
    context, weights = unroll(attention, queries, memory)
    for m in range(M):
        alone = unroll(attention, queries[:, m : m + 1], memory)
        torch.testing.assert_close(context[:, m : m + 1], alone[0])
        torch.testing.assert_close(weights[:, m : m + 1], alone[1])


@torch.no_grad()
@every_mechanism
def test_nothing_is_kept_on_the_module_between_steps(data: dict) -> None:
    queries, memory = inputs()
    for training in (False, True):
        attention = build(data).train(training)
        before = pickle.dumps(attention)
        repeat_steps(attention, queries, memory)
        unroll(attention, queries, memory)
        assert pickle.dumps(attention) == before


@torch.no_grad()
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-4), (torch.bfloat16, 0.12)])
@every_rounded
def test_lower_precisions_stay_close(data: dict, dtype: torch.dtype, tolerance: float) -> None:
    queries, memory = inputs()
    # in training mode monotonic weights are an expectation, which is smooth; hard ones may turn with any rounding
    exact, rough = (build(data).to(precision).train(data["align"] not in DRAWS) for precision in (torch.float64, dtype))
    context, weights = unroll(exact, queries, memory)
    found = unroll(rough, queries.to(dtype), Memory(memory.values.to(dtype), memory.mask))
    assert found[0].dtype == dtype and found[1].isfinite().all()
    if data["align"] in DRAWS:
        assert set(found[1].unique().tolist()) == {0.0, 1.0}
        assert (found[1] == weights).all(-1).float().mean() > (0.999 if tolerance < 0.1 else 0.9)
    else:
        torch.testing.assert_close(found[1].double(), weights, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(found[0].double(), context, rtol=tolerance, atol=2 * tolerance)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("align", ["monotonic", "mocha"])
def test_walk_of_rounded_energies_stops_where_that_of_the_same_exact_energies_does(
    align: str, dtype: torch.dtype
) -> None:
    exact, rough = (build(pair("additive", align, 3)).align.eval().to(precision) for precision in (torch.double, dtype))
    energies = torch.randn(exact.n_scores, B, 3, M, T, S, dtype=dtype).squeeze(0)
    queries, mask = inputs()[0], inputs()[1].mask[:, None, None]
    expected = exact.unroll(energies.double(), mask, queries).weights
    found = rough.unroll(energies, mask, queries.to(dtype)).weights
    assert torch.equal(found > 0, expected > 0) and expected.any() and not expected.sum(-1).all()
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)


@every_rounded
def test_autocast_trains_and_decodes(data: dict) -> None:
    torch.manual_seed(0)
    queries, memory = inputs(dtype=torch.float32)
    memory.values.requires_grad_()
    attention = build(data, torch.float32).train()
    with torch.autocast("cpu", torch.bfloat16):
        context, weights, choice = attention.unroll_choices(queries, attention.project(memory))
        steps = repeat_steps(attention.eval(), queries, memory)
    loss = context.float().square().sum() + (choice.log_prob.float().sum() if choice else 0)
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in attention.parameters())
    assert steps[0].shape == context.shape and steps[1].isfinite().all() and weights.shape[-1] == S
