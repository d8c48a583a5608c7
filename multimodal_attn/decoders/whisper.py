"""Whisper's decoder: a Transformer that reads the memory of its encoder as it is."""

import torch
from torch import Tensor, nn

from multimodal_attn.decoders.base import DecoderConfig
from multimodal_attn.decoders.transformer import TransformerDecoder
from multimodal_attn.layers.positions import Learned

N_TOKENS = 448  # that its positions tell apart, prefix and start among them


class WhisperDecoder(TransformerDecoder):
    """Radford et al. 2022, with the layers of our Transformer.

    A memory of its own width is not projected, the summary not used, embeddings are not scaled, and networks have a
    GELU.
    """

    activation = nn.GELU

    def __init__(self, config: DecoderConfig, memory_dim: int, n_tokens: int) -> None:
        super().__init__(config, memory_dim, n_tokens)
        self.first = None
        self.positions = Learned(config.dim, N_TOKENS)
        if memory_dim == config.dim:
            self.bridge = nn.Identity()
        for layer in self.layers:
            if layer.from_context is not None:  # what several heads see has an output map, which lacks only the bias
                layer.from_context = Shift(config.dim)

    def embed(self, tokens: Tensor) -> Tensor:
        return self.dropout(self.embedding(tokens))


class Shift(nn.Module):
    """Adds a learned vector to x (..., D)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias
