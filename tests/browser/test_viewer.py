"""The viewer with a picture, by itself: planted weights must light their own cells."""

import base64
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from multimodal_attn.trace import AttentionTrace, encode_weights
from tests.browser.mounted import mount, pure, selected, words
from tests.fake_captioner import COLS, GEOMETRY, HEIGHT, HOSTILE, ROWS, WIDTH, WORDS, planted_trace, planted_weights

# Bounding box of the pixels that have the colour of the brightest, how many there are, and how many colours in all.
LIT = """() => {
  const canvas = document.querySelector("canvas");
  const pixels = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  const red = (colour) => colour & 255;
  const colours = new Set(pixels);
  const hot = [...colours].sort((a, b) => red(b) - red(a))[0];
  const lit = [];
  pixels.forEach((colour, i) => colour === hot && lit.push(i));
  const xs = lit.map((i) => i % canvas.width), ys = lit.map((i) => Math.floor(i / canvas.width));
  const ends = (values) => values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [1e9, -1]);
  return { n: lit.length, colours: colours.size, x: ends(xs), y: ends(ys), width: canvas.width, height: canvas.height };
}"""


def picture_url(width: int = WIDTH, height: int = HEIGHT) -> str:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "white").save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def payload(trace: AttentionTrace | None, identity: str = "first") -> dict:
    media = {"kind": "picture", "name": "dog.jpg", "width": WIDTH, "height": HEIGHT, "file": {"url": picture_url()}}
    return {"id": identity, "media": media} | ({"trace": trace.to_dict()} if trace else {})


def show(page: Page, trace: AttentionTrace) -> None:
    mount(page, payload(trace))


@pytest.fixture
def shown(page) -> Page:
    show(page, planted_trace())
    return page


def lit_box(page: Page) -> tuple[float, ...]:
    """The lit rectangle in pixels of the original picture, after checking that it is one and lit evenly."""
    lit = page.evaluate(LIT)
    (left, right), (top, bottom) = lit["x"], lit["y"]
    assert lit["colours"] == 2
    assert lit["n"] == (right + 1 - left) * (bottom + 1 - top)
    scale = lit["width"] / WIDTH
    assert scale == lit["height"] / HEIGHT
    return left / scale, top / scale, (right + 1) / scale, (bottom + 1) / scale


def is_blank(page: Page) -> bool:
    return page.evaluate(LIT)["colours"] == 1


@pytest.mark.parametrize(("token", "place"), [(0, 7), (1, 1), (2, 13)])
def test_pointing_at_a_word_lights_exactly_the_planted_cell(shown, token, place):
    shown.get_by_label("Cells").check()
    words(shown).nth(token).hover()
    left, top, right, bottom = GEOMETRY.cell(place)
    assert lit_box(shown) == (max(left, 0), max(top, 0), min(right, WIDTH), min(bottom, HEIGHT))


def test_smooth_map_is_brightest_at_the_middle_of_the_cell_and_has_no_hard_edge(shown):
    words(shown).nth(0).hover()
    lit = shown.evaluate(LIT)
    left, top, right, bottom = (edge * lit["width"] / WIDTH for edge in GEOMETRY.cell(7))
    assert lit["colours"] > 20
    assert left < sum(lit["x"]) / 2 < right and top < sum(lit["y"]) / 2 < bottom
    assert lit["x"][0] > left and lit["x"][1] < right


def test_a_smooth_map_goes_on_for_half_a_cell_and_cells_end_with_the_grid(page):
    weights = np.ones((3, 1, ROWS * COLS), np.float32) / (ROWS * COLS)  # the grid ends at 198 of 210 pixels
    show(page, planted_trace(weights=weights))
    words(page).nth(0).click()
    assert is_blank(page)  # one colour all over
    page.get_by_label("Cells").check()
    assert lit_box(page) == (0, 0, 198, HEIGHT)


def test_without_a_word_the_picture_is_bare(shown):
    assert is_blank(shown)
    words(shown).nth(0).hover()
    assert not is_blank(shown)
    shown.mouse.move(0, 0)
    assert is_blank(shown)


def test_click_pins_a_word_and_leaving_another_returns_to_it(shown):
    words(shown).nth(1).click()
    words(shown).nth(2).hover()
    assert selected(shown) == ["runs"]
    shown.mouse.move(0, 0)
    assert selected(shown) == ["dog"]
    words(shown).nth(1).click()
    shown.mouse.move(0, 0)
    assert selected(shown) == []


