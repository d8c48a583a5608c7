"""What becomes of one result when the next comes, when it is saved, and how the viewer reads its numbers."""

import json

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from multimodal_attn.trace import AttentionTrace, encode_weights
from tests.fake_captioner import GEOMETRY, HEIGHT, WIDTH, WORDS, planted_trace
from tests.ui.browser.mounted import pure, selected, words
from tests.ui.browser.pictured import is_blank, payload


def test_a_problem_keeps_the_result_and_the_pin(shown):
    words(shown).nth(1).click()
    shown.evaluate("show({ id: 'second', problem: 'cat.jpg: <b>empty</b>' })")
    expect(shown.get_by_role("alert")).to_have_text("cat.jpg: <b>empty</b>")
    assert selected(shown) == ["dog"] and not is_blank(shown)


def test_a_problem_after_a_waiting_picture_returns_to_the_last_result(shown):
    shown.evaluate("show", payload(None, "second"))
    expect(shown.get_by_role("listbox")).to_be_hidden()
    expect(shown.get_by_text("Looking")).to_be_visible()
    shown.evaluate("show({ id: 'third', problem: 'no' })")
    expect(words(shown)).to_have_text(list(WORDS))


def test_the_next_result_clears_the_problem_and_the_pin(shown):
    words(shown).nth(1).click()
    shown.evaluate("show({ id: 'second', problem: 'no' })")
    shown.mouse.move(0, 0)
    shown.evaluate("show", payload(planted_trace(("two", "cats")), "third"))
    expect(shown.get_by_role("alert")).to_be_hidden()
    expect(words(shown)).to_have_text(["two", "cats"])
    assert selected(shown) == []


def test_saved_data_is_the_trace(shown):
    with shown.expect_download() as download:
        shown.get_by_role("button", name="JSON").click()
    assert download.value.suggested_filename == "dog.json"
    trace = AttentionTrace.from_json(download.value.path().read_text("utf-8"))
    assert trace.tokens == planted_trace().tokens
    np.testing.assert_array_equal(trace.weights, planted_trace().weights)


def test_saved_picture_holds_the_map_and_names_the_word(shown):
    shown.get_by_label("Cells").check()
    words(shown).nth(0).click()
    with shown.expect_download() as download:
        shown.get_by_role("button", name="PNG").click()
    assert download.value.suggested_filename == "dog-1-a.png"
    saved = np.asarray(Image.open(download.value.path()).convert("L"), float)
    scale = saved.shape[1] / WIDTH
    left, top, right, bottom = (round(edge * scale) for edge in GEOMETRY.cell(7))
    edge = round(4 * scale)  # within the line around half the weight
    lit = saved[top + edge : bottom - edge, left + edge : right - edge]
    assert np.ptp(lit) == 0 and lit[0, 0] > saved[top + edge, left - 2 * edge] + 50
    assert np.ptp(saved[top:bottom, left:right]) > 100  # and the line is saved with it


def test_half_floats_are_read_as_numpy_writes_them(page):
    bits = np.concatenate([np.arange(0, 0x7C00, 7), np.arange(0x8001, 0xFC00, 11)]).astype("<u2")
    values = bits.view("<f2").astype(np.float32)
    decoded = pure(page, "Array.from(decodeWeights(arguments[0]).values)", encode_weights(values.reshape(-1, 1, 1)))
    np.testing.assert_array_equal(np.float32(decoded), values)


def test_places_agree_with_the_geometry_of_the_trace(page):
    spots = [(x, y) for x in range(0, 198, 13) for y in range(0, HEIGHT, 11)]
    places = pure(page, "arguments[1].map(([x, y]) => placeAt(arguments[0], x, y))", GEOMETRY.to_dict(), spots)
    assert places == [GEOMETRY.place_at(x, y) for x, y in spots]
    boxes = pure(page, "Array.from({ length: 15 }, (_, place) => cellBox(arguments[0], place))", GEOMETRY.to_dict())
    np.testing.assert_allclose(boxes, [GEOMETRY.cell(place) for place in range(15)])


@pytest.mark.parametrize(
    ("sentence", "tokens", "laid", "after"),
    [
        ("a dog", ["a", "dog"], [["", "a"], [" ", "dog"]], ""),
        ("A dog.", ["a", "dog"], [["", "A"], [" ", "dog"]], "."),
        ("unseen, dogs", ["un", "seen", " dog", "s"], [["", "un"], ["", "seen"], [", ", "dog"], ["", "s"]], ""),
        ("a dog", ["a", "<unk>", "dog"], [["", "a"], [" ", "<unk>"], [" ", "dog"]], ""),
    ],
)
def test_tokens_lie_in_the_sentence_as_written(page, sentence, tokens, laid, after):
    answer = pure(page, "layTokens(arguments[0], arguments[1])", sentence, [{"text": token} for token in tokens])
    assert [[part["before"], part["text"]] for part in answer["laid"]] == laid
    assert answer["after"] == after


def test_script_and_payload_survive_json(page):
    assert json.loads(json.dumps(payload(planted_trace())))["trace"]["weights"]["shape"] == [3, 1, 15]
