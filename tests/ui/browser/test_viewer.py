"""The viewer with a picture, by itself: planted weights must light their own cells."""

from dataclasses import replace

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from tests.fake_captioner import COLS, GEOMETRY, HEIGHT, HOSTILE, ROWS, WIDTH, WORDS, planted_trace, planted_weights
from tests.ui.browser.mounted import selected, words
from tests.ui.browser.pictured import LIT, is_blank, lit_box, show


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
