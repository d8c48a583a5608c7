"""The figure: a planted weight must light exactly its own pixels, and odd traces must still give a sane picture."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from multimodal_attn.errors import MediaError
from multimodal_attn.figures import (
    FigureOptions,
    heat_over_picture,
    is_figure,
    render_figure,
    save_figure,
    weights_to_heat,
)
from multimodal_attn.figures.overlay import SHADE, cubic
from multimodal_attn.figures.panels import draw_frame, plan_layout
from multimodal_attn.figures.sheet import MARGIN
from multimodal_attn.figures.text import lacking_letters, load_font, printable, shorten, wrap
from multimodal_attn.senses.picture.geometry import PictureGeometry
from multimodal_attn.senses.picture.media import read_picture
from multimodal_attn.trace import AttentionTrace, Token

ROWS, COLS = 3, 5
CELLS = FigureOptions(smooth=False)
SHADED_WHITE = round(255 * SHADE)


def geometry_of(width: int, height: int, box: tuple[float, float, float, float] | None = None) -> PictureGeometry:
    return PictureGeometry(width, height, box or (0.0, 0.0, float(width), float(height)), ROWS, COLS)


def trace_of(
    words: list[str], geometry: PictureGeometry, places: list[int] | None = None, n_heads: int = 2
) -> AttentionTrace:
    """All the weight of token t on places[t]; without places, spread at random."""
    rng = np.random.default_rng(3)
    weights = rng.dirichlet(np.ones(geometry.n_places), (len(words), n_heads)).astype(np.float32)
    if places is not None:
        weights = np.repeat(np.eye(geometry.n_places, dtype=np.float32)[places][:, None], n_heads, axis=1)
    tokens = tuple(Token(word, 0.5) for word in words)
    return AttentionTrace(
        " ".join(words), -0.5, tokens, weights.reshape(len(words), n_heads, geometry.n_places), geometry
    )


def lit_rectangle(heat: np.ndarray) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the pixels of full heat, which must fill it."""
    rows, cols = np.nonzero(heat == 1)
    left, top, right, bottom = cols.min(), rows.min(), cols.max() + 1, rows.max() + 1
    assert (heat[top:bottom, left:right] == 1).all() and heat.sum() == (bottom - top) * (right - left)
    return int(left), int(top), int(right), int(bottom)


@pytest.mark.parametrize("place", range(ROWS * COLS))
def test_cell_of_full_weight_lights_its_own_pixels_and_no_other(place: int) -> None:
    geometry = geometry_of(COLS * 20, ROWS * 14)
    heat = weights_to_heat(trace_of(["x"], geometry, [place]), 0, (COLS * 20, ROWS * 14), smooth=False)
    assert lit_rectangle(heat) == geometry.cell(place)


def test_cell_is_found_in_a_smaller_picture_of_a_crop() -> None:
    # a centre crop of 300 x 300 out of 500 x 300, drawn at a fifth: each cell is 12 x 20 pixels from x = 20 on
    geometry = geometry_of(500, 300, (100.0, 0.0, 400.0, 300.0))
    heat = weights_to_heat(trace_of(["x"], geometry, [COLS + 2]), 0, (100, 60), smooth=False)
    assert lit_rectangle(heat) == (44, 20, 56, 40)


def test_box_that_reaches_past_the_picture_moves_the_cells_with_it() -> None:
    # half a cell to the left and up, as receptive fields do: the last column reaches on to the edge
    geometry = geometry_of(100, 60, (-10.0, -10.0, 90.0, 50.0))
    first = weights_to_heat(trace_of(["x"], geometry, [0]), 0, (100, 60), smooth=False)
    last = weights_to_heat(trace_of(["x"], geometry, [ROWS * COLS - 1]), 0, (100, 60), smooth=False)
    assert lit_rectangle(first) == (0, 0, 10, 10)
    assert lit_rectangle(last) == (70, 30, 100, 60)


@pytest.mark.parametrize("smooth", [True, False])
def test_no_heat_where_the_encoder_did_not_read(smooth: bool) -> None:
    geometry = geometry_of(500, 300, (100.0, 0.0, 400.0, 300.0))  # cells are 60 wide
    heat = weights_to_heat(trace_of(["x"], geometry), 0, (500, 300), smooth=smooth)
    assert not heat[:, :70].any() and not heat[:, 430:].any()
    assert (heat[:, 100:400] > 0).any()


