"""Encoders: media in, Memory out."""

from multimodal_attn.encoders.framing import Framing
from multimodal_attn.encoders.image import ImageEncoder, ImageEncoderConfig

__all__ = ["Framing", "ImageEncoder", "ImageEncoderConfig"]
