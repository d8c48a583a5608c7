"""A page that was saved: it opens without a server, points as the app does, and opens in the app again."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from multimodal_attn.senses.picture.media import read_picture
from multimodal_attn.senses.picture.viewer import picture_media
from multimodal_attn.senses.sound.media import Sound
from multimodal_attn.senses.sound.viewer import sound_media
from multimodal_attn.viewer.share import inline, shared_page
from tests.fake_captioner import HEIGHT, HOSTILE, WIDTH, WORDS, planted_trace
from tests.fake_listener import SECONDS, heard_trace, tone
from tests.ui.browser.mounted import selected, words

DROP = """([name, text]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([text], name, { type: "text/html" }));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""
PAINTED = "document.querySelector('[data-part=map]').getContext('2d').getImageData(0, 0, 9, 9).data.some(Boolean)"


@pytest.fixture
def seen(tmp_path) -> str:
    Image.new("RGB", (WIDTH, HEIGHT), "olive").save(tmp_path / "dog.png")
    return shared_page(picture_media(read_picture(tmp_path / "dog.png"), inline), planted_trace())


def open_file(page: Page, tmp_path: Path, text: str) -> None:
    (tmp_path / "shared.html").write_text(text, "utf-8")
    page.goto((tmp_path / "shared.html").as_uri())


def test_it_opens_from_the_disk_and_a_word_lights_its_map(page, tmp_path, seen):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    open_file(page, tmp_path, seen)
    expect(words(page)).to_have_text(list(WORDS))
    expect(page).to_have_title(" ".join(WORDS))
    assert not page.evaluate(PAINTED)
    words(page).nth(1).click()
    assert page.evaluate(PAINTED) and selected(page) == [WORDS[1]]
    expect(page.get_by_text("nothing is fetched")).to_be_visible()
    expect(page.get_by_role("button", name="Page")).to_be_hidden()
    assert [url for url in asked if not url.startswith(("data:", "file:"))] == []


def test_a_sound_plays_in_it(page, tmp_path):
    open_file(page, tmp_path, shared_page(sound_media(Sound(tone(SECONDS), name="one.wav"), inline), heard_trace()))
    sound = page.locator("audio")  # the page allows no code from strings, so a wait for its events
    sound.evaluate("a => a.readyState > 2 || new Promise((done) => a.addEventListener('canplay', () => done()))")
    moves = "new Promise((done) => a.addEventListener('timeupdate', () => a.currentTime > 0 && done(true)))"
    sound.evaluate(f"a => {{ window.moves = {moves} }}")
    page.get_by_role("button", name="Play").click()
    assert page.evaluate("window.moves")


def test_it_is_small_beside_its_media(seen):
    media = re.search(r'"url": "(data:[^"]+)"', seen)[1]
    assert len(seen) - len(media) < 400_000


def test_names_and_words_never_become_markup(page, tmp_path):
    hostile = ("</script><b>", *HOSTILE)
    media = sound_media(Sound(tone(SECONDS), name="".join(hostile)), inline)
    open_file(page, tmp_path, shared_page(media, planted_trace(hostile)))
    assert page.locator("#viewer img").count() == 1 and page.locator("script").count() == 2
    expect(page).to_have_title(" ".join(hostile))
    expect(words(page)).to_have_text(list(hostile))
    assert page.evaluate("window.hacked") is None


def test_the_app_saves_one_and_opens_it_again(app_page, tmp_path):
    page = app_page
    page.get_by_role("button", name="lion").click()
    expect(words(page)).to_have_text(list(WORDS))
    with page.expect_download() as download:
        page.get_by_role("button", name="Page").click()
    text = Path(download.value.path()).read_text("utf-8")
    assert download.value.suggested_filename == "lion.html"

    page.reload()
    page.wait_for_load_state("networkidle")
    page.evaluate(DROP, ["lion.html", text])
    expect(words(page)).to_have_text(list(WORDS))
    words(page).nth(2).click()
    assert selected(page) == [WORDS[2]]

    open_file(page, tmp_path, text)
    expect(words(page)).to_have_text(list(WORDS))
    words(page).nth(1).click()
    assert page.evaluate(PAINTED)


@pytest.mark.parametrize("harm", [lambda media: media["file"].update(url="https://example.org/a.jpg"), dict.clear])
def test_a_forged_one_is_one_line_and_nothing_is_fetched(app_page, harm, seen):
    head, payload, tail = re.split(r'(?<=data-kind="picture">)(.*?)(?=</script>)', seen, maxsplit=1)
    payload = json.loads(payload)
    harm(payload["media"])
    app_page.evaluate(DROP, ["bad.html", head + json.dumps(payload) + tail])
    expect(app_page.get_by_text("bad.html: not a page that was saved here")).to_be_visible()
    app_page.evaluate(DROP, ["other.html", "<p>hello</p>"])
    expect(app_page.get_by_text("other.html: not a page that was saved here")).to_be_visible()
