"""The readers of people's own recordings: every format written out in small, and every mistake answered in one line."""

import json
import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from multimodal_attn.errors import ConfigError, DataError
from tasks.speech.datasets import Utterance, load_utterances
from tasks.speech.formats import normalize_text
from tests.conftest import SHARED, needs_shared

SPEECH = SHARED / "data" / "speech"
TEXTS = {"train": ("A cat!", "Two cats."), "val": ("It's wet",), "test": ("Why?",)}
NORMAL = {"train": ["a cat", "two cats"], "val": ["it's wet"], "test": ["why"]}
MANIFEST = """set\tsplit\tspeaker\tid\tseconds\tfile\ttext
s\ttrain\tann\tu1\t1.5\twav/a.wav\tA cat!
s\ttrain\tann\tu2\t2\twav/b.wav\tTwo cats.
s\tdev\tbob\tu3\t3\twav/c.wav\tIt's wet
s\ttest\tcid\tu4\t\twav/d.wav\tWhy?
"""
CSV = """path,text,split
wav/a.wav,A cat!,train
wav/b.wav,Two cats.,train
wav/c.wav,It's wet,val
wav/d.wav,Why?,test
"""


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def write_manifest(root: Path) -> None:
    touch(root, *(f"wav/{letter}.wav" for letter in "abcd"))
    (root / "manifest.tsv").write_text(MANIFEST)
    (root / "alignments.tsv").write_text("id\tword\tstart\tend\n")  # no transcripts, though a table


def write_csv(root: Path) -> None:
    touch(root, *(f"wav/{letter}.wav" for letter in "abcd"))
    (root / "mine.csv").write_text(CSV)


