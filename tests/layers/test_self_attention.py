"""Self-attention: torch's function, what pads a batch changes nothing, and layers on top of a CNN and under sounds."""

import pytest
import torch
from torch import Tensor, nn

from multimodal_attn.layers.blocks import HEAD_DIM, SelfAttention, n_heads_for
from multimodal_attn.layers.positions import Sinusoidal
from multimodal_attn.layers.self_attention import GridSelfAttention, SelfAttentionEncoder
from multimodal_attn.memory import Memory
from multimodal_attn.senses.picture.encoder import ImageEncoder, ImageEncoderConfig

B, L, D, N = 3, 7, 15, 5  # sequences, places, width, heads
LENGTHS = torch.tensor([7, 1, 4])


def sequences() -> tuple[Tensor, Tensor]:
    """(B, L, D), and which places are real (B, L)."""
    torch.manual_seed(2)
    return torch.randn(B, L, D, dtype=torch.float64), torch.arange(L) < LENGTHS.unsqueeze(1)


def build_block() -> SelfAttention:
    torch.manual_seed(3)
    return SelfAttention(D, N).double()


def build_encoder(dropout: float = 0.0) -> SelfAttentionEncoder:
    torch.manual_seed(3)
    return SelfAttentionEncoder(D, 2, Sinusoidal(D), N, dropout).double()


# The block


@pytest.mark.parametrize("causal, masked", [(False, False), (True, False), (False, True)])
def test_block_is_torchs_multi_head_attention_of_the_normalised_input(causal: bool, masked: bool) -> None:
    block, (x, mask) = build_block(), sequences()
    nn.init.normal_(block.project.bias)
    theirs = nn.MultiheadAttention(D, N, batch_first=True, dtype=torch.float64)
    theirs.in_proj_weight.data, theirs.in_proj_bias.data = block.project.weight.data, block.project.bias.data
    theirs.out_proj.weight.data, theirs.out_proj.bias.data = block.output.weight.data, block.output.bias.data
    normed = (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    forbidden = torch.ones(L, L, dtype=torch.bool).triu(1) if causal else None
    expected, _ = theirs(normed, normed, normed, ~mask if masked else None, attn_mask=forbidden)
    torch.testing.assert_close(block(x, mask if masked else None, causal), expected)


def test_steps_with_kept_keys_are_the_causal_function() -> None:
    block, (x, _) = build_block(), sequences()
    past, steps = None, []
    for t, column in enumerate(x.unbind(1)):
        step, past = block.step(column, past)
        steps.append(step)
        assert past.shape == (B, t + 1, 2 * D)
    torch.testing.assert_close(torch.stack(steps, 1), block(x, causal=True), rtol=0, atol=1e-10)


@pytest.mark.parametrize("dim, n_heads", [(9, 1), (64, 1), (127, 1), (128, 2), (320, 5), (384, 6), (512, 8), (1009, 1)])
def test_heads_divide_the_width_and_are_no_narrower_than_the_papers(dim: int, n_heads: int) -> None:
    assert n_heads_for(dim) == n_heads
    assert dim % n_heads == 0 and (n_heads == 1 or dim // n_heads >= HEAD_DIM)


# The layers


@pytest.mark.parametrize("padding", [0.0, 1e3, float("nan")])
def test_sequence_is_encoded_alike_alone_and_in_a_batch(padding: float) -> None:
    encoder, (x, mask) = build_encoder().eval(), sequences()
    together = encoder(Memory(x.masked_fill(~mask.unsqueeze(-1), padding), mask))
    assert torch.equal(together.mask, mask)
    for row, length in enumerate(LENGTHS):
        alone = encoder(Memory(x[row : row + 1, :length]))
        torch.testing.assert_close(together.values[row, :length], alone.values[0])


def test_input_without_a_real_place_has_finite_gradients_and_disturbs_none() -> None:
    encoder, (x, mask) = build_encoder(), sequences()
    mask[1] = False
    memory = encoder(Memory(x * torch.where(mask, 1.0, torch.nan).unsqueeze(-1), mask))
    (memory.clean() * x).sum().backward()
    assert memory.values.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters())


def test_every_place_sees_every_other_and_where_it_is() -> None:
    encoder, (x, _) = build_encoder().eval(), sequences()
    before = encoder(Memory(x)).values
    changed = x.clone()
    changed[:, 4] += torch.randn(D)
    assert ((encoder(Memory(changed)).values - before).abs().amax(-1) > 1e-6).all()
    order = torch.tensor([2, 0, 1, 3, 6, 4, 5])
    moved = encoder(Memory(x[:, order])).values
    assert not torch.allclose(moved, before[:, order])
    encoder.positions = nn.Identity()
    torch.testing.assert_close(encoder(Memory(x[:, order])).values, encoder(Memory(x)).values[:, order])


def test_cells_of_a_grid_know_row_and_column() -> None:
    torch.manual_seed(5)
    encoder = GridSelfAttention(11, 12, 1, (3, 3), 0.0).double().eval()
    same = torch.randn(1, 1, 11, dtype=torch.float64).expand(1, 9, 11)  # only positions tell the cells apart
    values = encoder(Memory(same)).values[0]
    assert values.shape == (9, 12) and (torch.cdist(values, values) + torch.eye(9)).min() > 1e-2


# On top of a CNN


def build_image_encoder(layers: int) -> ImageEncoder:
    torch.manual_seed(7)
    config = ImageEncoderConfig("mobilenet_v3_small", size=96, self_attention=layers, dim=24, dropout=0.3)
    return ImageEncoder(config)


def noise(n: int) -> Tensor:
    return torch.randint(256, (n, 3, 96, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_layers_on_top_keep_the_grid_and_declare_their_width() -> None:
    plain, encoder = build_image_encoder(0), build_image_encoder(2).eval()
    assert (plain.dim, encoder.dim) == (576, 24) and plain.grid == encoder.grid == (3, 3)
    assert plain.geometry(301, 173) == encoder.geometry(301, 173)
    assert [name for name in plain.state_dict() if not name.startswith("trunk.")] == []
    with torch.inference_mode():
        values, mask = encoder(noise(2))
        assert mask is None and values.shape == (2, 9, 24)
        torch.testing.assert_close(encoder(noise(2)[1:]).values, values[1:], rtol=1e-4, atol=1e-4)


def test_frozen_cnn_leaves_the_layers_on_top_to_learn() -> None:
    encoder = build_image_encoder(1).train()
    encoder.set_trainable(False)
    assert not any(block.training for block in encoder.trunk) and encoder.top.training
    values = encoder(noise(2)).values
    (values * torch.randn_like(values)).sum().backward()
    learned = {name.split(".")[0] for name, parameter in encoder.named_parameters() if parameter.grad is not None}
    assert learned == {"top"}
    assert all(parameter.grad.any() for parameter in encoder.top.parameters())
