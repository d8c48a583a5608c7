"""Where a captioner's maps lie, measured with mirrors: what it looks at in a picture, it should find in the mirrored
one at the mirrored place."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from multimodal_attn.errors import ConfigError
from multimodal_attn.model import Model, search, trace_sentences
from multimodal_attn.search import SearchConfig
from multimodal_attn.search.consensus import agree
from multimodal_attn.senses.picture.media import picture_files
from multimodal_attn.senses.reading import read_picture
from multimodal_attn.trace import Origin

BATCH = 16
AXES = (-1, -2)  # of a picture (3, rows, columns): mirrored left to right, and upside down


def calibrate(model: Model, config: SearchConfig, paths: Sequence[Path]) -> None:
    """Move the grid of the model's encoder so that its maps of the pictures at `paths` mirror.

    The arithmetic of the convolutions says on which pixels a place is centred; trained kernels lean to a side. Raises
    ConfigError for a model that reads no pictures, or where there are none.
    """
    encoder = model.encoder  # `start` says where its grid begins
    if not model.n_heads or not hasattr(encoder, "start"):
        raise ConfigError("--calibrate is for models that look at pictures; leave it out")
    lean = (mirror_sums(model, config, paths) - 1) / 2 * encoder.config.size  # pixels of the input, (2,)
    encoder.config = replace(encoder.config, start=tuple(round(float(x), 1) for x in encoder.start - lean))


def mirror_sums(model: Model, config: SearchConfig, paths: Sequence[Path]) -> np.ndarray:
    """Centre of a word's map plus its centre in the mirrored picture, as a share of width and of height. (2,)

    Mean over the words of what the model says to each picture, said again to its mirrored ones. 1 is right.
    """
    sums = [sums for frames in _frames(model, paths) for sums in _sums(model, config, frames)]
    if not sums:
        raise ConfigError("--calibrate: none of the pictures can be read, or nothing was said of them; name others")
    return np.mean(sums, 0)


def _frames(model: Model, paths: Sequence[Path]) -> Iterator[torch.Tensor]:
    """uint8 (B, 3, size, size): what the encoder is given."""
    framing = model.encoder.framing
    files = list(picture_files(paths))
    for first in range(0, len(files), BATCH):
        pictures = [read_picture(file, min_side_hint=framing.size) for file in files[first : first + BATCH]]
        yield torch.stack([framing.frame(picture.image) for picture in pictures])


@torch.inference_mode()
def _sums(model: Model, config: SearchConfig, frames: torch.Tensor) -> list[np.ndarray]:
    """(2,) of every word said of every one of the frames."""
    size = model.encoder.config.size
    geometries = [model.encoder.geometry(size, size)] * len(frames)
    reading = model.read(frames)
    said = agree([search(model, reading, config)], model.tokenizer, config.consensus)
    seen = [reading, *(model.read(frames.flip(axis)) for axis in AXES)]
    plain, *mirrored = (trace_sentences(model, each, said, geometries, Origin()) for each in seen)
    sums = []
    for traces in zip(plain, *mirrored, strict=True):
        for maps in zip(*(trace.weights.mean(1) for trace in traces), strict=True):  # (S,) of one word, thrice
            here, across, down = (np.array(geometries[0].centre(each)) for each in maps)
            sums.append((here + [across[0], down[1]]) / size)
    return sums
