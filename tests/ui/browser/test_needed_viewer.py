"""Looked | Needed, and what if, in the viewer by itself: what it asks, and what it does with the answers."""

from dataclasses import replace

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from multimodal_attn.trace import AttentionTrace, Origin
from tests.fake_captioner import GEOMETRY, HEIGHT, WIDTH, WORDS, planted_trace
from tests.ui.browser.mounted import mount, pure, selected, words
from tests.ui.browser.pictured import is_blank, lit_box, payload

ASKS = {"kind": "file", "source": "/uploads/dog.jpg"}
FALLS = {0: (8, 0.125), 1: (3, 0.25), 2: (13, 0.03125)}  # by token: the cell that it needs, and what it loses there
CLASSES = "words => words.map((word) => word.classList.contains('changed'))"


def measured(trace: AttentionTrace | None = None) -> AttentionTrace:
    trace = trace or planted_trace()
    needed = np.zeros((len(trace.tokens), GEOMETRY.n_places), np.float32)
    for token, (place, fall) in FALLS.items():
        needed[token, place] = fall
    ids = [replace(token, id=10 + n) for n, token in enumerate(trace.tokens)]
    return replace(trace, needed=needed, tokens=tuple(ids))


def asking(page: Page, trace: AttentionTrace) -> None:
    mount(page, {**payload(trace), "asks": ASKS}, asks=True)


def asked(page: Page) -> list[dict]:
    return page.evaluate("window.asked")


@pytest.fixture
def known(page) -> Page:
    """A viewer that has what was needed, and somebody to ask."""
    asking(page, measured())
    return page


def test_what_was_needed_is_shown_without_anybody_to_ask(page):
    mount(page, payload(measured()))
    marks = words(page).evaluate_all("words => words.map((word) => word.dataset.need)")
    assert marks == ["looked", "elsewhere", "nothing"]
    page.get_by_label("Cells").check()
    page.get_by_label("Needed").check()
    words(page).nth(1).click()
    left, top, right, bottom = GEOMETRY.cell(3)
    assert lit_box(page) == (left, max(top, 0), right, bottom)
    expect(page.locator(".detail")).to_contain_text(
        "Needed another place: 50\u2009% → 25\u2009% without row 1, column 4"
    )
    expect(page.get_by_role("button", name="Test the map")).to_be_hidden()
    page.get_by_label("Looked").check()
    assert lit_box(page) == (*GEOMETRY.cell(1)[:1], 0, *GEOMETRY.cell(1)[2:])


REDDEST = """() => {
  const { data } = document.querySelector("canvas").getContext("2d").getImageData(0, 0, 1050, 750);
  return data.reduce((most, value, i) => (i % 4 ? most : Math.max(most, value)), 0);
}"""


def test_a_word_that_needed_nothing_is_not_lit_as_if_it_did(known):
    known.get_by_label("Cells").check()
    known.get_by_label("Needed").check()
    words(known).nth(0).click()
    lit = known.evaluate(REDDEST)
    words(known).nth(2).click()
    known.mouse.move(0, 0)
    assert not is_blank(known) and known.evaluate(REDDEST) < 160 < lit
    expect(known.locator(".legend")).to_contain_text("10\u2009%")


def test_a_saved_page_without_it_and_a_model_without_attention_have_no_switch(shown, page):
    expect(shown.get_by_label("Needed")).to_be_hidden()
    asking(page, planted_trace(weights=np.zeros((3, 0, GEOMETRY.n_places), np.float32)))
    expect(page.get_by_label("Needed")).to_be_hidden()
    assert asked(page) == []


def test_it_is_asked_for_once_the_sentence_is_there_and_late_answers_change_nothing(page):
    asking(page, replace(measured(), needed=None))
    [question] = asked(page)
    assert question == {"want": "needed", "of": "first", "begin": [10, 11, 12], "hidden": [], "written": "", **ASKS}
    expect(page.get_by_label("Needed")).to_be_disabled()
    page.evaluate("show({ id: 'a', of: 'first', done: 0.25 })")
    expect(page.locator(".layers")).to_contain_text("25\u2009%")
    needed = measured().to_dict()["needed"]
    page.evaluate("show", {"id": "b", "of": "another", "needed": needed})
    expect(page.get_by_label("Needed")).to_be_disabled()
    words(page).nth(1).click()
    page.evaluate("show", {"id": "c", "of": "first", "needed": needed})
    expect(page.get_by_label("Needed")).to_be_enabled()
    expect(page.locator(".layers")).to_contain_text("1 needed where they looked")
    assert selected(page) == ["dog"] and len(asked(page)) == 1


