"""What a browser shows of the sense of the guide, as JSON: `python shown_sense.py CHROMIUM` in the copy of it."""

import json
import sys
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from multimodal_attn import load
from multimodal_attn.ui.app import start
from multimodal_attn.viewer.share import inline_media, shared_page

FILE = "0.series"
# How much colour there is behind each of n stretches of the chart.
COLOUR = """n => {
  const chart = document.querySelector("[data-part=chart]"), pen = chart.getContext("2d"), cell = chart.width / n;
  return Array.from({ length: n }, (_, place) => {
    const pixels = pen.getImageData(Math.ceil(place * cell), 0, Math.floor(cell), chart.height).data;
    return pixels.reduce((sum, value, i) => sum + (i % 4 === 3 ? value : 0), 0);
  });
}"""


def look(page: Page, n_places: int) -> dict:
    """The words, the stretch behind which most colour is when each is pointed at, and what is said of the first one."""
    words = page.locator("[data-part=sentence] [role=option]")
    expect(words.first).to_be_visible()
    brightest = []
    for word in words.all():
        word.hover()
        colours = page.evaluate(COLOUR, n_places)
        brightest.append(colours.index(max(colours)))
    words.first.hover()
    hidden = page.locator("[data-for=picture]").first.is_hidden()
    detail = page.locator("[data-part=detail]:visible").text_content()
    return {"words": words.all_text_contents(), "brightest": brightest, "detail": detail, "others_are_hidden": hidden}


def main(chromium: str) -> None:
    predictor = load("released")
    trace = predictor(FILE)
    saved, wrong, n = Path("saved.html"), [], trace.geometry.n_places
    saved.write_text(shared_page(inline_media(predictor.sense, predictor.read(FILE)), trace), encoding="utf-8")
    app = start({"trends": predictor}, port=0)
    expect.set_options(timeout=60_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(app.local_url)
        page.get_by_role("tab", name="Trends").click()
        page.locator("#series-drop input[type=file]").set_input_files(FILE)
        shown = look(page, n)
        page.goto(saved.resolve().as_uri())
        seen = {"page": shown, "saved": look(page, n), "wrong": wrong}
        browser.close()
    app.close()
    strongest = trace.weights.mean(1).argmax(1).tolist()
    print(json.dumps({**seen, "tokens": [token.text for token in trace.tokens], "strongest": strongest}))


if __name__ == "__main__":
    main(*sys.argv[1:])
