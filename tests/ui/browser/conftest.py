"""A real browser for the tests of the page. It may reach this machine only, and must report no error."""

import re
import shutil
import socket

import pytest
from playwright.sync_api import ConsoleMessage, Page, expect

from tests.fake_captioner import FakeCaptioner, planted_trace
from tests.fake_listener import FakeListener
from tests.fake_translator import FakeTranslator
from tests.ui.browser.pictured import show

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# one that beeps, and needs no permission
MICROPHONE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
expect.set_options(timeout=30_000)  # on a busy machine the first picture alone takes seconds
ELSEWHERE = re.compile(r"^(https?|wss?)://(?!127\.0\.0\.1[:/])")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/ui/browser" in item.path.as_posix() and not CHROMIUM:
            item.add_marker(pytest.mark.skip(reason="needs Chromium on the PATH"))


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict:
    return {"executable_path": CHROMIUM, "args": ["--no-sandbox", *MICROPHONE]}


def is_ours(message: ConsoleMessage) -> bool:
    """An error, other than what Gradio's player says of a recording that is none, which it also tries to draw."""
    return message.type == "error" and "Waveform load error" not in message.text


@pytest.fixture(autouse=True)
def stays_here_and_reports_no_error(page):
    """Fails a test whose page asked another machine for anything, or logged an error."""
    wrong: list[str] = []
    page.context.route(ELSEWHERE, lambda route: route.abort())
    page.on("request", lambda request: ELSEWHERE.match(request.url) and wrong.append(request.url))
    page.on("console", lambda message: is_ours(message) and wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield
    assert wrong == []


@pytest.fixture(scope="session")
def address() -> str:
    """Where the app is served, with readers that know their answers."""
    from multimodal_attn.ui.app import start

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    readers = {"captioning": FakeCaptioner(), "speech": FakeListener(), "translation": FakeTranslator()}
    app = start(readers, port=port)
    yield app.local_url
    app.close()


@pytest.fixture
def app_page(page, address):
    """The page of the app, loaded and at rest."""
    page.goto(address)
    page.locator("#picture-drop input[type=file]").wait_for(state="attached")
    page.wait_for_function("document.querySelectorAll('#picture-examples img').length === 3")
    page.wait_for_function("[...document.images].every((image) => image.complete)")
    page.wait_for_load_state("networkidle")
    return page


@pytest.fixture
def shown(page) -> Page:
    """The viewer by itself, with three words of a planted picture."""
    show(page, planted_trace())
    return page
