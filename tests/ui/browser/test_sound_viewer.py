"""The viewer with a sound, by itself: planted weights must lie at their own time, and playing must follow the words."""

import re
from dataclasses import replace

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from multimodal_attn.senses.sound.geometry import SoundGeometry
from multimodal_attn.senses.sound.media import Sound
from multimodal_attn.senses.sound.viewer import sound_media
from multimodal_attn.trace import AttentionTrace
from multimodal_attn.viewer.share import inline
from tests.fake_captioner import HOSTILE
from tests.fake_listener import N_PLACES, PIECES, PLACES, SECONDS, SOUND_GEOMETRY, heard_trace, tone
from tests.ui.browser.mounted import mount, pure, selected, words

# For each row of a canvas the first and last column of its brightest pixels, as shares of its width.
BRIGHTEST = """canvas => {
  const { width, height } = canvas, { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  return Array.from({ length: height }, (_, y) => {
    const light = Array.from({ length: width }, (_, x) => data[4 * (y * width + x)] * data[4 * (y * width + x) + 3]);
    const most = Math.max(...light);
    return [light.indexOf(most) / width, (light.lastIndexOf(most) + 1) / width];
  });
}"""
# Collects which words light up, and where the sound was when they first did.
FOLLOW = """() => {
  window.lit = [];
  const look = () => {
    const option = document.querySelector("[role=option][aria-selected=true]");
    const at = option ? Number(option.dataset.token) : null;
    if (at !== (window.lit.at(-1)?.[0] ?? null)) window.lit.push([at, document.querySelector("audio").currentTime]);
    requestAnimationFrame(look);
  };
  look();
}"""
HAS_ENDED = "document.querySelector('audio').ended"
IS_PAUSED = "document.querySelector('audio').paused"
NOW = "document.querySelector('audio').currentTime"


def payload(trace: AttentionTrace | None, identity: str = "first", seconds: float = SECONDS) -> dict:
    sound = Sound(tone(seconds), name="one.wav")
    return {"id": identity, "media": sound_media(sound, inline)} | ({"trace": trace.to_dict()} if trace else {})


@pytest.fixture
def show(page):
    def show(trace: AttentionTrace | None, **options) -> Page:
        mount(page, payload(trace, **options))
        page.wait_for_function("document.querySelector('audio').readyState > 2")
        return page

    return show


@pytest.fixture
def shown(show) -> Page:
    return show(heard_trace())


def span_of(place: int) -> tuple[float, float]:
    """(start, end) of a place as shares of the sound."""
    start, end = SOUND_GEOMETRY.span(place)
    return start / SECONDS, end / SECONDS


def test_every_row_is_brightest_at_its_planted_time(shown):
    shown.get_by_label("Cells").check()
    rows = shown.locator("[data-part=matrix]").evaluate(BRIGHTEST)
    np.testing.assert_allclose(rows, [span_of(place) for place in PLACES], atol=1 / 1000)


def test_smooth_rows_are_brightest_at_the_middle_of_the_planted_place(shown):
    rows = shown.locator("[data-part=matrix]").evaluate(BRIGHTEST)
    middles = [sum(span_of(place)) / 2 for place in PLACES]
    np.testing.assert_allclose(np.mean(rows, axis=1), middles, atol=2 / 1000)


def test_pointing_at_a_token_lights_its_time_on_the_spectrogram(shown):
    shown.get_by_label("Cells").check()
    for token, place in enumerate(PLACES):
        words(shown).nth(token).hover()
        ((left, right),) = shown.locator("[data-part=veil]").evaluate(BRIGHTEST)
        assert (left, right) == pytest.approx(span_of(place), abs=1 / 1000)


def test_the_curve_stands_over_the_planted_time_alone(shown):
    shown.get_by_label("Cells").check()
    words(shown).nth(2).hover()
    filled = shown.locator("[data-part=curve]").evaluate("""canvas => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, 1);
      const columns = Array.from({ length: canvas.width }, (_, x) => x);
      return columns.filter((x) => data[4 * x + 3]).map((x) => x / canvas.width);
    }""")
    assert (filled[0], filled[-1]) == pytest.approx(span_of(PLACES[2]), abs=2 / 1000)


def test_spectrogram_and_rows_share_one_axis(shown):
    boxes = [shown.locator(f"[data-part={name}]").bounding_box() for name in ("pitches", "veil", "curve", "matrix")]
    assert len({(round(box["x"], 1), round(box["width"], 1)) for box in boxes}) == 1
    marks = shown.locator(".axis span").evaluate_all(
        "marks => marks.map((mark) => [mark.textContent, mark.style.left])"
    )
    for text, left in marks:
        assert float(left.removesuffix("%")) == pytest.approx(
            float(text.removesuffix("\u2009s")) / SECONDS * 100, abs=0.01
        )


def test_pieces_of_a_word_stand_together(shown):
    expect(words(shown)).to_have_text(list(PIECES))
    expect(shown.get_by_role("listbox")).to_have_text("one two six")


