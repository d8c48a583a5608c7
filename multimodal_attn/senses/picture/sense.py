"""The sense of sight: a file -> Picture -> a square of pixels."""

from collections.abc import Sequence
from typing import Any

import torch

from multimodal_attn.senses.picture.encoder import ImageEncoder, ImageEncoderConfig
from multimodal_attn.senses.picture.framing import at_look
from multimodal_attn.senses.picture.geometry import PictureGeometry
from multimodal_attn.senses.picture.media import Picture, Source, picture_files
from multimodal_attn.senses.reading import read_picture
from multimodal_attn.senses.sense import Sense


def read(source: Source, model: Any) -> Picture:
    """No larger than the encoder needs."""
    return read_picture(source, min_side_hint=model.encoder.config.size)


def batch(pictures: Sequence[Picture], model: Any) -> tuple[torch.Tensor, list[PictureGeometry]]:
    """uint8 (B, 3, size, size)"""
    encoder = model.encoder
    frames = torch.stack([encoder.framing.frame(picture.image) for picture in pictures])
    return frames, [encoder.geometry(picture.width, picture.height) for picture in pictures]


def hide(frame: torch.Tensor, keep: torch.Tensor, model: Any) -> torch.Tensor:
    """Cells in the picture's mean colour, those at an edge up to the edge. (1, 3, size, size), (G, S) -> (G, ...)"""
    rows, cols = model.encoder.places.cells
    seen = keep.view(len(keep), *model.encoder.grid)[:, rows][:, :, cols].unsqueeze(1).to(frame.device)
    mean = frame.float().mean((2, 3), keepdim=True).round().to(frame.dtype)
    return torch.where(seen, frame, mean)


SENSE = Sense(
    kind="picture",
    item=Picture,
    config=ImageEncoderConfig,
    encoder=ImageEncoder,
    files=picture_files,
    read=read,
    batch=batch,
    figure="multimodal_attn.figures.panels.render_picture",
    maps="multimodal_attn.senses.picture.maps.draw_maps",
    media="multimodal_attn.senses.picture.viewer.picture_media",
    original=lambda picture: picture.image,
    at_look=at_look,
    hide=hide,
)
