"""The gradient of every alignment beyond the basic ones against finite differences, through a whole sentence."""

import pytest
import torch
from torch import Tensor

from multimodal_attn.attention import Attention
from multimodal_attn.memory import Memory
from tests.attention.test_attention import build, inputs

SMOOTH = {
    "sparsemax": {},
    "entmax_1.5": {},
    "local_m": {"window": 1},  # three places of seven
    "local_p": {"window": 2},
    "monotonic": {"noise": 0.0},
    "mocha": {"noise": 0.0},
    "forward": {},
    "forward_agent": {},
}


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("score", ["general", "coverage"])
@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_agree_with_finite_differences(name: str, score: str, heads: int) -> None:
    attention: Attention = build({"score": score, "align": name, "heads": heads, "dim": 9, **SMOOTH[name]}).train()
    asked, memory = inputs()
    tensors = (asked[:, :, :3].clone().requires_grad_(), memory.values.requires_grad_(), *attention.parameters())

    def outputs(queries: Tensor, values: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        return attention.unroll(queries, attention.project(Memory(values, memory.mask)))

    assert torch.autograd.gradcheck(outputs, tensors, fast_mode=True)


@pytest.mark.parametrize("heads", [1, 3])
def test_gradients_of_hard_attention_agree_with_finite_differences_when_the_draws_stay(heads: int) -> None:
    attention = build({"score": "general", "align": "hard", "heads": heads, "dim": 9}).train()
    asked, memory = inputs()
    tensors = (asked[:, :, :3].clone().requires_grad_(), memory.values.requires_grad_(), *attention.parameters())

    def outputs(queries: Tensor, values: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        torch.manual_seed(2)
        keys = attention.project(Memory(values, memory.mask))
        context, weights, choice = attention.unroll_choices(queries, keys)
        return context, weights, choice.log_prob, choice.entropy

    _, weights, log_prob, _ = outputs(*tensors[:2])
    soft = (weights.amax(-1) < 1).all(2).all(-1)  # (B, M)
    assert soft.any() and not soft.all() and torch.equal(log_prob.eq(0).all(2).all(-1), soft)
    assert torch.autograd.gradcheck(outputs, tensors, fast_mode=True)
