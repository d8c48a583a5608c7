"""Synthetic speech: what is planned, and that a run goes on where it was stopped. A recording stands in for a voice."""

import csv
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile

from multimodal_attn.senses.sound.media import RATE, read_sound
from tasks.speech import synthesize
from tasks.speech.synthesize import COLUMNS, ENGINES, Engine, choose_sentences, main, plan

SENTENCES = ["the dog ran home", "a cat sat here", "we saw a zebra there", "too short", "no more than that"]


@pytest.fixture
def spoken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An engine that "speaks" one tone for everything; gives the list of its runs."""
    soundfile.write(tmp_path / "tone.wav", 0.1 * np.sin(np.arange(2 * RATE)), RATE)
    runs: list[str] = []

    def copy(voice: str, tempo: float, pitch: float, wave: str) -> list[str]:
        runs.append(voice)
        return ["cp", str(tmp_path / "tone.wav"), wave]

    monkeypatch.setattr(synthesize, "ENGINES", {"tone": Engine(("low", "high"), copy, "cp", "coreutils")})
    (tmp_path / "sentences.txt").write_text("\n".join(SENTENCES))
    return runs


def arguments(folder: Path, seconds: float) -> list[str]:
    return ["--text", str(folder / "sentences.txt"), "--out", str(folder / "out"), "--hours", str(seconds / 3_600)]


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "out" / "manifest.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_sentences_with_unknown_words_come_first_and_short_ones_not_at_all() -> None:
    known = {word for sentence in SENTENCES for word in sentence.split()} - {"zebra"}
    chosen = choose_sentences(SENTENCES, known, seed=1)
    assert chosen[0] == "we saw a zebra there"
    assert sorted(chosen) == sorted(set(SENTENCES) - {"too short"})
    assert choose_sentences(SENTENCES[::-1], known, seed=1) == chosen


def test_plan_depends_on_the_seed_alone_and_uses_every_engine() -> None:
    engines = list(ENGINES)
    first = list(islice(plan(SENTENCES, engines, 1), 97))
    assert first == list(islice(plan(SENTENCES, engines, 1), 97)) != list(islice(plan(SENTENCES, engines, 2), 97))
    assert {utterance.engine for utterance in first} == set(ENGINES)
    assert len({utterance.id for utterance in first}) == 97
    assert len({utterance.speaker for utterance in first if utterance.text == SENTENCES[0]}) > 5


def test_manifest_tells_what_was_made(tmp_path: Path, spoken: list[str]) -> None:
    assert main(arguments(tmp_path, 30)) == 0
    rows = rows_of(tmp_path)
    assert tuple(rows[0]) == ("set", "split", "speaker", "id", "seconds", "file", "text")
    assert sum(float(row["seconds"]) for row in rows) >= 30
    for row in rows[::5]:
        heard = read_sound(tmp_path / "out" / row["file"])
        assert heard.seconds == pytest.approx(float(row["seconds"]), abs=0.011)
        assert 2 / 1.15 < heard.seconds < 2 / 0.87
        assert 0.3 < np.abs(heard.samples).max() < 1  # Opus is free with the level of a pure tone
        assert (row["set"], row["split"], row["text"] in SENTENCES) == ("synthetic", "train", True)


def test_stopped_run_goes_on_without_speaking_anything_twice(tmp_path: Path, spoken: list[str]) -> None:
    assert main(arguments(tmp_path, 10)) == 0
    n_first = len(spoken)
    manifest = tmp_path / "out" / "manifest.tsv"
    manifest.write_bytes(manifest.read_bytes()[:-7])  # as a kill in the middle of a line leaves it
    assert main(arguments(tmp_path, 50)) == 0
    rows = rows_of(tmp_path)
    assert len(spoken) == len(rows) + 1 > n_first + 1
    assert len({row["id"] for row in rows}) == len(rows)


def test_other_options_do_not_go_on_with_the_same_folder(tmp_path: Path, spoken: list[str], capsys) -> None:
    main(arguments(tmp_path, 10))
    (tmp_path / "sentences.txt").write_text("these are other words")
    assert main(arguments(tmp_path, 50)) == 2
    assert "made with other options" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["my notes", "HEADERmine\ttrain\ta\tb\t1\tc\td\nand half a li"])
def test_a_manifest_of_others_is_left_as_it_is(tmp_path: Path, spoken: list[str], capsys, content: str) -> None:
    manifest = tmp_path / "out" / "manifest.tsv"
    manifest.parent.mkdir()
    content = content.replace("HEADER", "\t".join(COLUMNS) + "\n")
    manifest.write_text(content)
    assert main(arguments(tmp_path, 10)) == 2
    assert "was not written by this command" in capsys.readouterr().err
    assert manifest.read_text() == content and spoken == []


def test_mistakes_are_one_line(tmp_path: Path, spoken: list[str], monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def line_of(arguments: list[str]) -> str:
        assert main(arguments) == 2
        line = capsys.readouterr().err
        assert line.count("\n") == 1
        return line

    assert "cannot be read" in line_of(["--text", str(tmp_path / "none.txt"), "--out", str(tmp_path / "out")])
    assert "not a manifest" in line_of([*arguments(tmp_path, 1), "--known", str(tmp_path / "none.tsv")])
    silent = Engine(("low",), lambda *_: ["true"], "true", "coreutils")
    monkeypatch.setattr(synthesize, "ENGINES", {"tone": silent})
    assert "no sound; install coreutils" in line_of(arguments(tmp_path, 1))
    monkeypatch.setattr(synthesize, "ENGINES", {"tone": Engine(("low",), silent.command, "no-such-program", "nothing")})
    assert "no-such-program is not installed; apt install nothing" in line_of(arguments(tmp_path, 1))
