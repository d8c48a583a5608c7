"""Reading pictures: the one decoder of training, command line and app. Every failure is one MediaError."""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ExifTags import Base
from PIL.GifImagePlugin import GifImageFile
from PIL.Image import Image, Transpose, fromarray, new
from PIL.ImageFile import ImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from multimodal_attn.errors import MediaError
from multimodal_attn.files import in_hand, media_files, open_file, printable
from multimodal_attn.senses.picture.walk import EXIF, excess_of, excess_of_exif, gif_without_extensions

Source = str | Path | bytes | Image | np.ndarray

MAX_PIXELS = 50_000_000
MAX_BYTES = 100_000_000
MAX_MISSING = 0.05  # of the rows of a picture that was cut short
HEADER = 64  # bytes in which the kind of a picture shows
EXTENSIONS = frozenset([".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"])
EXTENSIONS |= frozenset([".heic", ".heif", ".hif", ".avif", ".jp2", ".j2k", ".jpf", ".jpx"])
FORMATS = "JPEG, PNG, WEBP, GIF, BMP or TIFF"  # to convert others to
GREYS = (255, 1023, 4095, 16383, 65535)  # brightest values of cameras, microscopes and scanners, all kept in 16 bits


def open_heif(file: BinaryIO) -> ImageFile:
    from pillow_heif import HeifImageFile  # its libraries need not be loaded for other pictures

    return HeifImageFile(file)


