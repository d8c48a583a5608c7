"""Training-time changes of a picture: which part of it is seen, how it is stretched, mirrored and lit."""

import re
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance

from multimodal_attn.senses.picture.framing import Framing


@dataclass(frozen=True)
class Augmentation:
    """How far training pictures may be changed.

    Args:
        crop: the smallest share of each side that is kept; 1 keeps the whole picture. The sides are drawn apart, so a
            crop is stretched at random too.
        flip: mirror left and right every other time, in the picture and in its captions.
        light: brightness, contrast and colour are scaled by up to this share.
    """

    crop: float = 0.75
    flip: bool = True
    light: float = 0.2


def augment(
    image: Image.Image, framing: Framing, options: Augmentation, rng: np.random.Generator
) -> tuple[Image.Image, bool]:
    """A random view of the picture, size x size pixels, and whether it is mirrored; all randomness is `rng`'s."""
    left, top, right, bottom = framing.box(*image.size)
    width, height = (right - left) * rng.uniform(options.crop, 1), (bottom - top) * rng.uniform(options.crop, 1)
    left, top = rng.uniform(left, right - width), rng.uniform(top, bottom - height)
    size = (framing.size, framing.size)
    image = image.resize(size, Image.Resampling.BILINEAR, box=(left, top, left + width, top + height))
    mirrored = options.flip and rng.random() < 0.5
    if mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if options.light:
        for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
            image = enhance(image).enhance(rng.uniform(1 - options.light, 1 + options.light))
    return image, mirrored


def mirror_caption(caption: str) -> str:
    """The caption of the mirrored picture.

    >>> mirror_caption("a dog on the left looks right")
    'a dog on the right looks left'
    """
    return re.sub(r"\b(?:left|right)\b", lambda word: {"left": "right", "right": "left"}[word[0]], caption)
