"""A real browser for the tests of the page. It may reach this machine only, and must report no error."""

import re
import shutil
import socket

import pytest

from tests.fake_captioner import FakeCaptioner

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ELSEWHERE = re.compile(r"^(https?|wss?)://(?!127\.0\.0\.1[:/])")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser" in item.path.as_posix() and not CHROMIUM:
            item.add_marker(pytest.mark.skip(reason="needs Chromium on the PATH"))


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict:
    return {"executable_path": CHROMIUM, "args": ["--no-sandbox"]}


@pytest.fixture(autouse=True)
def stays_here_and_reports_no_error(page):
    """Fails a test whose page asked another machine for anything, or logged an error."""
    wrong: list[str] = []
    page.context.route(ELSEWHERE, lambda route: route.abort())
    page.on("request", lambda request: ELSEWHERE.match(request.url) and wrong.append(request.url))
    page.on("console", lambda message: message.type == "error" and wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield
    assert wrong == []


@pytest.fixture(scope="session")
def address() -> str:
    """Where the app is served, with a captioner that knows its answers."""
    from multimodal_attn.ui.app import start

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    app = start(FakeCaptioner(), port=port)
    yield app.local_url
    app.close()


@pytest.fixture
def app_page(page, address):
    """The page of the app, loaded and at rest."""
    page.goto(address)
    page.locator("#drop input[type=file]").wait_for(state="attached")
    page.wait_for_load_state("networkidle")
    return page
