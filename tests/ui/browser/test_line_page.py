"""Three people and a full line, each in a browser of their own: nobody looks at a page that does not move."""

import pytest
from playwright.sync_api import expect

from multimodal_attn.ui.app import start
from multimodal_attn.ui.line import FULL, MAX_WAITING, Line
from tests.fake_captioner import WORDS
from tests.fake_reader import SlowReader


@pytest.fixture
def served(monkeypatch):
    """The reader, the line, and the address of a page that is slow to answer."""
    line, reader = Line(), SlowReader()
    monkeypatch.setattr("multimodal_attn.ui.app.Line", lambda: line)
    app = start({"captioning": reader}, port=0)
    yield reader, line, app.local_url
    reader.answer(100)
    app.close()


def choose_example(page, address):
    page.goto(address)
    page.get_by_role("button", name="lion").click()
    return page


def test_three_people_see_who_is_before_them_and_then_their_own_answer(page, context, served):
    reader, _, address = served
    first, second, third = (choose_example(each, address) for each in (page, context.new_page(), context.new_page()))
    expect(first.locator("#picture-viewer .waiting")).to_have_text("Looking\u00a0…")
    expect(second.locator("#picture-viewer .queue")).to_have_text("1 before you\u00a0…")
    expect(third.locator("#picture-viewer .queue")).to_have_text("2 before you\u00a0…")
    expect(third.get_by_text("Drop a photograph anywhere")).to_be_hidden()
    reader.answer()
    expect(first.get_by_role("option")).to_have_text(list(WORDS))
    expect(third.locator("#picture-viewer .queue")).to_have_text("1 before you\u00a0…")
    second.close()  # while it is being answered
    reader.answer(2)
    expect(third.get_by_role("option")).to_have_text(list(WORDS))
    expect(third.locator("#picture-viewer .queue")).to_be_hidden()
    assert reader.most == 1


def test_one_who_closes_the_page_while_waiting_leaves_the_line(page, context, served):
    reader, line, address = served
    first, second, third = (choose_example(each, address) for each in (page, context.new_page(), context.new_page()))
    expect(third.locator("#picture-viewer .queue")).to_have_text("2 before you\u00a0…")
    second.close()
    expect(third.locator("#picture-viewer .queue")).to_have_text("1 before you\u00a0…", timeout=20_000)
    reader.answer(2)
    expect(third.get_by_role("option")).to_have_text(list(WORDS))
    assert len(reader.sources) == 2


def test_who_comes_to_a_full_line_is_told_in_the_viewer_and_can_try_again(page, served):
    reader, line, address = served
    tickets = [line.join() for _ in range(MAX_WAITING + 1)]
    choose_example(page, address)
    expect(page.get_by_role("alert")).to_have_text(FULL)
    expect(page.get_by_test_id("toast-body")).to_have_count(0)
    for ticket in tickets:
        line.leave(ticket)
    reader.answer()
    page.get_by_role("button", name="lion").click()
    expect(page.get_by_role("option")).to_have_text(list(WORDS))
    expect(page.get_by_role("alert")).to_be_hidden()
