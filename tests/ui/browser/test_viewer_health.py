"""How widely the model looked, and what is wrong with its attention, as the viewer tells it."""

import numpy as np
from playwright.sync_api import Page, expect

from tests.fake_captioner import COLS, ROWS, planted_trace, planted_weights
from tests.ui.browser.mounted import words
from tests.ui.browser.pictured import payload, show

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
