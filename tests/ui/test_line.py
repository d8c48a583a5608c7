"""Who waits for the model: one job at a time, in the order of arrival, and everybody is told their place."""

import json
from concurrent.futures import ThreadPoolExecutor, as_completed

import httpx
import pytest

from multimodal_attn.ui.app import start
from multimodal_attn.ui.line import FULL, MAX_WAITING, Line, in_turn
from tests.fake_reader import FOREVER, SlowReader


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("multimodal_attn.ui.line.PATIENCE", 0.1)


def places(payloads) -> list[int | None]:
    return [payload.get("before") for payload in payloads if "id" in payload]


def test_the_first_is_answered_at_once_and_the_third_is_told_of_two_and_then_of_one():
    line = Line()
    first, second, third = (in_turn(line, iter([{"id": name}, {"id": name}])) for name in "abc")
    assert places([next(first), next(second), next(third)]) == [None, 1, 2]
    assert "before" not in next(second)  # nothing has changed: a sign of life
    first.close()
    assert places([next(third)]) == [1]
    assert [payload["id"] for payload in second if "id" in payload] == ["b", "b"]
    assert [payload["id"] for payload in third if "id" in payload] == ["c", "c"]


def test_beyond_the_longest_line_one_is_told_so_and_the_others_keep_their_places():
    line = Line()
    people = [in_turn(line, iter([{"id": n}])) for n in range(MAX_WAITING + 1)]
    assert places([next(each) for each in people]) == [None, *range(1, 17)]
    assert [payload["problem"] for payload in in_turn(line, iter([{"id": "late"}]))] == [FULL]
    people[0].close()
    assert places([next(in_turn(line, iter([{"id": "later"}])))]) == [16]


def test_one_who_goes_away_or_whose_file_fails_leaves_the_line():
    line = Line()

    def failing():
        yield {"id": 0}
        raise RuntimeError("planted")

    first, second, third = in_turn(line, failing()), in_turn(line, iter([{"id": 1}])), in_turn(line, iter([{"id": 2}]))
    assert places([next(first), next(second), next(third)]) == [None, 1, 2]
    second.close()
    with pytest.raises(RuntimeError):
        next(first)
    assert next(payload for payload in third if "id" in payload) == {"id": 2}


def ask(address: str, session: str, trigger) -> list[dict]:
    """What the viewer of one person is shown, an example having been chosen."""
    event = {"data": [0, False], "fn_index": trigger, "trigger_id": None, "session_hash": session}
    shown = []
    with httpx.Client(base_url=address, trust_env=False, timeout=FOREVER) as client:
        assert client.post("/gradio_api/queue/join", json=event).status_code == 200
        with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as stream:
            for text in stream.iter_lines():
                message = json.loads(text.removeprefix("data: ") or "{}")
                shown.append(message)
                if message.get("msg") in ("process_completed", "unexpected_error", "queue_full"):
                    return shown
    return shown


def test_of_twenty_at_once_one_runs_sixteen_wait_and_three_are_told_so():
    reader = SlowReader()
    app = start({"captioning": reader}, port=0)
    (index,) = (each["id"] for each in app.config["dependencies"] if each["targets"][0][1] == "click")
    with ThreadPoolExecutor(20) as pool:
        jobs = [pool.submit(ask, app.local_url, f"s{n}", index) for n in range(20)]
        told = as_completed(jobs, timeout=FOREVER)
        for _ in range(3):  # the late ones hear first
            next(told)
        with httpx.Client(base_url=app.local_url, trust_env=False) as client:
            assert client.get("/config").status_code == 200
        reader.answer(17)
        answers = [json.dumps(job.result(), ensure_ascii=False) for job in jobs]
    app.close()
    assert reader.most == 1 and len(reader.sources) == 17
    assert sum(FULL in each for each in answers) == 3
    assert sum("a dog runs" in each for each in answers) == 17
    assert "before" in "".join(answers)
