"""`multimodal-attn attention list` shows the registry, all of it."""

import json

import pytest

from multimodal_attn.attention import ALIGNMENTS, SCORES, describe
from tasks.cli import main


def test_every_score_and_alignment_is_listed_with_its_source_and_options(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["attention", "list"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 100
    words = " ".join(shown.split())
    for entry in [*describe(SCORES), *describe(ALIGNMENTS)]:
        assert f"\n  {entry.name} " in shown and entry.source in words and entry.summary in words
    assert "options: temperature = 1.0" in words


def test_the_list_as_json_holds_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["attention", "list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in listed["score"]] == list(SCORES)
    assert [entry["name"] for entry in listed["align"]] == list(ALIGNMENTS)
    assert listed["align"][0]["options"] == {"temperature": 1.0}


def test_there_is_nothing_else_to_ask_about_attention(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["attention", "lits"])
    assert left.value.code == 2 and "list" in capsys.readouterr().err