def test_keys_step_through_the_words(shown):
    shown.get_by_role("listbox").focus()
    steps = [
        ("ArrowRight", "a"),
        ("ArrowRight", "dog"),
        ("End", "runs"),
        ("ArrowRight", "runs"),
        ("ArrowLeft", "dog"),
        ("Home", "a"),
    ]
    for key, word in steps:
        shown.keyboard.press(key)
        assert selected(shown) == [word], key
    active = shown.get_by_role("listbox").get_attribute("aria-activedescendant")
    assert shown.locator(f"[id='{active}']").text_content() == "a"
    shown.keyboard.press("Escape")
    assert selected(shown) == [] and is_blank(shown)


def test_stepping_is_spoken(shown):
    spoken = shown.locator("[aria-live=polite]")
    expect(spoken).to_have_text("a dog runs")
    shown.get_by_role("listbox").focus()
    shown.keyboard.press("ArrowRight")
    expect(spoken).to_have_text("a, 25\u2009% sure; looks most at row 2, column 3")


def point(page: Page, x: float, y: float) -> None:
    box = page.locator(".stage").bounding_box()
    page.mouse.move(box["x"] + x / WIDTH * box["width"], box["y"] + y / HEIGHT * box["height"])


def test_pointing_at_the_picture_shades_the_words_that_looked_there(shown):
    left, top, right, bottom = GEOMETRY.cell(13)
    point(shown, (left + right) / 2, (top + min(bottom, HEIGHT)) / 2)
    shares = [word.evaluate("word => word.style.getPropertyValue('--share')") for word in words(shown).all()]
    assert shares == ["0", "0", "1"]
    backgrounds = [word.evaluate("word => getComputedStyle(word).backgroundColor") for word in words(shown).all()]
    assert backgrounds[0] == backgrounds[1] != backgrounds[2]
    cell, stage = shown.locator(".cell").bounding_box(), shown.locator(".stage").bounding_box()
    assert (cell["x"] - stage["x"]) / stage["width"] * WIDTH == pytest.approx(left, abs=0.2)
    assert cell["height"] / stage["height"] * HEIGHT == pytest.approx(bottom - top, abs=0.2)


def test_pointing_outside_the_grid_points_at_no_cell(shown):
    point(shown, 204, 75)  # the grid ends at 198
    expect(shown.locator(".cell")).to_be_hidden()


def test_probability_and_alternatives_are_told(shown):
    words(shown).nth(1).hover()
    detail = shown.locator(".detail")
    expect(detail).to_contain_text("50\u2009% sure")
    expect(detail.locator("li")).to_have_text(["cat13\u2009%", f"{HOSTILE[0]}6.3\u2009%"])


def test_share_that_is_on_no_place_is_told_where_there_is_one(page):
    weights = planted_weights((7, 7), (1, 1), (13, 13))
    weights[1] *= [[0.8], [0.5]]
    show(page, planted_trace(weights=weights))
    words(page).nth(0).click()
    expect(page.locator(".detail")).not_to_contain_text("attention")
    words(page).nth(1).click()
    expect(page.locator(".detail")).to_contain_text("35\u2009% of the attention is not on the picture")
    page.get_by_label("Head").select_option("2")
    expect(page.locator(".detail")).to_contain_text("50\u2009% of the attention is not on the picture")


def test_heads_are_averaged_until_one_is_chosen(page):
    show(page, planted_trace(weights=planted_weights((7, 8), (1, 1), (13, 0))))
    page.get_by_label("Cells").check()
    words(page).nth(0).click()
    left, top, _, _ = GEOMETRY.cell(7)
    _, _, right, bottom = GEOMETRY.cell(8)
    assert lit_box(page) == (left, top, right, bottom)
    page.get_by_label("Head").select_option("2")
    assert lit_box(page) == GEOMETRY.cell(8)


def test_one_head_needs_no_choice(shown):
    expect(shown.get_by_label("Head")).to_be_hidden()


def test_strength_zero_leaves_the_picture_as_it_is(shown):
    words(shown).nth(0).click()
    shown.get_by_label("Strength").fill("0")
    assert is_blank(shown)


def test_a_model_without_attention_says_so_and_still_tells_its_words(page):
    show(page, planted_trace(weights=np.zeros((3, 0, ROWS * COLS), np.float32)))
    expect(page.locator(".detail")).to_contain_text("This model has no attention")
    expect(words(page)).to_have_text(list(WORDS))
    words(page).nth(2).hover()
    expect(page.locator(".detail")).to_contain_text("75\u2009% sure")
    expect(page.locator(".controls")).to_be_hidden()
    point(page, 100, 70)
    assert is_blank(page)