def write_json_lines(root: Path) -> None:
    touch(root, *(f"wav/{letter}.wav" for letter in "abcd"))
    header, *rows = [line.split(",") for line in CSV.splitlines()]
    rows = [dict(zip(header, row, strict=True)) | {"seconds": 2.5} for row in rows]
    (root / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_librispeech(root: Path) -> None:
    for subset, chapter in (("train-clean-5", "11-7"), ("dev-clean-2", "13-7"), ("test-clean", "17-7")):
        split = {"dev": "val"}.get(subset.split("-")[0], subset.split("-")[0])
        folder = root / subset / chapter.split("-")[0] / "7"
        names = [f"{chapter}-{n:04}" for n in range(len(TEXTS[split]))]
        touch(folder, *(f"{name}.flac" for name in names))
        lines = (f"{name} {text.upper()}\n" for name, text in zip(names, TEXTS[split], strict=True))
        (folder / f"{chapter}.trans.txt").write_text("".join(lines))
    (root / "SPEAKERS.TXT").write_text("of no use here")


def write_common_voice(root: Path) -> None:
    n = 0
    for split, name in (("train", "train"), ("val", "dev"), ("test", "test")):
        lines = ["client_id\tpath\tsentence_id\tsentence\tup_votes\tage"]
        for text in TEXTS[split]:
            n += 1
            touch(root / "clips", f"{n}.mp3")
            lines.append(f'{split}-speaker\t{n}.mp3\tq{n}\t"{text}\t2\t')  # quotes are not paired there
        (root / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    (root / "validated.tsv").write_text("would be everything once more")
    (root / "clip_durations.tsv").write_text("clip\tduration[ms]\n")


FORMATS = {
    "manifest": write_manifest,
    "table": write_csv,
    "librispeech": write_librispeech,
    "common_voice": write_common_voice,
}


def refusal(root: Path | list[Path], split: str = "train", error: type[Exception] = DataError, **options: str) -> str:
    """The message with which the data is refused, which has to be a single line."""
    with pytest.raises(error) as caught:
        load_utterances(root, split, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def texts(utterances: list[Utterance]) -> list[str]:
    return [utterance.text for utterance in utterances]


@pytest.mark.parametrize("format", ["auto", "named"])
@pytest.mark.parametrize(("name", "write"), [*FORMATS.items(), ("table", write_json_lines)], ids=lambda x: str(x)[:20])
def test_every_format_gives_the_same_utterances(
    tmp_path: Path, name: str, write: Callable[[Path], None], format: str
) -> None:
    write(tmp_path)
    options = {} if format == "auto" else {"format": name}
    for split, expected in NORMAL.items():
        utterances = load_utterances(tmp_path, split, **options)
        assert texts(utterances) == expected
        assert all(utterance.path.is_file() for utterance in utterances)


def test_a_manifest_fills_every_field(tmp_path: Path) -> None:
    write_manifest(tmp_path)
    where = tmp_path / "manifest.tsv"
    first, _ = load_utterances(where, "train")
    assert first == Utterance(tmp_path / "wav/a.wav", "a cat", "u1", "ann", "s", 1.5, f"{where}:2")
    assert load_utterances(where, "test")[0].seconds is None


def test_what_a_table_leaves_out_is_filled_in(tmp_path: Path) -> None:
    write_csv(tmp_path / "mine")
    last = load_utterances(tmp_path / "mine", "test")[0]
    assert (last.id, last.speaker, last.set, last.seconds) == ("wav/d", "", "mine", None)
    (tmp_path / "mine" / "mine.csv").unlink()
    write_json_lines(tmp_path / "mine")
    assert load_utterances(tmp_path / "mine", "test")[0].seconds == 2.5


def test_librispeech_folders_name_speaker_and_set(tmp_path: Path) -> None:
    write_librispeech(tmp_path)
    last = load_utterances(tmp_path, "train")[1]
    assert (last.id, last.speaker, last.set) == ("11-7-0001", "11", "train-clean-5")
    assert last.row == f"{tmp_path / 'train-clean-5' / '11' / '7' / '11-7.trans.txt'}:2"


def test_a_librispeech_subset_alone_has_one_split(tmp_path: Path) -> None:
    write_librispeech(tmp_path)
    assert texts(load_utterances(tmp_path / "dev-clean-2", "val")) == NORMAL["val"]
    assert "no utterance of the split train" in refusal(tmp_path / "dev-clean-2")


def test_several_data_sets_are_one(tmp_path: Path) -> None:
    write_manifest(tmp_path / "a")
    write_librispeech(tmp_path / "b")
    (tmp_path / "a" / "manifest.tsv").write_text("".join(MANIFEST.splitlines(True)[:3]))  # which has no dev split
    roots = [tmp_path / "a" / "manifest.tsv", str(tmp_path / "b")]
    assert Counter(u.set for u in load_utterances(roots, "train")) == {"s": 2, "train-clean-5": 2}
    assert [u.set for u in load_utterances(roots, "val")] == ["dev-clean-2"]


def test_texts_may_stay_as_they_are_written(tmp_path: Path) -> None:
    write_manifest(tmp_path)
    assert texts(load_utterances(tmp_path, "train", normalize=False)) == list(TEXTS["train"])


def test_transcripts_and_clips_may_be_anywhere(tmp_path: Path) -> None:
    touch(tmp_path, "sounds/train/a.wav", "sounds/val/a.wav")
    (tmp_path / "lists").mkdir()
    for split in ("train", "val"):
        (tmp_path / "lists" / f"of-{split}.csv").write_text(f"path,text\na.wav,{split}\n")
    options = {"transcripts": "lists/of-{split}.csv", "clips": "sounds/{split}"}
    assert texts(load_utterances(tmp_path, "val", **options)) == ["val"]
    assert load_utterances(tmp_path, "train", **options)[0].path == tmp_path / "sounds/train/a.wav"


# splits


def test_utterances_without_a_split_follow_their_speaker(tmp_path: Path) -> None:
    rows = [f"{speaker}-{n}.wav,hello,{speaker}\n" for speaker in range(211) for n in range(2)]
    (tmp_path / "mine.csv").write_text("path,text,speaker\n" + "".join(rows))
    touch(tmp_path, *(row.split(",")[0] for row in rows))
    speakers = [{u.speaker for u in load_utterances(tmp_path, split)} for split in ("train", "val", "test")]
    assert sum(map(len, speakers)) == len(set.union(*speakers)) == 211
    assert [len(part) for part in speakers] == pytest.approx([169, 21, 21], abs=12)


def test_validated_clips_alone_are_split_by_speaker(tmp_path: Path) -> None:
    touch(tmp_path / "clips", *(f"{n}.mp3" for n in range(101)))
    rows = "".join(f"speaker{n}\t{n}.mp3\tHi\n" for n in range(101))
    (tmp_path / "validated.tsv").write_text("client_id\tpath\tsentence\n" + rows)
    sizes = [len(load_utterances(tmp_path, split)) for split in ("train", "val", "test")]
    assert sum(sizes) == 101 and min(sizes) > 0


def test_a_file_called_after_a_split_is_that_split(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    (tmp_path / "valid.csv").write_text("path,text\na.wav,Hi\n")
    assert texts(load_utterances(tmp_path, "val")) == ["hi"]


def test_speakers_of_a_test_who_are_in_train_are_one_line_of_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_manifest(tmp_path)
    path = tmp_path / "manifest.tsv"
    path.write_text(MANIFEST.replace("\tcid\t", "\tann\t"))
    with caplog.at_level(logging.WARNING):
        load_utterances(path, "train")
        load_utterances(path, "val")
        assert caplog.messages == []
        assert texts(load_utterances(path, "test")) == NORMAL["test"]
    (message,) = caplog.messages
    assert message.startswith(f"{path}:5: ") and "ann" in message and "\n" not in message


# mistakes


@pytest.mark.parametrize("name", FORMATS)
def test_a_missing_sound_is_named_with_its_row(tmp_path: Path, name: str) -> None:
    FORMATS[name](tmp_path)
    utterance = load_utterances(tmp_path, "val")[0]
    utterance.path.unlink()
    message = refusal(tmp_path, "val")
    assert message.startswith(f"{utterance.row}: there is no sound {utterance.path.with_suffix('')}")
    assert load_utterances(tmp_path, "test")  # the others are still there


@pytest.mark.parametrize("name", FORMATS)
def test_a_text_without_words_is_named_with_its_row(tmp_path: Path, name: str) -> None:
    FORMATS[name](tmp_path)
    row = load_utterances(tmp_path, "val")[0].row
    for path in (path for path in tmp_path.rglob("*") if path.suffix in (".txt", ".tsv", ".csv")):
        path.write_text(path.read_text().replace("It's wet", " ?!").replace("IT'S WET", " ?!"))
    message = refusal(tmp_path, "train")  # wherever it is
    assert message.startswith(f"{row}: the text of ") and "is empty" in message


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (
            "path,title\na.wav,Hi\n",
            ":1",
            "no column 'text' (also called caption, transcript, transcription, sentence); the columns are path, text",
        ),
        ("path,split\na.wav,train\n", ":1", "no column 'text'"),
        ("", ":1", "no column 'path'"),
        ("path,text\na.wav,Hi, you\n", ":2", "quote a text"),
        ("path,text\n,Hi\n", ":2", "name is empty"),
        ("path,text,split\na.wav,Hi,trian\n", ":2", "unknown split 'trian'"),
        ("path,text,split\na.wav,Hi,test\n", "", "no utterance of the split train"),
        ("path,text,split\na.wav,Hi,train\na.wav,Ho,train\n", ":3", "a is there already (ROOT/train.csv:2)"),
        ("path,text,id\na.wav,Hi,u\nb.wav,Ho,u\n", ":3", "u is there already (ROOT/train.csv:2)"),
        ("path,text,seconds\na.wav,Hi,long\n", ":2", "seconds is 'long'"),
        ("path,text,seconds\na.wav,Hi,0\n", ":2", "seconds is '0'"),
        ("path,text,seconds\na.wav,Hi,nan\n", ":2", "seconds is 'nan'"),
        ('path,text\na.wav,"Hi\n', ":2", "check the quotes"),
    ],
)
def test_a_wrong_table_is_answered_with_file_and_line(tmp_path: Path, text: str, place: str, words: str) -> None:
    touch(tmp_path, "a.wav", "b.wav")
    path = tmp_path / "train.csv"
    path.write_text(text)
    message = refusal(path)
    assert message.startswith(f"{path}{place}: ") and words.replace("ROOT", str(tmp_path)) in message


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"path": "a.wav", "text": 5}', 'not a row; write {"path": "...", "text": "..."}'),
        ('{"path": "a.wav", "text": "Hi", "seconds": true}', "not a row"),
        ('{"path": "a.wav", "text": "Hi", "seconds": -1.5}', "seconds is '-1.5'"),
        ('{"path": "a.wav"', "not JSON"),
    ],
)
def test_a_wrong_json_line_is_answered_with_file_and_line(tmp_path: Path, line: str, words: str) -> None:
    write_json_lines(tmp_path)
    touch(tmp_path, "a.wav")
    path = tmp_path / "mine.jsonl"
    path.write_text(path.read_text() + "\n" + line + "\n")
    message = refusal(tmp_path)
    assert message.startswith(f"{path}:6: ") and words in message


