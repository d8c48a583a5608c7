"""The alignment matrix: planted weights are found again in the pixels."""

import numpy as np
import pytest

from multimodal_attn.figures import render_figure
from multimodal_attn.figures.matrix import CELL, source_names
from multimodal_attn.figures.text import lacking_letters, load_font
from multimodal_attn.senses.text.geometry import TextGeometry
from multimodal_attn.senses.text.media import Text
from multimodal_attn.trace import AttentionTrace, Token

SOURCE = "old dog 漢"
EDGE = (0xE4, 0xE4, 0xE9)
GEOMETRY = TextGeometry(SOURCE, ((0, 3), (4, 7), (8, 9), (8, 9), (8, 9)))


def planted(weights: np.ndarray, geometry: TextGeometry = GEOMETRY) -> AttentionTrace:
    tokens = tuple(Token(text, 0.5) for text in ("▁alt", "er", "▁Hund")[: len(weights)])
    return AttentionTrace("alter Hund", -0.5, tokens, weights.astype(np.float32)[:, None], geometry)


def cells(trace: AttentionTrace) -> np.ndarray:
    """The darkness of the middle of each cell (T, S), 0 to 1, found from the frame around them."""
    figure = render_figure(trace, Text(SOURCE))
    grey, edge = np.asarray(figure.convert("L")).astype(float), (np.asarray(figure) == EDGE).all(2)
    n_rows, n_columns = trace.weights.shape[0], trace.weights.shape[2]
    height, width = n_rows * CELL, n_columns * CELL
    left = int(np.flatnonzero(edge.sum(0) >= height)[0]) + 1
    top = int(np.flatnonzero(edge[:, left : left + width].sum(1) >= width)[0]) + 1
    corner = grey[top : top + height, left : left + width]
    return 1 - (corner[CELL // 2 :: CELL, CELL // 2 :: CELL] - 27) / 228


def test_each_row_is_as_dark_as_its_weights() -> None:
    weights = np.array([[0.8, 0.2, 0, 0, 0], [0, 0.1, 0.4, 0.4, 0.1], [0, 1, 0, 0, 0]])
    np.testing.assert_allclose(cells(planted(weights)), weights / weights.max(1, keepdims=True), atol=0.01)


def test_a_letter_of_several_bytes_is_named_once() -> None:
    assert source_names(GEOMETRY) == ["old", "dog", "漢", "", ""]


def test_letters_without_a_font_are_told() -> None:
    if not lacking_letters(load_font(14, SOURCE), SOURCE):
        pytest.skip("a font here has Chinese characters")
    plain = TextGeometry("old dog aa", GEOMETRY.spans)
    weights = np.eye(5)[:3]
    with_note, without = (
        render_figure(planted(weights), Text(SOURCE)),
        render_figure(planted(weights, plain), Text("old dog aa")),
    )
    assert with_note.height > without.height


@pytest.mark.parametrize("shape", [(0, 5), (3, 0)])
def test_nothing_to_draw_gives_the_sentences(shape: tuple[int, int]) -> None:
    trace = planted(np.zeros(shape), TextGeometry("", ()) if not shape[1] else GEOMETRY)
    assert render_figure(trace, Text(SOURCE)).width > 300
    without = AttentionTrace("alter Hund", 0.0, (Token("alter", 1.0),), np.zeros((1, 0, 5), np.float32), GEOMETRY)
    assert render_figure(without, Text(SOURCE)).width > 300


def test_a_very_long_sentence_stays_a_picture() -> None:
    n = 2600
    geometry = TextGeometry("a" * n, tuple((i, i + 1) for i in range(n)))
    trace = AttentionTrace("x", 0.0, (Token("x", 1.0),), np.full((1, 1, n), 1 / n, np.float32), geometry)
    assert render_figure(trace, Text("a" * n)).width < 3000
