"""The text encoder: its equation, and that padding changes nothing."""

import pytest
import torch
from torch import nn

from multimodal_attn.errors import ConfigError
from multimodal_attn.senses.text.encoder import TextBatch, TextEncoder, TextEncoderConfig
from multimodal_attn.tokens import PAD

N_TOKENS, DIM = 13, 6


def build(name: str, layers: int = 2) -> TextEncoder:
    torch.manual_seed(5)
    return TextEncoder(TextEncoderConfig(name, DIM, layers, heads=3, n_tokens=N_TOKENS)).double().eval()


def ragged() -> torch.Tensor:
    tokens = torch.randint(4, N_TOKENS, (3, 7))
    tokens[1, 5:] = tokens[2, 1:] = PAD
    return tokens


def packed(encoder: TextEncoder, tokens: torch.Tensor) -> torch.Tensor:
    """x = LayerNorm(x + [ahead; back]), each half an LSTM of torch over one sentence alone. (S, D)"""
    x = encoder.embedding(tokens)
    for layer, norm in zip(encoder.reader.layers, encoder.reader.norms, strict=True):
        both = nn.LSTM(DIM, DIM // 2, bidirectional=True).double()
        for name, own in layer.ahead.named_parameters():
            getattr(both, name).data = own.data
        for name, own in layer.back.named_parameters():
            getattr(both, f"{name}_reverse").data = own.data
        x = norm(x + both(x)[0])
    return x


@pytest.mark.parametrize("layers", [1, 2, 8])
def test_layers_are_bidirectional_lstms_added_to_their_input(layers: int) -> None:
    encoder, tokens = build("blstm", layers), ragged()
    memory = encoder(TextBatch(tokens))
    assert memory.values.shape == (3, 7, DIM) and torch.equal(memory.mask, tokens != PAD)
    for row, values in zip(tokens, memory.values, strict=True):
        n = int((row != PAD).sum())
        torch.testing.assert_close(values[:n], packed(encoder, row[:n]))


@pytest.mark.parametrize("name", ["blstm", "transformer"])
def test_what_pads_a_batch_changes_nothing(name: str) -> None:
    encoder, tokens = build(name), ragged()
    together = encoder(TextBatch(tokens)).values
    for row, values in zip(tokens, together, strict=True):
        n = int((row != PAD).sum())
        torch.testing.assert_close(encoder(TextBatch(row[None, :n])).values[0], values[:n])


def test_a_transformer_is_told_where_its_tokens_are() -> None:
    encoder = build("transformer")
    same = encoder(TextBatch(torch.full((1, 5), 7))).values[0]
    assert (same[1:] - same[0]).abs().amax(1).min() > 1e-3


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"name": "cnn"}, "no text encoder 'cnn'; choose one of blstm, transformer"),
        ({"layers": 0}, "layers lie between 1 and 8, not 0"),
        ({"layers": 9}, "layers lie between 1 and 8, not 9"),
        ({"dim": 7}, "dim is even"),
        ({"n_tokens": 0}, "n_tokens starts at 1"),
    ],
)
def test_what_cannot_be_built_is_said_in_one_line(options: dict, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        TextEncoder(TextEncoderConfig(**{"n_tokens": N_TOKENS, "dim": DIM, "heads": 3} | options))