def test_the_same_data_twice_is_refused(tmp_path: Path) -> None:
    write_manifest(tmp_path)
    (tmp_path / "manifest.tsv").write_text("".join(MANIFEST.splitlines(True)[:2]))
    assert "u1 is there already" in refusal([tmp_path, tmp_path / "manifest.tsv"])
    (tmp_path / "more.tsv").write_text((tmp_path / "manifest.tsv").read_text())
    assert refusal([tmp_path, tmp_path / "more.tsv"]).startswith(f"{tmp_path / 'more.tsv'}:2: u1 is there already")


def test_what_does_not_exist_is_refused(tmp_path: Path) -> None:
    assert "no such folder" in refusal(tmp_path / "nowhere")
    assert "looked for manifest.tsv" in refusal(tmp_path) and "set `transcripts`" in refusal(tmp_path)
    assert "choose one of auto, manifest" in refusal(tmp_path, error=ConfigError, format="kaldy")
    assert "choose one of train, val, test" in refusal(tmp_path, "dev", error=ConfigError)
    touch(tmp_path, "7/7/7.trans.txt")
    (tmp_path / "7/7/7.trans.txt").write_text("7-7-0\n")
    assert refusal(tmp_path).startswith(f"{tmp_path / '7/7/7.trans.txt'}:1: not a transcript")


# texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don\u2019t\u2014STOP!", "don't stop"),
        ("'Hello,' she said; o'clock", "hello she said o'clock"),
        ("well-known  e.g.\t3.5 %", "well known e g 3 5"),
        ("Cafe\u0301 na\u00efve \u00c5", "caf\u00e9 na\u00efve \u00e5"),
        (
            "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!",
            "\u043f\u0440\u0438\u0432\u0435\u0442 \u043c\u0438\u0440",
        ),
        (
            "\u0939\u093f\u0928\u094d\u0926\u0940\u0964",  # marks stay in their words
            "\u0939\u093f\u0928\u094d\u0926\u0940",
        ),
        ("\u4f60\u597d\uff0c\u4e16\u754c\u3002", "\u4f60\u597d \u4e16\u754c"),
        ("co\u00adop", "coop"),
        ("\u2026 ?", ""),
    ],
)
def test_texts_keep_letters_marks_and_digits_of_any_script(text: str, expected: str) -> None:
    assert normalize_text(text) == expected
    assert normalize_text(expected) == expected


# the real thing


@needs_shared
@pytest.mark.parametrize(
    ("split", "sizes", "hours"),
    [
        ("train", {"cv": 2172, "fsdd": 2700, "ls": 1671, "so762": 2500}, 12.41),
        ("val", {"ls": 226}, 0.74),
        ("test", {"cv": 205, "fsdd": 300, "so762": 320}, 0.70),
    ],
)
def test_the_real_speech_has_its_known_size(split: str, sizes: dict[str, int], hours: float) -> None:
    utterances = load_utterances(SPEECH, split)
    assert Counter(utterance.set for utterance in utterances) == sizes
    assert sum(utterance.seconds for utterance in utterances) / 3600 == pytest.approx(hours, abs=0.02)
    assert set("".join(texts(utterances))) <= set("abcdefghijklmnopqrstuvwxyz '")
