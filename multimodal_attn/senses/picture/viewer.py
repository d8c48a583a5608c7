"""What the viewer is given of a picture."""

import io
from pathlib import Path

from PIL.Image import Image, Resampling

from multimodal_attn.senses.picture.media import Picture
from multimodal_attn.viewer.payloads import Save

PREVIEW_SIDE = 1600  # pixels; sharp on any screen, and about 0.4 MB as JPEG


def picture_media(picture: Picture, save: Save) -> dict:
    """Media of a payload: {kind, name, width, height, file}.

    file names a preview that was saved; width and height are its pixels. The
    trace speaks of the original's pixels, and the page scales.
    """
    image = shrink(picture.image, PREVIEW_SIDE)
    return {
        "kind": "picture",
        "name": Path(picture.name).name,
        "width": image.width,
        "height": image.height,
        "file": save(image_to_jpeg(image), "picture.jpeg"),
    }


def shrink(image: Image, side: int) -> Image:
    """A copy of at most `side` pixels a side, in the same shape."""
    small = image.copy()
    small.thumbnail((side, side), Resampling.LANCZOS)
    return small


def image_to_jpeg(image: Image) -> bytes:
    """What every browser shows as it is: no EXIF, which would turn an upright picture once more or tell its place."""
    file = io.BytesIO()
    plain = image.copy()
    plain.info.clear()  # Pillow would write the comment of the original
    plain.save(file, "JPEG", quality=90, comment=b"", exif=b"")
    return file.getvalue()
