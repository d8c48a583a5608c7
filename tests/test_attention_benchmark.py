"""The textbook forms that speed is measured against compute the same functions, so that only their cost differs."""

import pytest
import torch
from torch import Tensor

from benchmarks import textbook_attention
from benchmarks.attention import mechanisms, pair_of_runs, problem
from multimodal_attn.attention import build_attention
from multimodal_attn.memory import Memory

DRAWS = {"hard", "gumbel"}
OPTIONS = {"monotonic": {"noise": 0.0}, "mocha": {"noise": 0.0}, "local_m": {"window": 2}, "local_p": {"window": 3}}
LEARNABLE = [name for name in mechanisms() if name[1] != "uniform"]


def small() -> tuple[Tensor, Memory]:
    torch.manual_seed(2)
    return problem(n_inputs=3, n_places=11, n_steps=5, width=7)


@pytest.mark.parametrize("name", [name for name in mechanisms() if name[1] not in DRAWS], ids="-".join)
def test_textbook_mechanism_has_the_weights_and_gradients_of_ours(name: tuple[str, str]) -> None:
    queries, memory = small()
    data = {"score": name[0], "align": name[1], "dim": 7, **OPTIONS.get(name[1], {})}
    ours = build_attention(data, 7, 7).train()
    context, weights = (part[:, 0] for part in ours.unroll(queries.unsqueeze(1), ours.project(memory)))
    expected = textbook_attention.unroll(ours, name, queries, memory)
    torch.testing.assert_close(context, expected[0])
    torch.testing.assert_close(weights[:, :, 0], expected[1])
    for found, wanted in zip(
        _gradients(context, queries, memory), _gradients(expected[0], queries, memory), strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", [("scaled_dot", align) for align in sorted(DRAWS)], ids="-".join)
def test_textbook_draws_one_place_as_ours_does(name: tuple[str, str]) -> None:
    queries, memory = small()
    ours, textbook = pair_of_runs(name, queries, memory)
    assert ours()[:, 0].shape == textbook().shape
    weights = textbook_attention.unroll(
        build_attention({"align": name[1], "dim": 7}, 7, 7), ("additive", name[1]), queries, memory
    )[1]
    torch.testing.assert_close(weights.amax(-1), torch.ones(3, 5))


def _gradients(context: Tensor, queries: Tensor, memory: Memory) -> list[Tensor]:
    gradients = torch.autograd.grad(
        context.square().sum(), (queries, memory.values), allow_unused=True, retain_graph=True
    )
    return [torch.zeros(1) if gradient is None else gradient for gradient in gradients]
