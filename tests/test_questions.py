"""Questions of the page about a result: which may come, in whose turn they are answered, and what the answers are."""

from pathlib import Path

import pytest

from multimodal_attn import load
from multimodal_attn.ui.events import NO_EVENT, NO_FILE, Forged, Uploads, rebuild_question
from multimodal_attn.ui.line import Line, in_turn, in_turns
from multimodal_attn.ui.questions import answer_question
from tests.test_predictor import noise

KEPT = []


def keep(content: bytes, name: str) -> dict:
    KEPT.append(name)
    return {"url": name}


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    noise(1).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def question(want: str, source: Path | str, **changed) -> dict:
    asked = {"want": want, "of": "first", "kind": "file", "source": str(source)}
    return asked | {"begin": [], "hidden": [], "written": ""} | changed


def test_a_question_is_rebuilt_of_what_the_page_sends_and_nothing_else(photo: Path) -> None:
    uploads = Uploads(photo.parent, [])
    asked = question("again", photo, begin=[3, "\u2581a"], hidden=[0, 5])
    assert rebuild_question(asked | {"more": 1}, uploads, str) == asked
    assert rebuild_question(question("best", "A man.", kind="written"), uploads, str)["source"] == "A man."


@pytest.mark.parametrize(
    "changed",
    [
        {"want": "rm"},
        {"of": 3},
        {"begin": [-1]},
        {"begin": [True]},
        {"begin": ["a" * 300]},
        {"begin": [0] * 2001},
        {"hidden": ["a"]},
        {"hidden": None},
        {"written": "a" * 10_001},
        {"source": None},
    ],
    ids=str,
)
def test_a_forged_question_is_refused(photo: Path, changed: dict) -> None:
    with pytest.raises(Forged, match=NO_EVENT):
        rebuild_question(question("again", photo) | changed, Uploads(photo.parent, []), str)


@pytest.mark.parametrize("source", ["/etc/passwd", "../a.png", "nowhere.png"])
def test_a_question_is_about_files_of_the_page_only(photo: Path, source: str) -> None:
    with pytest.raises(Forged, match=NO_FILE):
        rebuild_question(question("needed", source), Uploads(photo.parent, []), str)


def test_between_two_parts_of_an_answer_others_have_their_turn() -> None:
    line = Line()
    long = in_turns(line, iter([{"id": "a"}, {"id": "b"}, {"id": "c"}]))
    assert next(long)["id"] == "a"
    assert [each["id"] for each in in_turn(line, iter([{"id": "other"}]))] == ["other"]  # at once
    assert [each["id"] for each in long] == ["b", "c"]
    told = in_turns(line, iter([{"id": "a", "problem": "no"}, {"id": "b"}]))
    assert [each["id"] for each in told] == ["a"]


def test_a_model_answers_all_of_them(tiny_checkpoint: Path, photo: Path) -> None:
    predictor = load(tiny_checkpoint)
    trace = predictor(photo)
    ids = [token.id for token in trace.tokens]

    *some, last = answer_question(predictor, str(photo), question("needed", photo, begin=ids), keep)
    assert all(0 < each["done"] < 1 for each in some)
    expected = predictor(photo, needed=True).to_dict()["needed"]
    assert last["of"] == "first" and last["needed"]["tokens"] == expected["tokens"]

    [again] = answer_question(predictor, str(photo), question("again", photo, written="two children"), keep)
    assert again["trace"]["text"].startswith("two children") and "media" not in again

    [best] = answer_question(predictor, str(photo), question("best", photo), keep)
    scores = [each["trace"]["score"] for each in best["best"]]
    assert len(scores) == 5 and scores == sorted(scores, reverse=True)

    *some, test = answer_question(predictor, str(photo), question("test", photo, begin=ids), keep)
    assert test["test"]["n_parts"] == 1 and set(test["test"]["deletion"]) == {"own", "others", "middle", "random"}


@pytest.mark.parametrize(
    "changed, told",
    [
        ({"begin": ["cat"]}, "never says"),
        ({"written": "a xylophone"}, "never says"),
        ({"hidden": [99]}, "places lie between 0 and 3"),
    ],
)
def test_what_cannot_be_answered_is_one_line(tiny_checkpoint: Path, photo: Path, changed: dict, told: str) -> None:
    [payload] = answer_question(load(tiny_checkpoint), str(photo), question("again", photo, **changed), keep)
    assert payload["of"] == "first" and told in payload["problem"] and str(photo) not in payload["problem"]


def test_a_file_that_is_gone_or_none_is_one_line(tiny_checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "b.png").write_text("no picture")
    for name in ("b.png", "gone.png"):
        [payload] = answer_question(load(tiny_checkpoint), str(tmp_path / name), question("again", name), keep)
        assert payload["problem"]
