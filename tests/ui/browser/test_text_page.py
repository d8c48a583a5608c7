"""The translation tab of the page, served by Gradio and used by a real browser."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from multimodal_attn.senses.text.page import SENTENCES
from multimodal_attn.viewer.share import shared_page
from tests.fake_captioner import HOSTILE
from tests.fake_translator import PLACES, SENTENCE, TextGeometry, read_trace
from tests.ui.browser.mounted import mount, pure
from tests.ui.browser.test_shared_page import DROP

WORDS = ["汤", "姆", "追", "杰瑞", "。"]
PIECES = ["Tom", "chas", "es", "Jerry", "."]
SHARE = "node => getComputedStyle(node).getPropertyValue('--share')"


@pytest.fixture
def text_page(app_page) -> Page:
    app_page.get_by_role("tab", name="Translation").click()
    expect(app_page.locator("#text-viewer .empty")).to_be_visible()
    return app_page


def write(page: Page, sentence: str) -> None:
    page.get_by_label("A sentence to translate").fill(sentence)
    page.get_by_label("A sentence to translate").press("Enter")


def viewer(page: Page):
    return page.locator("#text-viewer")


def test_a_sentence_is_translated_and_each_side_lights_up_the_other(text_page):
    write(text_page, SENTENCE)
    words, pieces = viewer(text_page).get_by_role("option"), viewer(text_page).locator("[data-part=source] span")
    expect(words).to_have_text(WORDS)
    expect(pieces).to_have_text(PIECES)
    asked: list[str] = []
    text_page.on("request", lambda request: asked.append(request.url))
    for token, place in enumerate(PLACES):
        words.nth(token).hover()
        shares = [float(piece.evaluate(SHARE)) for piece in pieces.all()]
        assert shares.index(max(shares)) == place and max(shares) == 1
    pieces.nth(0).hover()
    shares = [float(word.evaluate(SHARE)) for word in words.all()]
    assert [share > 0.9 for share in shares] == [True, True, False, False, False]
    expect(viewer(text_page).get_by_text("Read most at “Tom”")).to_be_visible()
    assert asked == []


def test_self_attention_is_seen_where_it_was_asked_for(text_page):
    write(text_page, SENTENCE)
    expect(viewer(text_page).get_by_role("option")).to_have_text(WORDS)
    expect(viewer(text_page).locator("[data-part=inside-label]")).to_be_hidden()
    text_page.locator("#text-inside input").check()
    write(text_page, f"{SENTENCE} ")
    maps, pieces = viewer(text_page).locator("[data-part=inside]"), viewer(text_page).locator("[data-part=source] span")
    expect(maps).to_be_visible()
    expect(maps.locator("option")).to_have_text(["off", "mean", "1.0", "1.3"])
    maps.select_option("1.0")
    expect(viewer(text_page).locator("[data-part=alignment] tbody th")).to_have_text(PIECES)
    pieces.nth(2).hover()
    assert [float(piece.evaluate(SHARE)) for piece in pieces.all()] == [0, 1, 0, 0, 0]
    expect(viewer(text_page).get_by_text("Inside the encoder “es” looks at")).to_be_visible()
    maps.select_option("mean")
    pieces.nth(2).hover()
    assert [float(piece.evaluate(SHARE)) for piece in pieces.all()] == [0, 1, 0, 0, 1]
    maps.select_option("off")
    expect(viewer(text_page).locator("[data-part=alignment] tbody th")).to_have_text(WORDS)


def test_the_matrix_has_both_sentences_on_its_axes(text_page):
    write(text_page, SENTENCE)
    table = viewer(text_page).locator("[data-part=alignment]")
    expect(table.locator("tbody th")).to_have_text(WORDS)
    expect(table.locator("thead th")).to_have_text(PIECES)
    rows = table.locator("tbody tr").all()
    cells = [[float(cell.evaluate(SHARE)) for cell in row.locator("td").all()] for row in rows]
    assert [row.index(max(row)) for row in cells] == list(PLACES) and all(max(row) == 1 for row in cells)
    table.locator("tbody tr").nth(3).locator("td").nth(1).hover()
    expect(viewer(text_page).get_by_role("option").nth(3)).to_have_attribute("aria-selected", "true")
    table.locator("tbody tr").nth(2).locator("td").nth(1).click()
    expect(viewer(text_page).get_by_role("option").nth(2)).to_have_class(re.compile(r"\bpinned\b"))


def test_keys_health_and_files_are_as_for_the_other_senses(text_page, tmp_path):
    write(text_page, SENTENCE)
    sentence = viewer(text_page).get_by_role("listbox")
    sentence.focus()
    sentence.press("End")
    sentence.press("ArrowLeft")
    expect(viewer(text_page).get_by_role("option").nth(3)).to_have_attribute("aria-selected", "true")
    expect(viewer(text_page).locator("[data-part=spoken]")).to_contain_text("杰瑞, 100\u2009% sure; read at “Jerry”")
    expect(viewer(text_page).get_by_text("狗")).to_be_visible()
    expect(viewer(text_page).locator("[data-part=verdict]")).to_contain_text("Attention moves")
    with text_page.expect_download() as saved:
        viewer(text_page).get_by_role("button", name="JSON").click()
    saved.value.save_as(tmp_path / "trace.json")
    assert json.loads(Path(tmp_path / "trace.json").read_text())["geometry"]["text"] == SENTENCE
    with text_page.expect_download() as saved:
        viewer(text_page).get_by_role("button", name="PNG").click()
    saved.value.save_as(tmp_path / "matrix.png")
    with Image.open(tmp_path / "matrix.png") as picture:
        assert picture.width >= 600 and min(picture.convert("L").getextrema()) < 40


def test_an_example_is_translated_on_one_click(text_page):
    text_page.get_by_role("button", name=SENTENCES[0]).click()
    expect(viewer(text_page).get_by_role("option")).to_have_text(WORDS)


def test_what_cannot_be_translated_is_one_line_and_loses_nothing(text_page, caplog):
    write(text_page, SENTENCE)
    expect(viewer(text_page).get_by_role("option")).to_have_text(WORDS)
    write(text_page, "crash")
    expect(viewer(text_page).get_by_role("alert")).to_have_text(
        "text: the model failed on this text; the terminal has the details"
    )
    expect(viewer(text_page).get_by_role("option")).to_have_text(WORDS)


def test_other_peoples_text_is_never_markup(page):
    geometry = TextGeometry("".join(HOSTILE), tuple(spans_of(HOSTILE)))
    trace = read_trace(geometry, HOSTILE)
    media = {"kind": "text", "name": "text", "text": geometry.text}
    mount(page, {"id": "first", "media": media, "trace": trace.to_dict()})
    expect(page.locator("[data-part=source]")).to_have_text(geometry.text)
    assert page.locator("[data-part=alignment] :is(script, img, b)").count() == 0


def spans_of(words: tuple[str, ...]) -> list[tuple[int, int]]:
    ends = [sum(map(len, words[: n + 1])) for n in range(len(words))]
    return list(zip([0, *ends], ends, strict=False))


def test_a_saved_page_opens_in_the_app_and_from_the_disk(app_page, tmp_path):
    saved = shared_page({"kind": "text", "name": "text", "text": SENTENCE}, read_trace())
    app_page.evaluate(DROP, ["saved.html", saved])
    expect(viewer(app_page).get_by_role("option")).to_have_text(WORDS, timeout=30_000)
    expect(viewer(app_page).locator("[data-part=source] span")).to_have_text(PIECES)
    (tmp_path / "saved.html").write_text(saved, "utf-8")
    app_page.goto((tmp_path / "saved.html").as_uri())
    expect(app_page.locator("[data-part=source] span")).to_have_text(PIECES)


def test_the_bytes_of_one_letter_show_it_once(page):
    geometry = TextGeometry("a 😀漢", ((0, 1), (2, 3), (2, 3), (2, 3), (3, 4)))
    media = {"kind": "text", "name": "text", "text": geometry.text}
    mount(page, {"id": "first", "media": media, "trace": read_trace(geometry).to_dict()})
    expect(page.locator("[data-part=source] span")).to_have_text(["a", "😀", "", "", "漢"])


def test_capitals_of_every_language_keep_their_places(page):
    laid = pure(
        page, "layTokens('İstanbul ist groß.', [{text: '▁İstanbul'}, {text: '▁ist'}, {text: '▁groß'}, {text: '.'}])"
    )
    assert [each["before"] + each["text"] for each in laid["laid"]] == ["İstanbul", " ist", " groß", "."]
