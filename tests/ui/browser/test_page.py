"""The whole page, served by Gradio and used by a real browser."""

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.fake_captioner import HEIGHT, HOSTILE, WIDTH, WORDS, FakeCaptioner

# Pastes or drops a picture, or a file of another name and type, on a part of the page.
DELIVER = """async ([kind, part, name, type]) => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 210, height: 150 });
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  const data = new DataTransfer();
  data.items.add(new File([blob], name, { type }));
  const options = { bubbles: true, cancelable: true };
  const event = kind === "paste" ? new ClipboardEvent(kind, { ...options, clipboardData: data })
                                 : new DragEvent(kind, { ...options, dataTransfer: data });
  document.querySelector(part).dispatchEvent(event);
}"""
# Size of a picture as shown, and whether its top left and its top right corner are bright.
CORNERS = """picture => {
  const { naturalWidth: width, naturalHeight: height } = picture;
  const pen = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
  pen.drawImage(picture, 0, 0);
  const isBright = (x, y) => pen.getImageData(x, y, 1, 1).data[0] > 128;
  return [width, height, isBright(9, 9), isBright(width - 9, 9)];
}"""


@pytest.fixture
def photograph(tmp_path):
    """Writes a picture of the size that the fake captioner speaks of, under a name."""

    def write(name: str = "dog.jpg", **options):
        path = tmp_path / name
        Image.new("RGB", (WIDTH, HEIGHT), "olive").save(path, **options)
        return path

    return write


def upload(page: Page, path) -> None:
    page.locator("#picture-drop input[type=file]").set_input_files(path)


def words(page: Page):
    return page.get_by_role("option")


def test_a_photograph_is_captioned_without_a_further_click_and_pointing_asks_the_server_nothing(app_page, photograph):
    upload(app_page, photograph())
    expect(words(app_page)).to_have_text(list(WORDS))
    app_page.wait_for_load_state("networkidle")
    asked: list[str] = []
    app_page.on("request", lambda request: asked.append(request.url))
    for word in words(app_page).all():
        word.hover()
        expect(word).to_have_attribute("aria-selected", "true")
    app_page.locator("#picture-viewer .stage").hover()
    words(app_page).nth(1).click()
    app_page.keyboard.press("ArrowRight")
    assert asked == []


@pytest.mark.parametrize(("kind", "part"), [("paste", "body"), ("drop", ".facts"), ("drop", "#picture-drop button")])
def test_a_picture_may_be_pasted_or_dropped_anywhere(app_page, kind, part):
    app_page.evaluate(DELIVER, [kind, part, "image.png", "image/png"])
    expect(words(app_page)).to_have_text(list(WORDS))


def test_what_is_no_picture_is_refused_without_a_request_and_named_literally(app_page):
    asked: list[str] = []
    app_page.on("request", lambda request: asked.append(request.url))
    name = '<img src=x onerror="window.hacked=1">.txt'
    app_page.evaluate(DELIVER, ["drop", "#picture-drop button", name, "text/plain"])
    expect(app_page.get_by_role("alert")).to_contain_text(f"{name}: not a picture")
    assert asked == [] and app_page.evaluate("window.hacked") is None


def test_a_file_too_large_is_refused_without_a_request(app_page, tmp_path):
    asked: list[str] = []
    app_page.on("request", lambda request: asked.append(request.url))
    path = tmp_path / "large.png"
    path.write_bytes(bytes(20_000_001))
    upload(app_page, path)
    expect(app_page.get_by_role("alert")).to_have_text("large.png: larger than 20 MB; save it smaller")
    assert asked == []


def test_an_example_is_captioned_on_one_click(app_page):
    app_page.get_by_role("button", name="lion").click()
    expect(words(app_page)).to_have_text(list(WORDS))
    app_page.wait_for_function("document.querySelector('#picture-viewer .stage img').naturalWidth > 0")


def test_bad_files_are_refused_in_one_line_and_lose_nothing(app_page, photograph, tmp_path):
    upload(app_page, photograph())
    expect(words(app_page)).to_have_text(list(WORDS))
    words(app_page).nth(1).click()
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"not a picture")
    for path, line in [(bad, "bad.jpg: not a picture"), (photograph("crash.png"), "crash.png: the model failed")]:
        upload(app_page, path)
        expect(app_page.get_by_role("alert")).to_contain_text(line)
        expect(app_page.get_by_role("alert")).not_to_contain_text("/")
        expect(words(app_page)).to_have_text(list(WORDS))
    upload(app_page, photograph("again.png"))
    expect(app_page.get_by_role("alert")).to_be_hidden()


def test_text_of_others_is_shown_literally(app_page, photograph):
    upload(app_page, photograph("hostile.png"))
    expect(words(app_page)).to_have_text(list(HOSTILE))
    words(app_page).nth(1).hover()
    expect(app_page.locator(".facts").first).to_contain_text(FakeCaptioner.name)
    assert app_page.evaluate("window.hacked") is None


def test_a_rotated_photograph_is_shown_upright(app_page, tmp_path):
    stored = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    stored[:40, :40] = 255  # top left as stored, top right once turned
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.jpg"
    Image.fromarray(stored).save(path, exif=exif, quality=95)
    upload(app_page, path)
    expect(words(app_page)).to_have_text(list(WORDS))
    corners = app_page.locator("#picture-viewer .stage img").evaluate(CORNERS)
    assert corners == [HEIGHT, WIDTH, False, True]


def test_pictures_that_browsers_cannot_show_are_shown(app_page, tmp_path):
    path = tmp_path / "print.tif"
    Image.new("CMYK", (WIDTH, HEIGHT), (0, 255, 255, 0)).save(path)
    upload(app_page, path)
    expect(words(app_page)).to_have_text(list(WORDS))
    app_page.wait_for_function(f"document.querySelector('#picture-viewer .stage img').naturalWidth === {WIDTH}")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen(app_page, photograph, width):
    app_page.set_viewport_size({"width": width, "height": 844})
    overflow = "document.scrollingElement.scrollWidth - innerWidth"
    assert app_page.evaluate(overflow) <= 0
    upload(app_page, photograph())
    expect(words(app_page)).to_have_text(list(WORDS))
    words(app_page).nth(0).click()
    assert app_page.evaluate(overflow) <= 0