def test_no_line_ends_within_a_word(show):
    page = show(replace(heard_trace(("be", "no", "thi", "ng")), text="be nothing"))
    tops = page.get_by_role("listbox").evaluate("""sentence => Array.from({ length: 60 }, (_, i) => {
      sentence.style.width = `${150 + 2 * i}px`;
      return [...sentence.querySelectorAll("[role=option]")].map((word) => word.getBoundingClientRect().top);
    })""")
    assert any(be < no for be, no, *_ in tops) and any(be == no for be, no, *_ in tops)
    assert all(no == thi == ng for _, no, thi, ng in tops)


def test_the_health_of_listening_knows_the_order_of_time(show):
    page = show(heard_trace())
    page.locator("summary").click()
    expect(page.locator("[data-part=figures] dt")).to_have_text(["Entropy", "Change", "Coverage", "Monotonicity"])


def point(page: Page, part: str, second: float, y: float = 0.5) -> None:
    box = page.locator(f"[data-part={part}]").bounding_box()
    page.mouse.move(box["x"] + second / SECONDS * box["width"], box["y"] + y * box["height"])


@pytest.mark.parametrize("part", ["pitches", "matrix"])
def test_pointing_at_a_time_shades_the_tokens_that_listened_there(shown, part):
    point(shown, part, 0.6)  # place 5
    shares = [word.evaluate("word => word.style.getPropertyValue('--share')") for word in words(shown).all()]
    assert shares == ["0", "0", "1", "0"]
    expect(shown.locator(".detail h4")).to_have_text("Listened most at 0.60\u2009s")
    point(shown, part, 0.02)  # before the first place
    assert words(shown).nth(2).evaluate("word => word.style.getPropertyValue('--share')") == "0"


def test_times_and_the_second_opinion_are_told(shown):
    words(shown).nth(1).hover()
    expect(shown.locator(".detail p")).to_have_text(
        [
            "50\u2009% sure",
            "in “one”",
            "heard 0.10 – 0.45\u2009s",
            "CTC says 0.12 – 0.47\u2009s",
            "listens to about 0.10\u2009s",
        ]
    )
    words(shown).nth(2).hover()
    expect(shown.locator(".detail p")).to_have_text(
        ["75\u2009% sure", "heard 0.50 – 0.80\u2009s", "listens to about 0.10\u2009s"]
    )


def test_playing_lights_the_tokens_in_order_at_their_times_and_moves_the_cursor(shown):
    shown.evaluate("document.querySelector('audio').playbackRate = 0.5")  # a busy machine draws few frames
    shown.evaluate(FOLLOW)
    shown.get_by_role("button", name="Play").click()
    expect(shown.get_by_role("button", name="Pause")).to_be_visible()
    shown.wait_for_function(HAS_ENDED)
    lit = [(token, at) for token, at in shown.evaluate("lit") if token is not None]
    assert [token for token, _ in lit] == [0, 1, 2, 3]
    for (_, at), (start, end) in zip(lit, [(0.1, 0.35), (0.35, 0.45), (0.5, 0.8), (1.1, 1.3)], strict=True):
        assert start <= at < end + 0.05
    assert selected(shown) == []
    assert shown.locator("[data-part=cursor]").evaluate("cursor => parseFloat(cursor.style.left)") == 100
    expect(shown.get_by_role("button", name="Play")).to_be_visible()


def test_a_click_pins_the_token_and_plays_its_word_alone(shown):
    shown.evaluate(FOLLOW)
    words(shown).nth(2).click()
    shown.wait_for_function(f"{IS_PAUSED} && {NOW} >= 0.8")
    assert shown.evaluate(NOW) < 1.1  # the next word was not heard
    shown.mouse.move(0, 0)
    assert selected(shown) == ["two"] and {token for token, _ in shown.evaluate("lit")} <= {None, 2}
    words(shown).nth(1).click()  # a piece plays its whole word
    shown.wait_for_function(f"{IS_PAUSED} && {NOW} >= 0.45 && {NOW} < 0.8")


def test_a_click_on_a_row_pins_its_token_and_one_on_the_spectrogram_moves_the_cursor(shown):
    point(shown, "matrix", 1.0, 3.5 / 4)
    shown.mouse.down()
    shown.mouse.up()
    assert words(shown).nth(3).get_attribute("class") == "pinned"
    shown.wait_for_function(f"{IS_PAUSED} && {NOW} >= 1.3")
    point(shown, "pitches", 0.7)
    shown.mouse.down()
    shown.mouse.up()
    assert shown.evaluate(NOW) == pytest.approx(0.7, abs=0.01)


def test_keys_step_play_and_let_go(shown):
    shown.get_by_role("listbox").focus()
    for key, word in [("ArrowRight", "o"), ("ArrowRight", "ne"), ("End", "six"), ("ArrowLeft", "two"), ("Home", "o")]:
        shown.keyboard.press(key)
        assert selected(shown) == [word], key
    assert shown.evaluate(IS_PAUSED)
    expect(shown.locator("[aria-live=polite]")).to_have_text("o, 25\u2009% sure; heard at 0.10 seconds")
    shown.keyboard.press("Space")
    expect(shown.get_by_role("button", name="Pause")).to_be_visible()
    shown.keyboard.press("Space")
    expect(shown.get_by_role("button", name="Play")).to_be_visible()
    shown.keyboard.press("End")
    shown.keyboard.press("Enter")
    shown.wait_for_function(f"{IS_PAUSED} && {NOW} >= 1.3")
    expect(shown.get_by_role("button", name="Play")).to_be_visible()  # what playing selects is over
    shown.keyboard.press("Escape")
    assert selected(shown) == []