# Health


SENTENCE = ("a", "dog", "runs", "home")


def shades(page: Page) -> list[float]:
    return page.locator(".entropy").evaluate_all("bars => bars.map((bar) => bar.getBoundingClientRect().height)")


def test_the_shade_under_a_word_is_as_deep_as_its_look_is_wide(page):
    n_cells = (3, 6, 15, 15)
    weights = np.zeros((4, 1, ROWS * COLS), np.float32)
    for token, n in enumerate(n_cells):
        weights[token, 0, :n] = 1 / n
    show(page, planted_trace(SENTENCE, weights=weights))
    deepest = shades(page)[-1]
    np.testing.assert_allclose(np.divide(shades(page), deepest), np.divide(n_cells, 15), atol=0.02)
    words(page).nth(1).hover()
    expect(page.locator(".detail")).to_contain_text("looks at about 6 of 15 cells")


def test_the_shades_are_those_of_the_chosen_head(page):
    weights = planted_weights((7, 7), (1, 1), (13, 13))
    weights[1, 1] = 1 / 15
    show(page, planted_trace(weights=weights))
    page.get_by_label("Head").select_option("2")
    a, dog, runs = shades(page)
    assert a == runs < dog / 3
    words(page).nth(1).click()
    expect(page.locator(".detail")).to_contain_text("looks at about 15 of 15 cells")


def test_healthy_attention_is_told_in_plain_words_and_its_figures_on_asking(shown):
    verdict, figures = shown.locator("summary"), shown.locator("[data-part=figures]")
    expect(verdict).to_have_text("Attention moves and is sharp.")
    expect(figures).to_be_hidden()
    verdict.click()
    expect(figures.locator("dt")).to_have_text(["Entropy", "Change", "Coverage"])  # time is not a picture's
    expect(figures.locator("dd:not(.meaning)")).to_have_text(["0\u2009%", "100\u2009%", "20\u2009%"])
    figures.click()
    expect(figures).to_be_visible()
    words(shown).nth(0).click()
    expect(figures).to_be_hidden()


def test_an_alarm_stands_in_place_of_the_verdict(page):
    one_map = np.random.default_rng(3).dirichlet(np.ones(15)).astype(np.float32)
    show(page, planted_trace(SENTENCE, weights=np.tile(one_map, (4, 1, 1))))
    expect(page.locator("summary")).to_have_text("Every word has the same map.")
    expect(page.locator("details.ill")).to_be_visible()
    page.evaluate("show", payload(planted_trace(), "second"))
    expect(page.locator("details.ill")).to_have_count(0)


def test_without_attention_nothing_is_said_of_it(page):
    show(page, planted_trace(weights=np.zeros((3, 0, ROWS * COLS), np.float32)))
    expect(page.locator("summary")).to_be_hidden()
    expect(page.get_by_text("how widely")).to_be_hidden()
    assert shades(page) == [0, 0, 0]
    page.evaluate("show", payload(planted_trace((), np.zeros((0, 1, 15), np.float32)), "second"))
    expect(page.locator("[data-part=health]")).to_be_hidden()


def test_alternatives_that_are_no_text_have_names(page):
    trace = planted_trace()
    last = replace(trace.tokens[-1], alternatives=(("<end>", 0.5), ("<unk>", 0.25), ("\u2581", 0.125), ("end", 0.0625)))
    show(page, replace(trace, tokens=(*trace.tokens[:-1], last)))
    words(page).nth(2).hover()
    names = page.locator(".detail li span:first-child")
    expect(names).to_have_text(["end of sentence", "unknown word", "space", "end"])
    styles = names.evaluate_all("names => names.map((name) => getComputedStyle(name).fontStyle)")
    assert styles == ["italic", "italic", "italic", "normal"]


def test_an_empty_sentence_is_explained(page):
    show(page, planted_trace((), np.zeros((0, 1, ROWS * COLS), np.float32)))
    expect(page.locator(".detail")).to_have_text("The model found no words for this picture.")
    page.get_by_role("listbox").focus()
    page.keyboard.press("ArrowRight")
    assert selected(page) == []


def test_words_of_others_are_shown_literally(page):
    show(page, planted_trace(HOSTILE))
    expect(words(page)).to_have_text(list(HOSTILE))
    for word in words(page).all():
        word.hover()
    assert page.evaluate("window.hacked") is None
    assert page.locator("#viewer img").count() == 1


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
    lit = saved[top:bottom, left:right]
    assert np.ptp(lit) == 0 and lit[0, 0] > saved[top, left - 1] + 50


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
