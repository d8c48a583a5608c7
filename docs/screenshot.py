"""Writes docs/app.png: the app with one of its examples and one word pinned.

    python docs/screenshot.py --checkpoint checkpoints/captioning-flickr8k --word dog
    python docs/screenshot.py --checkpoint checkpoints/speech-digits --out docs/speech.png

Needs Chromium on the PATH and pytest-playwright (the extra `dev`).
"""

import argparse
import shutil
import socket
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from multimodal_attn.predictor import load
from multimodal_attn.ui.app import start
from multimodal_attn.ui.page import Page as SensePage
from multimodal_attn.ui.pages import PAGES

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a picture of the app.")
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "checkpoints" / "captioning-flickr8k")
    parser.add_argument("--example", help="label of an example of the page (default: the first)")
    parser.add_argument("--word", help="the word to pin (default: the longest)")
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "app.png")
    options = parser.parse_args()

    predictor = load(options.checkpoint)
    task = predictor.config["task"]
    app = start({task: predictor}, port=free_port())
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        scheme = "dark" if options.dark else "light"
        page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme=scheme)
        page.goto(app.local_url)
        print(show_example(page, PAGES[task], options.example, options.word))
        page.screenshot(path=options.out)
        browser.close()
    app.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def show_example(page: Page, sense: SensePage, example: str | None, word: str | None) -> str:
    """The sentence of an example, once it is on the page with a word pinned and the pointer out of the way."""
    page.get_by_role("tab", name=sense.tab).click()
    page.get_by_role("button", name=example or next(iter(sense.examples))).click()
    page.wait_for_function("[...document.querySelectorAll('[data-part=opening]')].every((line) => !line.offsetParent)")
    page.get_by_role("option").first.wait_for()
    words = page.get_by_role("option").all_text_contents()
    page.get_by_role("option").nth(words.index(word or max(words, key=len))).click()
    page.mouse.move(1, 1)
    page.wait_for_timeout(1500)  # the legend fades in, and a word has been heard
    return page.get_by_role("listbox").text_content()


if __name__ == "__main__":
    main()