def test_choosing_another_word_asks_for_the_rest_marks_what_changed_and_can_be_undone(known):
    words(known).nth(1).click()
    known.mouse.move(0, 0)
    choices = known.get_by_role("group", name="It could have written").get_by_role("button")
    assert choices.all_text_contents()[:2] == ["dog50\u2009%", "cat13\u2009%"]
    expect(choices.nth(0)).to_have_attribute("aria-pressed", "true")
    choices.nth(0).click()
    assert asked(known) == []
    choices.nth(1).click()
    [question] = asked(known)
    assert (question["want"], question["begin"]) == ("again", [10, "cat"])
    known.evaluate("show", {"id": "b", "of": "first", "trace": measured(planted_trace(("a", "cat", "runs"))).to_dict()})
    expect(words(known)).to_have_text(["a", "cat", "runs"])
    assert words(known).evaluate_all(CLASSES) == [False, True, False]
    expect(known.locator(".before")).to_contain_text("dog → cat: instead of a dog runs")
    assert selected(known) == ["cat"]
    known.get_by_role("button", name="Undo").click()
    expect(words(known)).to_have_text(list(WORDS))
    expect(known.locator(".before")).to_be_hidden()
    assert words(known).evaluate_all(CLASSES) == [False, False, False]


def test_a_word_may_be_written_and_a_refusal_leaves_the_sentence(known):
    words(known).nth(1).click()
    known.mouse.move(0, 0)
    known.get_by_label("Another word here").fill(" horse ")
    known.keyboard.press("Enter")
    [question] = asked(known)
    assert (question["begin"], question["written"]) == ([10], "horse")
    known.evaluate("show({ id: 'b', of: 'first', problem: 'never says horse' })")
    expect(known.get_by_role("alert")).to_have_text("never says horse")
    expect(words(known)).to_have_text(list(WORDS))
    known.keyboard.press("Enter")
    assert len(asked(known)) == 2  # it may be asked again


def test_the_best_sentences_are_listed_with_the_parts_of_their_scores(known):
    known.get_by_role("button", name="Other sentences").click()
    assert [(each["want"], each["begin"]) for each in asked(known)] == [("best", [])]
    others = [planted_trace(), planted_trace(("two", "dogs"))]
    best = [{"trace": measured(each).to_dict(), "parts": {"decoder": -2.5, "ctc": -4.0}} for each in others[:1]]
    best.append({"trace": others[1].to_dict(), "parts": {"decoder": -3.0, "ctc": -1.0}})
    known.evaluate("show", {"id": "b", "of": "first", "best": best})
    listed = known.locator(".sentences button")
    expect(listed).to_have_text(
        ["a dog runs-0.50 a token: decoder -2.5, CTC -4.0", "two dogs-0.50 a token: decoder -3.0, CTC -1.0"]
    )
    listed.nth(1).click()
    expect(words(known)).to_have_text(["two", "dogs"])
    known.get_by_role("button", name="Undo").click()
    expect(words(known)).to_have_text(list(WORDS))


def test_the_test_tells_its_own_map_from_others(known):
    known.get_by_role("button", name="Test the map").click()
    assert [each["want"] for each in asked(known)] == ["test"]
    figures = {"own": 0.3, "others": 0.2, "middle": 0.1, "random": 0.05}
    known.evaluate(
        "show", {"id": "b", "of": "first", "test": {"n_parts": 2, "deletion": figures, "insertion": figures}}
    )
    expect(known.get_by_role("row", name="where the word looked")).to_contain_text("−30\u2009%")
    expect(known.locator(".card")).to_contain_text("Each word needs its own places more than the others’.")
    known.get_by_role("button", name="Close").click()
    expect(known.locator(".card")).to_be_hidden()