def test_smooth_heat_has_the_exact_weight_at_every_centre() -> None:
    side = 21  # odd, so that a pixel's centre lies on the cell's
    geometry = geometry_of(COLS * side, ROWS * side)
    trace = trace_of(["x", "y"], geometry)
    heat = weights_to_heat(trace, 1, (COLS * side, ROWS * side))
    centres = heat[side // 2 :: side, side // 2 :: side]
    assert np.allclose(centres, trace.map(1) / trace.map(1).max(), atol=1e-6)
    assert heat.min() >= 0 and heat.max() <= 1


def test_smooth_heat_peaks_in_the_planted_cell() -> None:
    geometry = geometry_of(503, 307, (31.0, 7.0, 467.0, 301.0))
    for place in range(geometry.n_places):
        heat = weights_to_heat(trace_of(["x"], geometry, [place]), 0, (503, 307))
        row, col = np.unravel_index(heat.argmax(), heat.shape)
        assert geometry.place_at(col + 0.5, row + 0.5) == place


def test_equal_weights_give_equal_heat_everywhere() -> None:
    geometry = geometry_of(101, 67)
    trace = trace_of(["x"], geometry, [0])
    even = AttentionTrace("x", 0.0, trace.tokens, np.full((1, 1, geometry.n_places), 1 / 15, np.float32), geometry)
    for smooth in (True, False):
        assert np.allclose(weights_to_heat(even, 0, (101, 67), smooth=smooth), 1)


def test_cubic_kernel_sums_to_one_between_any_two_cells() -> None:
    offsets = np.linspace(0, 1, 11)[:, None] - np.arange(-2, 4)
    assert np.allclose(cubic(offsets).sum(1), 1)
    assert list(cubic(np.arange(-2.0, 3.0))) == [0, 0, 1, 0, 0]


def test_rotated_photograph_is_lit_where_its_upright_form_says() -> None:
    # stored lying on its side, with a red patch that belongs into the top right cell of the upright picture
    upright = Image.new("RGB", (100, 60), "white")
    upright.paste((255, 0, 0), (80, 0, 100, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    stored.info["exif"] = exif.tobytes()
    picture = read_picture(stored)
    trace = trace_of(["red"], geometry_of(picture.width, picture.height), [COLS - 1])
    lit = heat_over_picture(picture.image, weights_to_heat(trace, 0, picture.image.size, smooth=False))
    assert lit.getpixel((90, 10))[0] == 255 and lit.getpixel((90, 10))[1] < 128
    assert lit.getpixel((70, 10)) == lit.getpixel((90, 30)) == (SHADED_WHITE,) * 3


# The overlay


def test_heat_of_one_keeps_hue_and_heat_of_zero_takes_it_away() -> None:
    picture = Image.new("RGB", (3, 1), (200, 40, 40))
    lit, half, shaded = (heat_over_picture(picture, np.full((1, 3), heat)).getpixel((1, 0)) for heat in (1.0, 0.5, 0.0))
    assert lit[0] >= 200 and lit[0] - lit[1] > 80
    assert shaded[0] == shaded[1] == shaded[2] < 60
    assert all(low < middle < high for low, middle, high in zip(shaded, half, lit, strict=True))


def test_light_shows_on_black_too() -> None:
    assert heat_over_picture(Image.new("RGB", (1, 1)), np.ones((1, 1))).getpixel((0, 0))[0] > 50


# The figure


def panel_of(figure: Image.Image, trace: AttentionTrace, index: int) -> Image.Image:
    layout = plan_layout(trace.geometry.width, trace.geometry.height, len(trace.tokens) + 1, 256)
    _, (left, top) = draw_frame(trace.text, layout)
    x, y = layout.corner(index)
    return figure.crop((left + x, top + y, left + x + layout.panel[0], top + y + layout.panel[1]))


def test_each_panel_shows_the_map_of_its_own_word() -> None:
    words, places = ["a", "dog", "on", "a", "hill", "top"], [0, 7, 14, 4, 10, 2]
    geometry = geometry_of(1280, 750)  # panels of 256 x 150: cells of 51.2 x 50
    trace = trace_of(words, geometry, places)
    figure = render_figure(trace, Image.new("RGB", (1280, 750), "white"), CELLS)
    assert np.all(np.asarray(panel_of(figure, trace, 0)) == 255)
    for index, place in enumerate(places):
        pixels = np.asarray(panel_of(figure, trace, index + 1))
        row, col = divmod(place, COLS)
        expected = np.full((150, 256, 3), SHADED_WHITE)
        expected[row * 50 : row * 50 + 50, np.floor((np.arange(256) + 0.5) / 51.2) == col] = 255
        assert np.array_equal(pixels, expected)


def test_first_panel_is_the_picture_itself() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (150, 256, 3), dtype=np.uint8))
    trace = trace_of(["one", "two"], geometry_of(256, 150))
    assert np.array_equal(np.asarray(panel_of(render_figure(trace, picture), trace, 0)), np.asarray(picture))


def test_picture_decoded_smaller_gives_the_same_layout() -> None:
    trace = trace_of(["a", "hill"], geometry_of(4000, 3000), [3, 8])
    large, small = (render_figure(trace, Image.new("RGB", size, "white")) for size in ((4000, 3000), (500, 375)))
    assert np.array_equal(np.asarray(large), np.asarray(small))


def test_model_without_attention_gives_picture_and_caption_only() -> None:
    trace = trace_of(["a", "dog"], geometry_of(640, 480), n_heads=0)
    picture = Image.new("RGB", (640, 480), (0, 0, 255))
    figure = np.asarray(render_figure(trace, picture))
    blue = (figure == (0, 0, 255)).all(-1)
    assert blue.sum() == 512 * 384
    assert (figure[: MARGIN + 30].min(-1) < 60).any()  # the ink of the caption
    with pytest.raises(ValueError, match="without attention"):
        weights_to_heat(trace, 0, (7, 5))


@pytest.mark.parametrize(
    "words",
    [
        [],
        [""],
        ["word"] * 30,
        ["Donaudampfschifffahrtsgesellschaftskapitän" * 5],
        ["一只", "猎豹", "тест", "كلمة", "été", "🐆"],
        ["two\nlines", "tab\t", "\x1b[2J", "\ud800", "zero\0"],
    ],
)
@pytest.mark.parametrize("size", [(1, 1), (640, 427), (20_000, 20), (20, 20_000)])
def test_odd_sentences_and_shapes_give_a_figure_of_sane_size(words: list[str], size: tuple[int, int]) -> None:
    trace = trace_of(words, geometry_of(*size))
    figure = render_figure(trace, Image.new("RGB", size, "white"))
    assert figure.mode == "RGB"
    assert min(figure.size) > 100 and max(figure.size) < 2_300


def test_three_words_keep_to_one_row_and_rows_are_filled_evenly() -> None:
    assert plan_layout(640, 427, 4, 256).n_columns == 4
    for n_panels in range(1, 60):
        layout = plan_layout(640, 427, n_panels, 256)
        n_rows = -(-n_panels // layout.n_columns)
        assert layout.n_columns * n_rows - n_panels < n_rows  # one column fewer would take another row
        corners = {layout.corner(index) for index in range(n_panels)}
        assert len(corners) == n_panels
        assert max(x for x, _ in corners) + layout.cell[0] == layout.size[0]
        assert max(y for _, y in corners) + layout.cell[1] == layout.size[1]


# Words


def test_long_words_end_in_an_ellipsis_within_their_cell() -> None:
    font = load_font(20, "word")
    short = shorten("incomprehensibilities", font, 100)
    assert short.endswith("…") and font.getlength(short) <= 100
    assert font.getlength("incomprehensibilities"[: len(short)] + "…") > 100  # not a letter shorter than need be
    assert shorten("word", font, 100) == "word"


def test_wrapped_lines_fit_and_lose_no_letter() -> None:
    text = "a man with an incomprehensibilitiesandmore hat is walking in a park"
    font = load_font(20, text)
    lines = wrap(text, font, 120)
    assert all(0 < font.getlength(line) <= 120 for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert wrap("a dog", font, 500) == ["a dog"]


def test_printable_text_is_one_line() -> None:
    assert printable("two\nlines \x1b[2J\ud800  wide") == "two lines [2J wide"


def test_font_says_which_letters_it_lacks() -> None:
    plain = load_font(20, "")
    assert lacking_letters(plain, "a dog, 2 hills!") == set()
    assert lacking_letters(plain, "a 山!") == {"山"}


# Files


def test_saved_figure_is_the_rendered_one(tmp_path: Path) -> None:
    trace = trace_of(["a", "dog"], geometry_of(64, 48))
    picture = Image.new("RGB", (64, 48), (10, 90, 200))
    save_figure(trace, picture, tmp_path / "figure.png", CELLS)
    expected = np.asarray(render_figure(trace, picture, CELLS))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "figure.png")), expected)
    assert os.listdir(tmp_path) == ["figure.png"]


