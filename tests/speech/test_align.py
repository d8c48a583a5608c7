"""The times of given words, from the released model: held against the true ones, and used to splice."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from multimodal_attn.senses.sound.media import RATE
from tasks.speech.align import main
from tasks.speech.datasets import load_utterances, load_word_times
from tests.conftest import ROOT, SHARED, needs_shared

SPEECH = SHARED / "data" / "speech"
TEXTS = ("seven eight two", "nine", "one one")


def write_data(root: Path) -> Path:
    """Noise under a name and a text; nothing else is asked of the columns and the order of the table."""
    lines = ["path,text,split"]
    for n, text in enumerate(TEXTS):
        noise = np.random.default_rng(n).normal(0, 0.1, (n + 1) * 7_001)
        soundfile.write(root / f"{n}.wav", noise, RATE)
        lines.append(f"{n}.wav,{text},train")
    (root / "mine.csv").write_text("\n".join(lines))
    return root / "mine.csv"


def test_every_word_of_every_transcript_gets_a_time_in_its_sound(tmp_path: Path) -> None:
    data, out = write_data(tmp_path), tmp_path / "times.tsv"
    assert (
        main(["--data", str(data), "--checkpoint", str(ROOT / "checkpoints" / "speech-digits"), "--out", str(out)]) == 0
    )
    times = load_word_times(out)
    ids = [example.id for example in load_utterances(data, "train")]
    assert sorted(times) == sorted(ids)
    for n, (name, text) in enumerate(zip(ids, TEXTS, strict=True)):
        words, starts, ends = zip(*times[name], strict=True)
        assert " ".join(words) == text
        assert list(starts) == sorted(starts) and all(0 <= a < b for a, b in zip(starts, ends, strict=True))
        assert ends[-1] <= (n + 1) * 7_001 / RATE + 0.001


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--checkpoint", "captioning-flickr8k"], "no model for sounds"),
        (["--out", "nowhere/times.tsv"], "cannot be written"),
        (["--split", "dev2"], "train, val, test"),
        (["--data", "nothing.csv"], "nothing.csv"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: list[str], message: str
) -> None:
    options = {"--data": str(write_data(tmp_path)), "--checkpoint": "speech-digits", "--out": "times.tsv"}
    options |= dict([change])
    options["--checkpoint"] = str(ROOT / "checkpoints" / options["--checkpoint"])
    options["--out"] = str(tmp_path / options["--out"])
    assert main([part for option in options.items() for part in option]) == 2
    error = capsys.readouterr().err
    assert error.startswith("align: ") and message in error and error.count("\n") == 1


def test_a_table_of_ours_is_replaced_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_data(tmp_path)
    before, mine, times = data.read_bytes(), tmp_path / "mine.tsv", tmp_path / "times.tsv"
    args = ["--data", str(data), "--checkpoint", str(ROOT / "checkpoints" / "speech-digits"), "--out"]
    mine.write_text("id\tword\tmine\n")
    times.write_text("id\tword\tstart\tend\na\tof yesterday\t0\t1\n")
    assert main([*args, str(data)]) == 2 and "is one of the files to read" in capsys.readouterr().err
    assert main([*args, str(mine)]) == 2 and "was not written by this command" in capsys.readouterr().err
    assert main([*args, str(times)]) == 0
    assert data.read_bytes() == before and mine.read_text() == "id\tword\tmine\n" and len(load_word_times(times)) > 1


@needs_shared
def test_words_of_real_speech_are_found_where_they_are(tmp_path: Path) -> None:
    true = load_word_times(SPEECH / "alignments.tsv")
    with (SPEECH / "manifest.tsv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["id"] in true and row["split"] == "dev"][:13]
    lines = [f"{SPEECH / row['file']}\t{row['text']}\t{row['id']}\tval" for row in rows]
    (tmp_path / "some.tsv").write_text("\n".join(["path\ttext\tid\tsplit", *lines]))
    out = tmp_path / "times.tsv"
    assert main(["--data", str(tmp_path / "some.tsv"), "--split", "val", "--out", str(out)]) == 0
    errors = [
        abs(ours[1] - theirs[1])
        for name, words in load_word_times(out).items()
        for ours, theirs in zip(words, true[name], strict=True)
    ]
    assert len(errors) > 200 and np.median(errors) < 0.06
