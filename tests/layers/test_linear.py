"""Linear maps through oneDNN are torch's linear maps."""

import pytest
import torch
from torch.nn import functional

from multimodal_attn.layers.linear import Linear, linear

SHAPES = [(13,), (1, 13), (7, 13), (3, 5, 13), (2, 3, 5, 13), (0, 13), (2, 0, 13)]


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_linear_and_its_gradients_are_torchs(shape: tuple[int, ...], with_bias: bool) -> None:
    torch.manual_seed(3)
    factors = [torch.randn(shape, requires_grad=True), torch.randn(11, 13, requires_grad=True)]
    factors += [torch.randn(11, requires_grad=True)] * with_bias
    found, expected = linear(*factors), functional.linear(*factors)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    output = torch.randn_like(expected)
    gradients = [torch.autograd.grad(result, factors, output) for result in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(linear(*factors), expected, rtol=1e-5, atol=1e-5)


def test_strides_of_the_input_do_not_matter() -> None:
    x, weight = torch.randn(5, 3, 13), torch.randn(11, 13)
    for view in (x.transpose(0, 1), x[:, ::2], x[:1].expand(4, -1, -1)):
        torch.testing.assert_close(linear(view, weight), functional.linear(view, weight), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_are_kept(dtype: torch.dtype) -> None:
    layer = Linear(13, 11).to(dtype)
    x = torch.randn(7, 13, dtype=dtype)
    assert torch.equal(layer(x), functional.linear(x, layer.weight, layer.bias))


def test_autocast_decides_the_precision() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert Linear(13, 11)(torch.randn(7, 13)).dtype == torch.bfloat16