def test_failed_save_keeps_the_file_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "figure.png"
    path.write_bytes(b"before")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(MediaError, match=r"figure\.png: No space left on device; choose another place"):
        save_figure(trace_of(["a"], geometry_of(64, 48)), Image.new("RGB", (64, 48)), path)
    assert path.read_bytes() == b"before" and os.listdir(tmp_path) == ["figure.png"]


def test_figures_are_told_from_pictures_by_their_mark(tmp_path: Path) -> None:
    picture = Image.new("RGB", (64, 48))
    save_figure(trace_of(["a"], geometry_of(64, 48)), picture, tmp_path / "figure.png")
    picture.save(tmp_path / "picture.png")
    os.mkfifo(tmp_path / "pipe.png")  # which would wait for ever
    assert Image.open(tmp_path / "figure.png").info["Software"] == "multimodal-attn"
    (tmp_path / "renamed.jpg").write_bytes((tmp_path / "figure.png").read_bytes())
    found = {path.name: is_figure(path) for path in (*tmp_path.iterdir(), tmp_path / "none.png", tmp_path)}
    assert {name for name, ours in found.items() if ours} == {"figure.png", "renamed.jpg"}


def test_missing_folder_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="No such file or directory; choose another place"):
        save_figure(trace_of(["a"], geometry_of(64, 48)), Image.new("RGB", (64, 48)), tmp_path / "none" / "figure.png")
