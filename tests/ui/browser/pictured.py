"""A planted picture in the viewer by itself, and what of it is lit."""

import base64
import io

from PIL import Image
from playwright.sync_api import Page

from multimodal_attn.trace import AttentionTrace
from tests.fake_captioner import HEIGHT, WIDTH
from tests.ui.browser.mounted import mount

# Bounding box of the pixels that have the colour of the brightest, how many there are, and how many colours in all.
LIT = """() => {
  const canvas = document.querySelector("canvas");
  const pixels = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);
  const red = (colour) => colour & 255;
  const colours = new Set(pixels);
  const hot = [...colours].sort((a, b) => red(b) - red(a))[0];
  const lit = [];
  pixels.forEach((colour, i) => colour === hot && lit.push(i));
  const xs = lit.map((i) => i % canvas.width), ys = lit.map((i) => Math.floor(i / canvas.width));
  const ends = (values) => values.reduce(([low, high], v) => [Math.min(low, v), Math.max(high, v)], [1e9, -1]);
  return { n: lit.length, colours: colours.size, x: ends(xs), y: ends(ys), width: canvas.width, height: canvas.height };
}"""


def picture_url(width: int = WIDTH, height: int = HEIGHT) -> str:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "white").save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def payload(trace: AttentionTrace | None, identity: str = "first") -> dict:
    media = {"kind": "picture", "name": "dog.jpg", "width": WIDTH, "height": HEIGHT, "file": {"url": picture_url()}}
    return {"id": identity, "media": media} | ({"trace": trace.to_dict()} if trace else {})


def show(page: Page, trace: AttentionTrace) -> None:
    mount(page, payload(trace))


def lit_box(page: Page) -> tuple[float, ...]:
    """The lit rectangle in pixels of the original picture, after checking that it is one and lit evenly."""
    lit = page.evaluate(LIT)
    (left, right), (top, bottom) = lit["x"], lit["y"]
    assert lit["colours"] == 2
    assert lit["n"] == (right + 1 - left) * (bottom + 1 - top)
    scale = lit["width"] / WIDTH
    assert scale == lit["height"] / HEIGHT
    return left / scale, top / scale, (right + 1) / scale, (bottom + 1) / scale


def is_blank(page: Page) -> bool:
    return page.evaluate(LIT)["colours"] == 1
