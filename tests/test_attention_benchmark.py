"""The textbook forms that speed is measured against compute the same functions, so that only their cost differs."""

import pytest
import torch
from torch import Tensor

from benchmarks import textbook_attention
from benchmarks.attention import HEADS, SENTINEL, build, measure, mechanisms, pair_of_layers, pair_of_runs, problem
from multimodal_attn.attention import ALIGNMENTS, SCORES, Choice, Dot, reinforce
from multimodal_attn.memory import Memory

DRAWS = {"hard", "gumbel"}
OPTIONS = {"monotonic": {"noise": 0.0}, "mocha": {"noise": 0.0}, "local_m": {"window": 2}, "local_p": {"window": 3}}
PLAIN = [name for name in mechanisms() if textbook_attention.has_plain(name)]


def small() -> tuple[Tensor, Memory]:
    torch.manual_seed(2)
    return problem(n_inputs=3, n_places=11, n_steps=5, width=7)


@pytest.mark.parametrize("name", [name for name in PLAIN if name[1] not in DRAWS], ids="-".join)
def test_textbook_mechanism_has_the_weights_and_gradients_of_ours(name: tuple[str, str]) -> None:
    queries, memory = small()
    ours = build(name, 7, **OPTIONS.get(name[1], {}))
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
    attention = build(name, 7)
    for weights in (
        textbook_attention.unroll(attention, name, queries, memory)[1],
        attention.unroll(queries.unsqueeze(1), attention.project(memory))[1][:, 0, :, 0],
    ):
        torch.testing.assert_close(weights.amax(-1), torch.ones(3, 5))


def test_textbook_rewards_the_same_draws_as_ours_does() -> None:
    queries, memory = small()
    name = ("additive", "hard")
    _, _, draws = textbook_attention.unroll(build(name, 7), name, queries, memory)
    choice = Choice(*(torch.stack(parts, 1)[:, None, :, None] for parts in zip(*draws, strict=True)))  # (B, M, T, N)
    reward = -torch.rand(3, 5)
    found = reinforce(choice, reward.unsqueeze(1), torch.ones(3, 1, 5, dtype=torch.bool), entropy=0.3)
    expected = textbook_attention.reinforce(draws, reward, entropy=0.3)
    torch.testing.assert_close(found, expected)
    for one, other in zip(_gradients(found, queries, memory), _gradients(expected, queries, memory), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_query_of_hard_attention_learns_from_its_reward_on_both_sides() -> None:
    queries, memory = small()
    for run in pair_of_runs(("scaled_dot", "hard"), queries, memory):
        run()
        assert float(queries.grad.abs().max()) > 0


def test_layer_of_torch_is_the_function_of_ours() -> None:
    _, memory = small()
    ours, theirs = pair_of_layers(7 * HEADS, HEADS)
    x, real = torch.randn(3, 11, 7 * HEADS), memory.mask
    torch.testing.assert_close(ours(x, real)[real], theirs(x, src_key_padding_mask=~real)[real], rtol=1e-4, atol=1e-5)


def test_plain_versions_are_of_what_is_registered_and_the_sentinel() -> None:
    assert {*textbook_attention.SCORES} <= {*SCORES} and {*textbook_attention.ALIGNMENTS} <= {*ALIGNMENTS, SENTINEL[1]}
    assert SENTINEL in PLAIN and len(PLAIN) >= 9 + 12 + 1


def test_score_without_a_plain_version_is_measured_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCORES, "newcomer", Dot)
    assert ("newcomer", "softmax") in mechanisms()
    mechanism, plain, seconds, faster, of_base = measure(("newcomer", "softmax"), *small(), rounds=1)
    assert (mechanism, plain, faster) == ("newcomer / softmax", "no plain version", "")
    assert float(seconds) >= 0 and float(of_base) >= 0


def _gradients(result: Tensor, queries: Tensor, memory: Memory) -> list[Tensor]:
    gradients = torch.autograd.grad(
        result.square().sum(), (queries, memory.values), allow_unused=True, retain_graph=True
    )
    return [torch.zeros(1) if gradient is None else gradient for gradient in gradients]
