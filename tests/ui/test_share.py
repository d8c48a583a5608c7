"""A shared page of every sense: its payload is whole, and nothing in it can end the script that holds it."""

import json
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from multimodal_attn.senses import KINDS
from multimodal_attn.senses.picture.media import Picture
from multimodal_attn.senses.sound.media import Sound
from multimodal_attn.senses.text.media import Text
from multimodal_attn.trace import AttentionTrace
from multimodal_attn.viewer.share import inline_media, shared_page
from tests.fake_captioner import HEIGHT, WIDTH, planted_trace
from tests.fake_listener import heard_trace, tone
from tests.fake_translator import SENTENCE, read_trace

NAME = "<script>alert(1)<!--.x"
ITEMS = {
    "picture": (Picture(Image.new("RGB", (WIDTH, HEIGHT)), WIDTH, HEIGHT, NAME), planted_trace()),
    "sound": (Sound(np.asarray(tone(), np.float32), 0.0, NAME), heard_trace()),
    "text": (Text(SENTENCE, NAME), read_trace()),
}


def test_every_sense_is_here() -> None:
    assert set(ITEMS) == set(KINDS)


@pytest.mark.parametrize("kind", ITEMS)
def test_the_page_holds_all_that_the_viewer_needs(kind: str) -> None:
    item, trace = ITEMS[kind]
    page = shared_page(inline_media(kind, item), trace)
    assert page.count("<script") == page.count("</script>") == 2
    payload: dict[str, Any] = json.loads(re.search(rf'data-kind="{kind}">(.*?)</script>', page)[1])
    assert payload["media"]["kind"] == kind and (kind == "text" or payload["media"]["name"] == NAME)
    assert AttentionTrace.from_dict(payload["trace"]).text == trace.text
    if kind != "text":
        assert payload["media"]["file"]["url"].startswith("data:")
