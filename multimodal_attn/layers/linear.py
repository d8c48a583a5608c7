"""Linear maps in single precision on a CPU, through oneDNN.

torch multiplies there with MKL, which on AMD processors runs at half of oneDNN's rate; by itself it takes oneDNN only
for convolutions and fused LSTMs.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

MIN_ROWS = 128  # with a gradient, for which the weights are reordered at every call


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """nn.functional.linear, the same function up to rounding: x (..., I), weight (O, I), bias (O,) -> (..., O)."""
    if not _suits_onednn(x):
        return functional.linear(x, weight, bias)
    if torch.is_grad_enabled():
        if x.numel() < MIN_ROWS * x.shape[-1]:
            return functional.linear(x, weight, bias)
        return torch.ops.aten.mkldnn_linear(x.to_mkldnn(), weight, bias).to_dense()
    # no conversion, so it pays for a few rows too, but it has no gradient
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


class Linear(nn.Linear):
    """nn.Linear by way of `linear`; its parameters have the same names."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


def _suits_onednn(x: Tensor) -> bool:
    single = x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return single and x.dim() > 1 and torch.backends.mkldnn.is_available()
