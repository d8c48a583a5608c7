"""Decoders: Memory and attention in, sentence out, one interface for all."""

from multimodal_attn.decoders.base import Decoder, DecoderConfig, Ready, Step
from multimodal_attn.decoders.lstm import BeforeLSTMDecoder, BetweenLSTMDecoder
from multimodal_attn.decoders.transformer import TransformerDecoder
from multimodal_attn.decoders.whisper import WhisperDecoder
from multimodal_attn.errors import ConfigError

FORMS: dict[str, type[Decoder]] = {
    "between": BetweenLSTMDecoder,
    "before": BeforeLSTMDecoder,
    "transformer": TransformerDecoder,
    "whisper": WhisperDecoder,
}


def build_decoder(config: DecoderConfig, memory_dim: int, n_tokens: int) -> Decoder:
    """The decoder that `config` names, over memories of width memory_dim and a vocabulary of n_tokens."""
    if config.form not in FORMS:
        raise ConfigError(f"decoder: no form is called {config.form!r}; choose one of {', '.join(FORMS)}")
    return FORMS[config.form](config, memory_dim, n_tokens)


__all__ = ["FORMS", "Decoder", "DecoderConfig", "Ready", "Step", "build_decoder"]
