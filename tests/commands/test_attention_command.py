"""`multimodal-attn attention list` shows the registry, all of it."""

import json

import pytest

from multimodal_attn.attention import ALIGNMENTS, SCORES, NoAttention, Sentinel, describe
from tasks.cli import main


def test_every_score_and_alignment_is_listed_with_its_source_and_options(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["attention", "list"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 100
    words = " ".join(shown.split())
    for entry in [*describe(SCORES), *describe(ALIGNMENTS), *describe({"none": NoAttention, "sentinel": Sentinel})]:
        assert f"\n  {entry.name} " in shown and entry.source in words and entry.summary in words
    assert "options: temperature = 1.0" in words and "also called bahdanau, concat" in words
    assert "score = scaled_dot, align = softmax, heads = 1, sentinel = false" in words


def test_lines_break_between_words_only(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for columns in range(60, 100):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert main(["attention", "list", "local-m", "gumbel"]) == 0
        words = capsys.readouterr().out.split()
        assert {"local-m:", "local-m]", "(straight-through)."} <= set(words)


def test_list_of_some_names_holds_only_these(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["attention", "list", "--json", "Scaled Dot", "luong", "none", "sentinel"]) == 0
    listed = json.loads(capsys.readouterr().out)
    del listed["defaults"]
    names = {stage: [entry["name"] for entry in entries] for stage, entries in listed.items()}
    assert names == {"score": ["scaled_dot", "general"], "align": ["none"], "around": ["sentinel"]}


def test_wrong_name_is_answered_with_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["attention", "list", "dot", "sofmax"]) == 2
    assert "no mechanism is called 'sofmax'; did you mean 'softmax'?" in capsys.readouterr().err


def test_the_list_as_json_holds_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["attention", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in listed["score"]] == list(SCORES)
    assert [entry["name"] for entry in listed["align"]] == [*ALIGNMENTS, "none"]
    assert listed["align"][0]["options"] == {"temperature": 1.0}
    assert listed["defaults"] == {"score": "scaled_dot", "align": "softmax", "heads": 1, "sentinel": False}


def test_there_is_nothing_else_to_ask_about_attention(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["attention", "lits"])
    assert left.value.code == 2 and "list" in capsys.readouterr().err
