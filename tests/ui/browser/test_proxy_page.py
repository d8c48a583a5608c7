"""The page below a path of a proxy, and behind a password, in a real browser."""

import httpx
import pytest
from PIL import Image
from playwright.sync_api import expect

from multimodal_attn.ui.app import start
from tests.fake_captioner import HEIGHT, WIDTH, WORDS, FakeCaptioner
from tests.prefix_proxy import proxy


@pytest.fixture
def serve():
    apps = []

    def serve(**options) -> str:
        apps.append(start({"captioning": FakeCaptioner()}, port=0, **options))
        return apps[-1].local_url

    yield serve
    for app in apps:
        app.close()


@pytest.fixture
def photograph(tmp_path):
    Image.new("RGB", (WIDTH, HEIGHT), "olive").save(tmp_path / "dog 100%.png")
    return tmp_path / "dog 100%.png"


def test_below_a_path_of_a_proxy_uploads_and_examples_are_answered(page, serve, photograph):
    address = serve(allowed=["127.0.0.1"], root_path="/tools/attn")
    with proxy(httpx.URL(address).port, "/tools/attn") as port:
        missing: list[str] = []
        page.on("response", lambda reply: reply.status >= 400 and missing.append(reply.url))
        page.goto(f"http://127.0.0.1:{port}/tools/attn/")
        page.locator("#picture-drop input[type=file]").set_input_files(photograph)
        expect(page.get_by_role("option")).to_have_text(list(WORDS))
        page.wait_for_function("document.querySelector('#picture-viewer .stage img').naturalWidth > 0")
        page.get_by_role("button", name="lion").click()
        expect(page.locator("#picture-viewer .detail")).to_be_visible()
        page.wait_for_load_state("networkidle")
        page.goto("about:blank")
    assert [url for url in missing if "favicon" not in url and "manifest" not in url] == []


def test_with_the_password_one_comes_in(page, serve, photograph):
    page.goto(serve(password="sesame"))
    page.locator("input[type=text]").fill("me")
    page.locator("input[type=password]").fill("sesame")
    page.get_by_role("button", name="Login").click()
    page.locator("#picture-drop input[type=file]").set_input_files(photograph)
    expect(page.get_by_role("option")).to_have_text(list(WORDS))
