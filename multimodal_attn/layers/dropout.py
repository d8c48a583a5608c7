"""Dropout whose random numbers are cheap on a CPU."""

import torch
from torch import Tensor, nn

LEVELS = 1 << 16  # p is kept to a multiple of 1 / LEVELS


class Dropout(nn.Dropout):
    """nn.Dropout, but on a CPU one random number of 64 bits decides over four, which takes a third of the time."""

    def forward(self, x: Tensor) -> Tensor:
        n_dropped = round(self.p * LEVELS)  # of LEVELS
        if not self.training or x.device.type != "cpu" or not 0 < n_dropped < LEVELS:
            return super().forward(x)
        drawn = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        levels = drawn.view(torch.int16)[: x.numel()].view(x.shape)
        kept = levels >= n_dropped - LEVELS // 2
        return x * kept.to(x.dtype).mul_(LEVELS / (LEVELS - n_dropped))
