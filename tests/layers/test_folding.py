"""Batch norms are folded without a change of the maps, or not at all; freed memory stays with the process."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from multimodal_attn.layers.folding import TOLERANCE, fold_batch_norms
from multimodal_attn.senses.picture.trunks import build_trunk
from tests.conftest import ROOT


def norms_of(network: nn.Module) -> list[nn.Module]:
    return [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


@torch.no_grad()
def lived_in(network: nn.Module) -> nn.Module:
    """Its norms as after some training."""
    torch.manual_seed(1)
    for norm in norms_of(network):
        norm.running_mean.normal_(0, 0.1)
        norm.running_var.uniform_(0.5, 2)
        norm.weight.uniform_(0.5, 2)
        norm.bias.normal_(0, 0.1)
    return network.eval()


@pytest.mark.parametrize("name", ["mobilenet_v2", "timm/tf_efficientnet_lite0"])
def test_a_folded_network_gives_the_same_maps(name: str) -> None:
    network, _ = build_trunk(name, None, 32, "dilate")
    x = torch.rand(2, 3, 96, 96)
    with torch.no_grad():
        before = lived_in(network)(x)
        fold_batch_norms(network, lambda: network(x[:1]))
        after = network(x)
    assert norms_of(network) == []
    for one, other in zip(before, after, strict=True):
        assert torch.allclose(one, other, atol=TOLERANCE * float(one.abs().max()))


class NormFirst(nn.Module):
    """Names its parts in another order than it uses them in."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [self.conv(self.norm(x))]


def test_a_norm_that_does_not_follow_is_left_as_it_is() -> None:
    network, x = lived_in(NormFirst()), torch.rand(1, 3, 11, 13)
    with torch.no_grad():
        before, norm = network(x), network.norm
        fold_batch_norms(network, lambda: network(x))
        assert torch.equal(before[0], network(x)[0]) and network.norm is norm


FAULTS = """
import sys, resource
import numpy as np
from multimodal_attn.allocator import keep_freed_memory
keep_freed_memory()
def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(16 << 20, np.float32)
before = faults()
for _ in range(20): np.ones(16 << 20, np.float32)
print(faults() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc is told how to keep memory")
def test_memory_that_was_freed_is_not_asked_for_again_unless_the_user_says_so() -> None:
    def faults(**own: str) -> int:
        return int(subprocess.run([sys.executable, "-c", FAULTS], env=own, cwd=ROOT, capture_output=True).stdout)

    assert faults() < 20 <= faults(MALLOC_TRIM_THRESHOLD_="100000")
