"""Encoders: media in, Memory out. One interface for both senses."""

from dataclasses import asdict, replace
from typing import Any

from multimodal_attn.encoders.audio import AudioEncoder, AudioEncoderConfig
from multimodal_attn.encoders.framing import Framing
from multimodal_attn.encoders.image import ImageEncoder, ImageEncoderConfig
from multimodal_attn.encoders.logmel import SoundBatch, at_speed

Encoder = ImageEncoder | AudioEncoder
EncoderConfig = ImageEncoderConfig | AudioEncoderConfig

SENSES: dict[str, tuple[type[EncoderConfig], type[Encoder]]] = {
    "picture": (ImageEncoderConfig, ImageEncoder),
    "sound": (AudioEncoderConfig, AudioEncoder),
}


def build_encoder(config: EncoderConfig) -> Encoder:
    """The encoder that `config` describes, with fresh parameters unless it names a file."""
    return next(encoder for kind, encoder in SENSES.values() if isinstance(config, kind))(config)


def encoder_to_dict(config: EncoderConfig) -> dict[str, Any]:
    """JSON-ready; without the file that the parameters came from, since a checkpoint holds them itself."""
    sense = next(sense for sense, (kind, _) in SENSES.items() if isinstance(config, kind))
    return {"sense": sense, **asdict(replace(config, weights=None) if sense == "picture" else config)}


__all__ = [
    "SENSES",
    "AudioEncoder",
    "AudioEncoderConfig",
    "Encoder",
    "EncoderConfig",
    "Framing",
    "ImageEncoder",
    "ImageEncoderConfig",
    "SoundBatch",
    "at_speed",
    "build_encoder",
    "encoder_to_dict",
]
