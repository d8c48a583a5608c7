"""Model: an encoder, a decoder and their tokenizer, and the way from encoded input to traces."""

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from multimodal_attn.decoders import Decoder, DecoderConfig, Source, build_decoder
from multimodal_attn.encoders import ImageEncoder, ImageEncoderConfig
from multimodal_attn.geometry import PictureGeometry
from multimodal_attn.search import Hypotheses, SearchConfig, beam_search
from multimodal_attn.tokens import END, START, ids_to_text
from multimodal_attn.trace import AttentionTrace, Origin, Token

N_ALTERNATIVES = 5


class Model(nn.Module):
    """encoder(batch) -> Memory; decoder over it; tokenizer for its ids."""

    def __init__(self, encoder: ImageEncoder, decoder: Decoder, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.tokenizer = tokenizer

    def read(self, batch: Tensor) -> Source:
        """Encode a batch once; everything that follows asks the source."""
        return self.decoder.read(self.encoder(batch))


def build_model(encoder: ImageEncoderConfig, decoder: DecoderConfig, tokenizer: Tokenizer) -> Model:
    """A model with fresh parameters (the encoder's may come from a file, see ImageEncoderConfig.weights)."""
    eyes = ImageEncoder(encoder)
    return Model(eyes, build_decoder(decoder, eyes.dim, tokenizer.get_vocab_size()), tokenizer)


@torch.inference_mode()
def decode(
    model: Model, batch: Tensor, geometries: Sequence[PictureGeometry], config: SearchConfig, origin: Origin
) -> list[AttentionTrace]:
    """Search the best sentence of every input, then read weights and probabilities off one teacher-forced pass."""
    source = model.read(batch)
    best = beam_search(model.decoder, source, config)
    return trace_sentences(model, source, Hypotheses(best.tokens[:, :1], best.scores[:, :1]), geometries, origin)


@torch.inference_mode()
def trace_sentences(
    model: Model, source: Source, sentences: Hypotheses, geometries: Sequence[PictureGeometry], origin: Origin
) -> list[AttentionTrace]:
    """The trace of one given sentence per input: tokens (B, 1, T), each closed by END."""
    tokens = sentences.tokens
    before = torch.cat([torch.full_like(tokens[..., :1], START), tokens[..., :-1]], -1)
    features, weights = model.decoder.unroll(before, source)
    chances = model.decoder.logits(features).float().softmax(-1)  # (B, 1, T, V)
    top, index = chances.topk(min(N_ALTERNATIVES, chances.shape[-1]))
    chosen = chances.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    rows = zip(tokens[:, 0].tolist(), chosen[:, 0].tolist(), top[:, 0].tolist(), index[:, 0].tolist(), strict=True)
    maps, scores = weights[:, 0].float().cpu().numpy(), sentences.scores[:, 0].tolist()
    traces = []
    for row, score, places, geometry in zip(rows, scores, maps, geometries, strict=True):
        words = _tokens(model.tokenizer, *row)
        text = ids_to_text(model.tokenizer, row[0])
        traces.append(AttentionTrace(text, score, words, places[: len(words)], geometry, origin))
    return traces


def _tokens(
    tokenizer: Tokenizer, ids: list[int], chosen: list[float], top: list[list[float]], index: list[list[int]]
) -> tuple[Token, ...]:
    """The tokens of one sentence up to its end, each with the most probable tokens of its step."""
    name = tokenizer.id_to_token
    return tuple(
        Token(name(ids[t]), chosen[t], tuple((name(i), p) for i, p in zip(index[t], top[t], strict=True)))
        for t in range(ids.index(END))
    )
