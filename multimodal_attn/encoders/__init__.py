"""Encoders: media in, Memory out. One interface for all senses."""

from multimodal_attn.encoders.audio import AudioEncoder, AudioEncoderConfig
from multimodal_attn.encoders.framing import Framing
from multimodal_attn.encoders.image import ImageEncoder, ImageEncoderConfig
from multimodal_attn.encoders.logmel import SoundBatch, at_speed
from multimodal_attn.encoders.whisper import WhisperEncoder, WhisperEncoderConfig

__all__ = [
    "AudioEncoder",
    "AudioEncoderConfig",
    "Framing",
    "ImageEncoder",
    "ImageEncoderConfig",
    "SoundBatch",
    "WhisperEncoder",
    "WhisperEncoderConfig",
    "at_speed",
]