# The classes themselves instead of PIL.Image.open: it warns on the standard error of large pictures that we refuse
# anyway, and leaves the choice among formats (EPS runs a program) to whatever else is installed.
DECODERS: tuple[tuple[re.Pattern[bytes], Callable[[BinaryIO], ImageFile]], ...] = (
    (re.compile(rb"\xff\xd8\xff"), JpegImageFile),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), PngImageFile),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), WebPImageFile),
    (re.compile(rb"GIF8[79]a"), GifImageFile),
    (re.compile(rb"BM"), BmpImageFile),
    (re.compile(rb"II[*+]\0|MM\0[*+]"), TiffImageFile),
    (re.compile(rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n"), Jpeg2KImageFile),
    (re.compile(rb"....ftyp(?:.{4})*?avi[fs]", re.DOTALL), AvifImageFile),
    (re.compile(rb"....ftyp(?:.{4})*?(?:hei[cfmsx]|hev[cmsx]|mif1|msf1)", re.DOTALL), open_heif),
)

CHANNELS = (1, 3, 4)  # grey, RGB, RGBA

# EXIF orientation -> what turns the stored picture upright
TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
QUARTER_TURNS = {Transpose.TRANSPOSE, Transpose.ROTATE_270, Transpose.TRANSVERSE, Transpose.ROTATE_90}


@dataclass(frozen=True)
class Picture:
    """A decoded picture. `image` is upright RGB without EXIF or comments, and may be smaller than the original when a
    hint allowed it; `width` and `height` are the upright original size in pixels; `name` is for messages; `note` says
    what is wrong with it, if it can be seen all the same."""

    image: Image
    width: int
    height: int
    name: str
    note: str = ""


def read_picture(source: Source, *, min_side_hint: int = 0) -> Picture:
    """Upright 8-bit RGB picture from a file, an open one, its bytes, a PIL image, or an array or tensor of uint8, or of
    floats from 0 to 1: (H, W), (H, W, C) or (C, H, W), C of 1, 3 or 4.

    Transparent places become white, 16-bit and float greys are scaled, animations give their first frame.
    min_side_hint: when not 0, a JPEG may be decoded at 1/2, 1/4 or 1/8 while its shorter side keeps at least so many
        pixels; a 12-megapixel photograph is then read about ten times faster.
    Raises MediaError for everything that cannot be read, before decoding where the header already tells.
    """
    source = given(source)
    return decode_picture(source, name_of(source), min_side_hint)


def given(source: Any) -> Source:
    """A source of whatever kind as one that is decoded here. Raises MediaError for what is none."""
    source = in_hand(source, MAX_BYTES)
    if not isinstance(source, str | Path | bytes | Image | np.ndarray):
        kinds = "a path, a file, its bytes, a PIL image, an array or a tensor"
        raise MediaError(f"a picture of type {type(source).__name__}; give {kinds}, one at a time")
    return source


def decode_picture(source: Source | BinaryIO, name: str, min_side_hint: int = 0) -> Picture:
    """The same from an open file too, with the name that messages give it."""
    note = ""
    try:
        image = open_picture(source, name)
        width, height = image.size
        check_size(width, height, name)
        if min_side_hint and image is not source:  # draft changes the picture, which may be the caller's own
            image.draft(None, (min_side_hint, min_side_hint))
        try:
            image.load()
        except OSError as error:
            image, note = without_end(image, min_side_hint, error), "cut short: the end of the picture is missing"
        turn = turn_of(image)
        rgb = image_to_rgb(image)
        upright = rgb if turn is None else rgb.transpose(turn)
        upright.info = {}  # whoever saves the picture again would save its EXIF, comment and profile too
    except MediaError:
        raise
    except Exception as error:  # on damaged files the decoders raise nearly every class there is
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise MediaError(f"{name}: damaged or cut short ({reason}); save it again or take another file") from error
    return Picture(upright, *((height, width) if turn in QUARTER_TURNS else (width, height)), name, note)


def without_end(image: Image, min_side_hint: int, error: OSError) -> Image:
    """A JPEG that was cut short, if nearly all of it is there: what is missing has one colour in every row. Raises the
    error otherwise."""
    if not isinstance(image, JpegImageFile) or not isinstance(image.fp, io.BytesIO):
        raise error
    closed = JpegImageFile(io.BytesIO(image.fp.getvalue() + b"\xff\xd9"))
    if min_side_hint:
        closed.draft(None, (min_side_hint, min_side_hint))
    closed.load()
    rows = np.asarray(closed)
    is_flat = (rows == rows[:, :1]).reshape(len(rows), -1).all(1)  # (H,)
    n_missing = int(np.argmin(is_flat[::-1])) if not is_flat.all() else len(rows)
    if n_missing > MAX_MISSING * len(rows):
        raise error
    return closed


def name_of(source: Source) -> str:
    """What messages call the source: its path on one printable line, or its kind."""
    if isinstance(source, np.ndarray | bytes):
        return "array" if isinstance(source, np.ndarray) else getattr(source, "name", "picture given as bytes")
    return printable(getattr(source, "filename", "") or "picture" if isinstance(source, Image) else source)


def picture_files(paths: Sequence[str | Path]) -> Iterator[Path]:
    """Files as given and the pictures inside folders; see `media_files`."""
    return media_files(paths, EXTENSIONS)


def open_picture(source: Source | BinaryIO, name: str) -> Image:
    """The picture with its header read and its pixels not yet decoded, except for those given as pixels."""
    if isinstance(source, Image):
        return source
    if isinstance(source, np.ndarray):
        return array_to_image(source, name)
    data = source if isinstance(source, bytes) else read_file(source, name)
    check_bytes(data, name)
    for signature, decoder in DECODERS:
        if signature.match(data[:HEADER]):
            return decoder(io.BytesIO(plain_gif(data, name) if decoder is GifImageFile else data))
    if (start := data.find(b"\xff\xd8\xff", 1, HEADER)) > 0:  # a JPEG after some bytes that do not belong to it
        return open_picture(data[start:], name)
    raise MediaError(f"{name}: not a picture of a known format; convert it to {FORMATS}")


def plain_gif(data: bytes, name: str) -> bytes:
    plain = gif_without_extensions(data)
    if plain is None:
        raise MediaError(f"{name}: a GIF of too many comments; save it again as a plain picture")
    return plain


def read_file(source: str | Path | BinaryIO, name: str) -> bytes:
    with open_file(Path(source), name, "picture") if isinstance(source, str | Path) else source as file:
        return file.read(MAX_BYTES + 1)


def check_bytes(data: bytes, name: str) -> None:
    if not data:
        raise MediaError(f"{name}: empty; copy or download it again")
    if len(data) > MAX_BYTES:
        raise MediaError(f"{name}: larger than {MAX_BYTES // 10**6} MB; save it smaller")
    if excess := excess_of(data):
        raise MediaError(f"{name}: {excess}; save it again as a plain picture")


def check_size(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS:
        raise MediaError(f"{name}: {width} x {height} pixels, more than {MAX_PIXELS // 10**6} million; make it smaller")
    if not width * height:
        raise MediaError(f"{name}: {width} x {height} pixels, nothing to see; take another picture")


def turn_of(image: Image) -> Transpose | None:
    """What turns a loaded picture upright; an EXIF block that is damaged, or asks for too much, counts as none."""
    try:
        if excess_of_exif(exif_of(image)):
            return None
        return TURNS.get(image.getexif().get(Base.Orientation))
    except Exception:
        return None


def exif_of(image: Image) -> bytes:
    """The block that the decoder would take apart; some programs write it into a PNG as a text of hexadecimals."""
    text = image.info.get("Raw profile type exif", "")
    block = image.info.get("exif") or bytes.fromhex("".join(text.split("\n")[3:]))
    return block.removeprefix(EXIF)


def image_to_rgb(image: Image) -> Image:
    """8-bit RGB, transparent places on white."""
    if image.mode == "F" or image.mode.startswith("I"):
        return grey_to_8bit(image).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    white = new("RGB", image.size, "white")
    white.paste(rgba, mask=rgba.getchannel("A"))
    return white


def grey_to_8bit(image: Image) -> Image:
    """Integers count from 0 to 65,535, or to the end of the fewer bits that hold them all, and floats from 0 to 1; a
    picture that leaves this range is shown from its own darkest to its own brightest value. NaN and infinite places
    become black."""
    values = np.asarray(image).astype(np.float64)  # (H, W)
    finite = np.isfinite(values)
    low, high = (0.0, 1.0) if image.mode == "F" else (0.0, 65535.0)
    least, most = np.min(values, where=finite, initial=high), np.max(values, where=finite, initial=low)
    if least < low or most > high:
        low, high = least, most
    elif image.mode != "F":
        high = next(end for end in GREYS if most <= end)
    values -= low  # in place from here on: at the size limit a copy is 400 MB
    values *= 255 / ((high - low) or 1)
    values[~finite] = 0
    return fromarray(np.rint(values, out=values).astype(np.uint8))


def array_to_image(array: np.ndarray, name: str) -> Image:
    pixels = array
    if pixels.ndim == 3 and pixels.shape[2] not in CHANNELS and pixels.shape[0] in CHANNELS:
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in CHANNELS)):
        raise wrong_array(array, name)
    check_size(pixels.shape[1], pixels.shape[0], name)
    if np.issubdtype(pixels.dtype, np.floating) and np.min(pixels) >= 0 and np.max(pixels) <= 1:  # NaN is neither
        pixels = np.rint(np.asarray(pixels, np.float32) * 255).astype(np.uint8)
    if pixels.dtype != np.uint8:
        raise wrong_array(array, name)
    return fromarray(np.ascontiguousarray(pixels))


def wrong_array(array: np.ndarray, name: str) -> MediaError:
    wanted = "give uint8, or floats from 0 to 1, of shape (H, W), (H, W, C) or (C, H, W) with C of 1, 3 or 4"
    return MediaError(f"{name}: {array.dtype} {array.shape}; {wanted}")