def outline_at(page: Page, place: int) -> list[int]:
    """Colour and opacity in the middle of a cell, of what lies over the map."""
    left, top, right, bottom = GEOMETRY.cell(place)
    x, y = (max(left, 0) + right) / 2 / WIDTH, (max(top, 0) + min(bottom, HEIGHT)) / 2 / HEIGHT
    return page.evaluate(
        """([x, y]) => {
          const canvas = document.querySelector("[data-part=outline]");
          return [...canvas.getContext("2d").getImageData(x * canvas.width, y * canvas.height, 1, 1).data];
        }""",
        [x, y],
    )


def spot(page: Page, place: int) -> tuple[float, float]:
    left, top, right, bottom = GEOMETRY.cell(place)
    box = page.locator(".stage").bounding_box()
    x, y = (max(left, 0) + right) / 2 / WIDTH, (max(top, 0) + min(bottom, HEIGHT)) / 2 / HEIGHT
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def test_cells_that_the_brush_passes_are_hidden_and_the_sentence_is_written_without_them(known):
    known.get_by_role("button", name="Hide a part").click()
    known.mouse.move(*spot(known, 7))
    known.mouse.down()
    known.mouse.move(*spot(known, 8), steps=4)
    assert outline_at(known, 7)[3] > 200 and outline_at(known, 6)[3] == 0
    known.mouse.up()
    [question] = asked(known)
    assert (question["want"], question["begin"], question["hidden"]) == ("again", [], [7, 8])
    trace = measured(planted_trace(("a", "man", "runs")))
    hidden = replace(trace, origin=Origin("fake", "", {"hidden": [7, 8]}))
    known.evaluate("show", {"id": "b", "of": "first", "trace": hidden.to_dict()})
    expect(known.locator(".before")).to_contain_text("Without 2 cells: instead of a dog runs")
    known.mouse.move(0, 0)
    assert outline_at(known, 8)[3] > 200 and outline_at(known, 1)[3] == 0
    known.get_by_role("button", name="Undo").click()
    assert outline_at(known, 8)[3] == 0


def test_the_brightest_cell_of_a_word_is_hidden_by_a_button(known):
    words(known).nth(2).click()
    known.mouse.move(0, 0)
    known.get_by_role("button", name="Hide where its map is brightest").click()
    assert asked(known)[0]["hidden"] == [13]


def test_half_the_weight_is_outlined_and_no_more(page):
    weights = np.zeros((3, 1, GEOMETRY.n_places), np.float32)
    weights[0, 0, [6, 7, 8]] = 0.4, 0.35, 0.25
    assert pure(page, "[...halfOf(arguments[0])]", [0.1, 0.4, 0.3, 0.2, -0.5]) == [1, 2]
    mount(page, payload(planted_trace(weights=weights)))
    words(page).nth(0).click()
    page.mouse.move(0, 0)
    edges = page.evaluate("""() => {
      const canvas = document.querySelector("[data-part=outline]");
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const lit = [];
      for (let i = 3; i < data.length; i += 4) if (data[i]) lit.push(((i - 3) / 4) % canvas.width / canvas.width);
      return [Math.min(...lit.slice(0, 9999)), lit.reduce((most, x) => Math.max(most, x), 0)];
    }""")
    assert edges == pytest.approx([GEOMETRY.cell(6)[0] / WIDTH, GEOMETRY.cell(7)[2] / WIDTH], abs=0.01)


def test_all_words_may_share_one_scale(page):
    weights = np.zeros((3, 1, GEOMETRY.n_places), np.float32)
    weights[0, 0, 7], weights[1, 0, :10], weights[2, 0, 13] = 0.8, 0.1, 0.4
    mount(page, payload(planted_trace(weights=weights)))
    words(page).nth(1).click()
    page.mouse.move(0, 0)
    expect(page.locator(".legend")).to_contain_text("10\u2009%")
    page.get_by_label("One scale for all words").check()
    expect(page.locator(".legend")).to_contain_text("80\u2009%")


def test_what_cannot_be_measured_is_told_beside_the_switch_and_is_no_alarm(page):
    asking(page, replace(measured(), needed=None))
    page.evaluate("show({ id: 'a', of: 'first', want: 'needed', problem: 'Too long' })")
    expect(page.locator(".layers")).to_contain_text("Too long")
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.get_by_label("Needed")).to_be_disabled()
