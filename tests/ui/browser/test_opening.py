"""The example that a tab opens with: the light walks over its words until somebody does anything."""

from playwright.sync_api import expect

from multimodal_attn.ui.app import start
from multimodal_attn.ui.opening import opening_json
from tests.fake_captioner import WORDS, FakeCaptioner, planted_trace
from tests.ui.browser.mounted import mount, selected, words
from tests.ui.browser.pictured import payload

CREDIT = {"by": "Somebody <b>", "url": "https://example.org/photo"}


def opened(credit: dict) -> dict:
    shown = payload(planted_trace(), "first")
    return shown | {"opening": True, "media": shown["media"] | {"credit": credit}}


def test_the_light_walks_from_word_to_word_until_a_key(page):
    mount(page, opened(CREDIT))
    for word in WORDS[:3]:
        page.wait_for_function("word => document.querySelector('[aria-selected=true]')?.textContent === word", arg=word)
    page.get_by_role("listbox").press("End")
    assert selected(page) == [WORDS[-1]]
    page.wait_for_timeout(2_000)
    assert selected(page) == [WORDS[-1]]
    expect(page.get_by_text("An example. Each word")).to_be_visible()


def test_who_wants_calm_has_it(page):
    page.emulate_media(reduced_motion="reduce")
    mount(page, opened(CREDIT))
    page.wait_for_timeout(2_000)
    assert selected(page) == []


def test_the_photo_names_its_maker_and_leads_nowhere_but_there(page):
    mount(page, opened(CREDIT))
    link = page.get_by_text("Photo: Somebody <b>")
    assert link.get_attribute("href") == CREDIT["url"] and "noopener" in link.get_attribute("rel")
    mount(page, opened({"by": "Nobody", "url": "javascript:alert(1)"}))
    assert page.get_by_text("Photo: Nobody").get_attribute("href") is None


def test_the_page_opens_with_what_its_checkpoint_made_and_with_nothing_of_another(page, tmp_path, monkeypatch):
    monkeypatch.setattr("multimodal_attn.ui.opening.static_of", lambda kind: tmp_path / kind)
    (tmp_path / "picture").mkdir()
    trace = planted_trace().to_dict()
    for checkpoint, n_words in ((FakeCaptioner.name, len(WORDS)), ("another", 0)):
        made = trace | {"origin": {"checkpoint": checkpoint, "sha256": "", "options": {}}}
        (tmp_path / "picture" / "opening.json").write_text(opening_json(opened(CREDIT)["media"], made))
        app = start({"captioning": FakeCaptioner()}, port=0)
        page.goto(app.local_url)
        page.wait_for_load_state("networkidle")
        expect(words(page)).to_have_count(n_words, timeout=30_000)
        app.close()