def test_a_long_sound_scrolls_to_the_token_that_is_pointed_at(show):
    seconds = 31.0
    geometry = SoundGeometry(seconds, 0.0, seconds / N_PLACES, N_PLACES)
    page = show(replace(heard_trace(("a", "b", "c", "d")), geometry=geometry), seconds=seconds)
    window = page.locator("[data-part=window]")
    assert window.evaluate("window => window.scrollWidth > 1.5 * window.clientWidth && window.scrollLeft") == 0
    words(page).nth(3).hover()
    left, right = window.evaluate("window => [window.scrollLeft, window.scrollLeft + window.clientWidth]")
    width = window.evaluate("window => window.scrollWidth")
    assert left < PLACES[3] / N_PLACES * width < right and left > 0


def test_a_waiting_sound_can_be_played(show):
    page = show(None)
    expect(page.get_by_text("Listening")).to_be_visible()
    page.get_by_role("button", name="Play").click()
    page.wait_for_function(f"{NOW} > 0")
    assert selected(page) == []


def test_an_empty_transcript_gives_its_reason(show):
    trace = AttentionTrace("", 0.0, (), np.zeros((0, 1, N_PLACES), np.float32), SOUND_GEOMETRY, note="silent")
    page = show(trace)
    expect(page.locator(".detail")).to_have_text("There is nothing to read here: the sound is silent.")
    expect(page.locator(".controls")).to_be_hidden()
    page.locator("[data-part=track]").hover()


def test_a_model_without_attention_says_so_and_still_follows_its_words(show):
    page = show(heard_trace(weights=np.zeros((4, 0, N_PLACES), np.float32)))
    expect(page.locator(".detail")).to_contain_text("This model has no attention")
    expect(page.locator("[data-part=rows]")).to_be_hidden()
    words(page).nth(2).click()
    expect(page.locator(".detail")).to_contain_text("heard 0.50 – 0.80")


def test_words_of_others_are_shown_literally(show):
    page = show(heard_trace(HOSTILE))
    expect(words(page)).to_have_text(list(HOSTILE))
    expect(page.locator(".labels span")).to_have_text(list(HOSTILE))
    for word in words(page).all():
        word.hover()
    assert page.evaluate("window.hacked") is None and page.locator("#viewer img").count() == 1


def test_one_viewer_shows_both_senses_in_turn(shown):
    from tests.fake_captioner import planted_trace
    from tests.ui.browser.pictured import payload as picture_payload

    shown.evaluate("show", picture_payload(planted_trace(), "second"))
    expect(words(shown)).to_have_text(["a", "dog", "runs"])
    expect(shown.locator(".stage")).to_be_visible()
    expect(shown.locator(".score")).to_be_hidden()
    shown.evaluate("show", payload(heard_trace(), "third"))
    expect(shown.locator(".score")).to_be_visible()
    expect(shown.locator(".stage")).to_be_hidden()


def test_the_saved_figure_and_data_are_those_shown(shown):
    words(shown).nth(2).hover()
    with shown.expect_download() as download:
        shown.locator("[data-part=save-json]").evaluate("button => button.click()")
    saved = AttentionTrace.from_json(download.value.path().read_text("utf-8"))
    assert saved.words == heard_trace().words and download.value.suggested_filename == "one.json"
    with shown.expect_download() as download:
        shown.locator("[data-part=save-png]").evaluate("button => button.click()")
    assert re.fullmatch(r"one-3-two\.png", download.value.suggested_filename)


def test_token_times_follow_the_words_and_within_one_the_peaks(page):
    script = "tokenTimes(arguments[0], decodeWeights(arguments[0].weights))"
    expected = [[0.1, 0.35], [0.35, 0.45], [0.5, 0.8], [1.1, 1.3]]  # the second piece peaks in 0.35 - 0.45
    np.testing.assert_allclose(pure(page, script, heard_trace().to_dict()), expected, atol=1e-9)
    alone = heard_trace(("a", "b", "c", "d")).to_dict()  # no words
    spans = [SOUND_GEOMETRY.span(place) for place in PLACES]
    np.testing.assert_allclose(pure(page, script, alone), spans, atol=1e-9)


def test_no_weight_is_lost_where_columns_are_wider_than_places(page):
    weights = np.zeros(9973, np.float32)
    weights[4321] = 1
    geometry = {"seconds": 99.73, "start": 0, "step": 0.01, "n_places": 9973}
    columns = np.array(pure(page, "Array.from(alongTime(new Float32Array(arguments[0]), arguments[1], 1200, true))",
                            weights.tolist(), geometry))  # fmt: skip
    assert columns.max() == 1 and abs(columns.argmax() - 4321.5 / 9973 * 1200) <= 1 and (columns > 0).sum() <= 2
