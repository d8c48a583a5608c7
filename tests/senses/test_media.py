"""Odd pictures that must be read right, each made here, and which files a batch reads."""

import io
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from multimodal_attn.errors import MediaError
from multimodal_attn.senses.picture import media
from multimodal_attn.senses.picture.media import picture_files, read_picture

RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)


def encoded(image: Image.Image, format: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def noise(width: int = 41, height: int = 29, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def line_of(source: media.Source) -> str:
    """The message of the refusal, which must be one line."""
    with pytest.raises(MediaError) as caught:
        read_picture(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What each must show


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_every_format_keeps_a_planted_colour_in_its_place(format: str) -> None:
    image = Image.new("RGB", (37, 23), WHITE)
    image.paste(RED, (0, 0, 16, 16))
    picture = read_picture(encoded(image, format))
    assert (picture.image.mode, picture.image.size) == ("RGB", (37, 23))
    assert np.abs(np.subtract(picture.image.getpixel((5, 5)), RED)).max() < 12
    assert np.abs(np.subtract(picture.image.getpixel((30, 19)), WHITE)).max() < 12


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF"])
def test_grey_becomes_equal_red_green_and_blue(format: str) -> None:
    assert read_picture(encoded(Image.new("L", (7, 5), 90), format)).image.getpixel((3, 2)) == (90, 90, 90)


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_cmyk_ink_becomes_its_colour(format: str) -> None:
    cyan_less = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # magenta and yellow ink: red
    assert np.abs(np.subtract(read_picture(encoded(cyan_less, format)).image.getpixel((8, 8)), RED)).max() < 5


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_over_its_whole_range(format: str) -> None:
    ramp = np.array([[0, 257, 128 * 257, 65535]], dtype=np.uint16)
    assert list(np.asarray(read_picture(encoded(Image.fromarray(ramp), format)).image)[0, :, 0]) == [0, 1, 128, 255]


def test_float_picture_counts_from_zero_to_one() -> None:
    values = np.array([[0, 0.2, 0.6, 1, np.nan, np.inf]], dtype=np.float32)
    pixels = np.asarray(read_picture(encoded(Image.fromarray(values), "TIFF")).image)
    assert list(pixels[0, :, 1]) == [0, 51, 153, 255, 0, 0]


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_numbers_outside_the_usual_range_are_shown_from_darkest_to_brightest(dtype: type) -> None:
    values = np.array([[-50, 50, 100_000]], dtype=dtype)
    assert list(np.asarray(read_picture(encoded(Image.fromarray(values), "TIFF")).image)[0, :, 2]) == [0, 0, 255]


def test_picture_of_one_out_of_range_value_is_read() -> None:
    values = np.full((3, 5), 7, dtype=np.float32)
    assert read_picture(encoded(Image.fromarray(values), "TIFF")).image.size == (5, 3)


def test_hidden_colour_of_transparent_places_becomes_white() -> None:
    palette = Image.new("P", (3, 1))
    palette.putpalette([*RED, *GREEN, 0, 0, 255])
    palette.putdata([0, 1, 0])
    for format in ("PNG", "GIF"):
        image = read_picture(encoded(palette, format, transparency=0)).image
        assert [image.getpixel((x, 0)) for x in range(3)] == [WHITE, GREEN, WHITE]
    rgba = Image.new("RGBA", (3, 1), (*RED, 0))
    rgba.putpixel((1, 0), (*GREEN, 255))
    assert read_picture(encoded(rgba, "PNG")).image.getpixel((0, 0)) == WHITE
    assert read_picture(encoded(rgba, "PNG")).image.getpixel((1, 0)) == GREEN
    assert read_picture(encoded(Image.new("LA", (3, 1), (0, 0)), "PNG")).image.getpixel((0, 0)) == WHITE
    assert read_picture(encoded(Image.new("RGB", (3, 1), RED), "PNG", transparency=RED)).image.getpixel((0, 0)) == WHITE


def test_half_transparent_black_is_grey_on_white() -> None:
    assert read_picture(encoded(Image.new("RGBA", (3, 1), (0, 0, 0, 128)), "PNG")).image.getpixel((1, 0)) == (127,) * 3


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_animation_gives_its_first_frame(format: str) -> None:
    first, *others = [Image.new("RGB", (11, 7), colour) for colour in (RED, GREEN, WHITE)]
    options = {"lossless": True} if format == "WEBP" else {}
    data = encoded(first, format, save_all=True, append_images=others, **options)
    assert read_picture(data).image.getpixel((5, 3)) == RED


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_brings_the_planted_corner_to_the_top_left(orientation: int, format: str) -> None:
    # EXIF 2.32, 4.6.4: where the stored row 0 and column 0 lie in the upright picture
    corners = {1: "tl", 2: "tr", 3: "br", 4: "bl", 5: "tl", 6: "bl", 7: "br", 8: "tr"}
    stored = Image.new("RGB", (48, 32), WHITE)
    vertical, horizontal = corners[orientation]
    stored.paste(
        RED,
        (
            0 if horizontal == "l" else 32,
            0 if vertical == "t" else 16,
            *(16 if horizontal == "l" else 48, 16 if vertical == "t" else 32),
        ),
    )
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = read_picture(encoded(stored, format, exif=exif))
    upright = (32, 48) if orientation > 4 else (48, 32)
    assert picture.image.size == (picture.width, picture.height) == upright
    assert np.abs(np.subtract(picture.image.getpixel((4, 4)), RED)).max() < 12
    assert np.abs(np.subtract(picture.image.getpixel((upright[0] - 4, upright[1] - 4)), WHITE)).max() < 12


def test_quarter_turn_tells_mirror_from_rotation() -> None:
    # orientation 6: the stored left column is the upright top row, from right to left
    stored = Image.new("RGB", (2, 2), WHITE)
    stored.putpixel((0, 0), RED)
    exif = Image.Exif()
    for orientation, place in {5: (0, 0), 6: (1, 0), 7: (1, 1), 8: (0, 1)}.items():
        exif[0x0112] = orientation
        assert read_picture(encoded(stored, "PNG", exif=exif)).image.getpixel(place) == RED


def test_damaged_exif_block_does_not_refuse_a_good_picture() -> None:
    for exif in (b"Exif\0\0nonsense", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"Exif\0\0MM\0*\xff\xff\xff\xff"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert read_picture(encoded(noise(), "JPEG", exif=exif)).image.size == (41, 29)


@pytest.mark.parametrize("size", [(1, 1), (20_000, 20), (3, 5_003)])
def test_extreme_shapes_are_read(size: tuple[int, int]) -> None:
    for hint in (0, 224):
        picture = read_picture(encoded(Image.new("RGB", size, GREEN), "JPEG"), min_side_hint=hint)
        assert picture.image.size == (picture.width, picture.height) == size


def test_hint_decodes_smaller_and_keeps_the_original_upright_size() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.new("RGB", (1_003, 701), RED), "JPEG", exif=exif)
    for hint, size in {0: (701, 1_003), 400: (701, 1_003), 350: (351, 502), 87: (88, 126), 3: (88, 126)}.items():
        picture = read_picture(data, min_side_hint=hint)
        assert (picture.width, picture.height, picture.image.size) == (701, 1_003, size)


def test_progressive_jpeg_is_read() -> None:
    assert read_picture(encoded(noise(), "JPEG", progressive=True)).image.size == (41, 29)


# Other kinds of source


def test_arrays_are_pictures() -> None:
    pixels = np.asarray(noise())
    assert np.array_equal(np.asarray(read_picture(pixels).image), pixels)
    assert np.array_equal(np.asarray(read_picture(pixels[..., 0]).image), np.stack([pixels[..., 0]] * 3, -1))
    clear = np.zeros((5, 7, 4), np.uint8)
    assert read_picture(clear).image.getpixel((6, 4)) == WHITE


@pytest.mark.parametrize("shape", [(5,), (5, 7, 2), (1, 5, 7, 3), (0, 7, 3), (5, 0)])
def test_arrays_of_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    assert line_of(np.zeros(shape, np.uint8)).startswith("array: ")


def test_float_array_is_refused_with_what_to_give() -> None:
    assert "give uint8" in line_of(np.full((5, 7, 3), 1.5))


def test_callers_own_image_is_left_as_it_was() -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    own = Image.open(io.BytesIO(encoded(noise(640, 480), "JPEG", exif=exif)))
    picture = read_picture(own, min_side_hint=11)
    assert (picture.width, picture.height) == (480, 640)
    assert (own.mode, own.size, own.getexif()[0x0112]) == ("RGB", (640, 480), 8)


def test_same_pixels_from_path_text_bytes_and_image(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    noise().save(path)
    expected = np.asarray(noise())
    for source in (path, str(path), path.read_bytes(), Image.open(path)):
        assert np.array_equal(np.asarray(read_picture(source).image), expected)


def test_extension_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "photo.txt"
    path.write_bytes(encoded(noise(), "WEBP"))
    assert read_picture(path).image.size == (41, 29)


# Which files a batch reads


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "b.JPG",
        "a.png",
        "notes.txt",
        ".hidden.png",
        "sub/z.tiff",
        "sub/deep/c.webp",
        ".cache/d.png",
        "B/e.gif",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return tmp_path


def names(paths: list[str | Path], root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in picture_files(paths)]


def test_folders_are_searched_recursively_in_order_without_hidden_files(tree: Path) -> None:
    assert names([tree], tree) == ["a.png", "b.JPG", "B/e.gif", "sub/z.tiff", "sub/deep/c.webp"]


def test_named_files_are_kept_whatever_their_extension_and_missing_ones_too(tree: Path) -> None:
    given = [str(tree / "notes.txt"), tree / "none.jpg", tree / ".hidden.png", tree / "B"]
    assert names(given, tree) == ["notes.txt", "none.jpg", ".hidden.png", "B/e.gif"]


def test_loops_of_links_are_harmless(tree: Path) -> None:
    (tree / "sub" / "loop").symlink_to(tree)
    (tree / "self.png").symlink_to(tree / "self.png")
    assert names([tree], tree) == ["a.png", "b.JPG", "self.png", "B/e.gif", "sub/z.tiff", "sub/deep/c.webp"]
    line_of(tree / "self.png")


def test_folder_that_cannot_be_listed_comes_out_and_is_reported(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(real: Callable) -> Callable:
        def listing(path: str | Path) -> object:
            if Path(path) == tree / "sub":
                raise PermissionError(13, "Permission denied", str(path))
            return real(path)

        return listing

    monkeypatch.setattr(os, "scandir", closed(os.scandir))
    monkeypatch.setattr(os, "listdir", closed(os.listdir))
    assert names([tree], tree) == ["a.png", "b.JPG", "B/e.gif", "sub"]
    assert line_of(tree / "sub") == f"{tree}/sub: Permission denied; check the path"
