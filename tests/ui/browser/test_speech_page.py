"""The speech tab of the page, served by Gradio and used by a real browser."""

import pytest
import soundfile
from playwright.sync_api import Page, expect

from multimodal_attn.senses.sound.media import RATE
from tests.fake_captioner import HOSTILE
from tests.fake_listener import PIECES, FakeListener, tone


@pytest.fixture
def speech_page(app_page) -> Page:
    app_page.get_by_role("tab", name="Speech").click()
    expect(app_page.locator("#sound-viewer .empty")).to_be_visible()
    return app_page


@pytest.fixture
def recording(tmp_path):
    def write(name: str = "one.wav"):
        soundfile.write(tmp_path / name, tone(), RATE)
        return tmp_path / name

    return write


def upload(page: Page, path) -> None:
    page.locator("#sound-drop input[type=file]").set_input_files(path)


def words(page: Page):
    return page.locator("#sound-viewer").get_by_role("option")


def test_a_clip_is_transcribed_and_pointing_asks_the_server_nothing(speech_page, recording):
    upload(speech_page, recording())
    expect(words(speech_page)).to_have_text(list(PIECES))
    speech_page.wait_for_function("document.querySelector('#sound-viewer audio').readyState === 4")  # all is fetched
    asked: list[str] = []
    speech_page.on("request", lambda request: asked.append(request.url))
    for word in words(speech_page).all():
        word.hover()
        expect(word).to_have_attribute("aria-selected", "true")
    speech_page.locator("#sound-viewer .pitches").hover()
    speech_page.locator("#sound-viewer .rows").hover()
    assert asked == []


def test_a_clip_that_is_served_can_be_played_and_another_tab_silences_it(speech_page, recording):
    upload(speech_page, recording())
    expect(words(speech_page)).to_have_text(list(PIECES))
    speech_page.get_by_role("button", name="Play", exact=True).click()
    speech_page.wait_for_function("document.querySelector('#sound-viewer audio').currentTime > 0")
    speech_page.get_by_role("tab", name="Picture").click()
    assert speech_page.evaluate("document.querySelector('#sound-viewer audio').paused")
    speech_page.get_by_role("tab", name="Speech").click()
    expect(words(speech_page)).to_have_text(list(PIECES))


def test_the_microphone_is_transcribed_when_it_is_stopped(speech_page):
    drop = speech_page.locator("#sound-drop")
    drop.get_by_label("Record audio").click()
    drop.locator(".record-button").click()
    speech_page.wait_for_timeout(1200)  # a recording is as long as it takes; of a shorter one there is nothing yet
    drop.locator(".stop-button").click()
    expect(words(speech_page)).to_have_text(list(PIECES))


def test_an_example_is_transcribed_on_one_click(speech_page):
    speech_page.get_by_role("button", name="two sisters").click()
    expect(words(speech_page)).to_have_text(list(PIECES))


def test_a_sound_dropped_on_the_picture_tab_goes_to_the_speech_tab(app_page, recording):
    data = recording().read_bytes()
    app_page.evaluate(
        """bytes => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], "one.wav", { type: "audio/wav" }));
          document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: data }));
        }""",
        list(data),
    )
    expect(words(app_page)).to_have_text(list(PIECES))
    expect(app_page.get_by_role("tab", name="Speech")).to_have_attribute("aria-selected", "true")


def test_bad_sounds_are_refused_in_one_line_and_lose_nothing(speech_page, recording, tmp_path):
    upload(speech_page, recording())
    expect(words(speech_page)).to_have_text(list(PIECES))
    (tmp_path / "notes.wav").write_text("not a sound")
    (tmp_path / "notes.txt").write_text("not a sound")
    lines = [
        (tmp_path / "notes.wav", "notes.wav: "),
        (recording("crash.wav"), "crash.wav: the model failed on this sound"),
        (tmp_path / "notes.txt", "notes.txt: not a sound; take a WAV"),
    ]
    for path, line in lines:
        upload(speech_page, path)
        expect(speech_page.get_by_role("alert")).to_contain_text(line)
        expect(words(speech_page)).to_have_text(list(PIECES))
    upload(speech_page, recording("again.wav"))
    expect(speech_page.get_by_role("alert")).to_be_hidden()


def test_silence_is_explained_and_text_of_others_shown_literally(speech_page, recording):
    upload(speech_page, recording("silence.wav"))
    expect(speech_page.locator("#sound-viewer .detail")).to_contain_text("the sound is silent")
    upload(speech_page, recording("hostile.wav"))
    expect(words(speech_page)).to_have_text(list(HOSTILE))
    expect(speech_page.locator(".facts", has_text="Heard").first).to_contain_text(FakeListener.name)
    assert speech_page.evaluate("window.hacked") is None


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen(speech_page, recording, width):
    speech_page.set_viewport_size({"width": width, "height": 844})
    overflow = "document.scrollingElement.scrollWidth - innerWidth"
    assert speech_page.evaluate(overflow) <= 0
    upload(speech_page, recording())
    expect(words(speech_page)).to_have_text(list(PIECES))
    words(speech_page).nth(0).click()
    assert speech_page.evaluate(overflow) <= 0


def test_a_tab_without_a_model_says_so_in_one_line(page):
    from multimodal_attn.ui.app import start
    from tests.fake_captioner import FakeCaptioner
    from tests.ui.test_app import free_port

    app = start({"captioning": FakeCaptioner()}, port=free_port())
    page.goto(app.local_url)
    page.get_by_role("tab", name="Speech").click()
    expect(page.get_by_role("tabpanel").filter(visible=True)).to_contain_text("checkpoints/whisper-tiny.en is missing")
    app.close()
