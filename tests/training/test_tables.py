"""Tables as people and other programs write them are read as they are meant, and all that is wrong is told at once."""

import json
import logging
import unicodedata
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import pytest
import yaml

from multimodal_attn.errors import DataError
from tasks.captioning import datasets as captioning
from tasks.captioning.datamodule import CaptioningData
from tasks.compare.plan import parse_settings
from tasks.speech import datasets as speech
from tasks.training.run import completed
from tasks.training.tables import hash_split
from tests.caption_files import CSV, brief, write_pictures
from tests.conftest import RELEASED, needs_released

EXPECTED = {"a.jpg": ("A dog .", "A wet dog ."), "b.jpg": ("Two cats .",), "c.jpg": ("A car .",)}


def read(root: Path | list[Path], **options: bool) -> dict[str, tuple[str, ...]]:
    splits = captioning.load_splits(root, ("train", "val", "test"), **options)
    return {name: texts for examples in splits.values() for name, texts in brief(examples).items()}


def with_index(csv: str) -> str:
    header, *rows = csv.splitlines()
    return "\n".join([f",{header}", *(f"{n},{row}" for n, row in enumerate(rows))])


@pytest.mark.parametrize(
    "change",
    [
        lambda csv: csv.replace(",", ";"),
        lambda csv: "sep=;\n" + csv.replace(",", ";"),
        lambda csv: csv.replace(",", "\t"),
        lambda csv: csv.replace(",", " | "),
        lambda csv: csv.replace(",", ", "),
        lambda csv: csv.replace(",", ', "', 1).replace("caption", 'caption"', 1),
        lambda csv: csv.replace("path,caption,split", "Path,Caption,SPLIT"),
        lambda csv: csv.replace("path,caption,split", " File Name ,description,Partition"),
        lambda csv: csv.replace("path,caption,split", "image,text,split"),
        lambda csv: csv.replace(",train", ", Train ").replace(",val", ",VALIDATION"),
        lambda csv: csv + ",,\n  ,,\n\n",
        lambda csv: "\n\n" + csv,
        lambda csv: csv.replace("\n", ",,,\n").replace("split,,,", "split"),
        with_index,
        lambda csv: csv.replace("\n", ",me\n").replace("split,me", "split,author"),
        lambda csv: "\ufeff" + csv.replace(",", ";").replace("\n", "\r\n"),
    ],
)
def test_crooked_tables_are_read_as_they_are_meant(tmp_path: Path, change: Callable[[str], str]) -> None:
    write_pictures(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    (tmp_path / "mine.csv").write_bytes(change(CSV).encode())
    assert read(tmp_path) == EXPECTED


def test_a_table_of_excel_in_unicode_is_read(tmp_path: Path) -> None:
    write_pictures(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    (tmp_path / "mine.csv").write_bytes(CSV.replace(",", "\t").encode("utf-16"))
    assert read(tmp_path) == EXPECTED


def test_columns_that_are_not_known_are_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_pictures(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    (tmp_path / "mine.csv").write_text(with_index(CSV).replace(",split", ",split,author"))
    read(tmp_path)
    (message,) = caplog.messages
    assert message == f"{tmp_path / 'mine.csv'}: passed over columns that are not known: one without a name, author"


def test_an_empty_split_is_as_good_as_none(tmp_path: Path) -> None:
    write_pictures(tmp_path, *(f"{n}.jpg" for n in range(101)))
    rows = "".join(f"{n}.jpg,A dog" for n in range(101)).replace("dog", "dog\n")
    (tmp_path / "mine.csv").write_text("path,caption\n" + rows)
    without = captioning.load_splits(tmp_path, ("train", "val"))
    (tmp_path / "mine.csv").write_text("path,caption,split\n" + rows.replace("\n", ",\n"))
    assert captioning.load_splits(tmp_path, ("train", "val")) == without


def test_seconds_may_have_a_decimal_comma(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    (tmp_path / "mine.csv").write_text("wav;transcript;duration\na.wav;Hi;3,36\n")
    (utterance,) = speech.load_utterances(tmp_path / "mine.csv", "train")
    assert (utterance.seconds, utterance.text) == (3.36, "hi")


@pytest.mark.parametrize("form", ["lines", "array", "lists"])
def test_json_may_be_lines_or_an_array_and_have_lists_of_captions(tmp_path: Path, form: str) -> None:
    write_pictures(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    header, *rows = [line.split(",") for line in CSV.splitlines()]
    items: list[dict] = [dict(zip(header, row, strict=True)) | {"size": [3, 5]} for row in rows]
    if form == "lists":
        items[:2] = [{"image": "a.jpg", "captions": ["A dog .", "A wet dog ."], "split": "train"}]
    text = json.dumps(items, indent=1) if form == "array" else "\n".join(map(json.dumps, items))
    (tmp_path / "mine.json").write_text(text)
    assert read(tmp_path) == read(tmp_path / "mine.json") == EXPECTED


# layouts


def test_the_folders_of_hugging_face_are_read(tmp_path: Path) -> None:
    for split, (name, text) in {"train": ("a", "A dog"), "validation": ("b", "A cat"), "test": ("c", "A car")}.items():
        write_pictures(tmp_path / split, f"{name}.jpg")
        (tmp_path / split / "metadata.csv").write_text(f"file_name,text\n{name}.jpg,{text}\n")
    assert read(tmp_path) == {"a.jpg": ("A dog",), "b.jpg": ("A cat",), "c.jpg": ("A car",)}
    line = json.dumps({"file_name": "b.wav", "transcription": "Hi"})
    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds" / "b.wav").touch()
    (tmp_path / "sounds" / "metadata.jsonl").write_text(line)
    assert sum(len(each) for each in speech.load_splits(tmp_path / "sounds", ("train", "val", "test")).values()) == 1


def test_flickr30k_is_read_with_the_row_that_lacks_a_bar(tmp_path: Path) -> None:
    write_pictures(tmp_path / "flickr30k_images", "1.jpg")
    rows = ['1.jpg| 0| Two dogs , one " wet .', "1.jpg| 4   A dog runs across the grass ."]
    (tmp_path / "results.csv").write_text("\n".join(["image_name| comment_number| comment", *rows]))
    assert read_any(tmp_path) == {"1.jpg": ('Two dogs , one " wet .', "A dog runs across the grass .")}


def read_any(root: Path) -> dict[str, tuple[str, ...]]:
    """What has no split, whichever one its hash gives it."""
    found = {}
    for split in ("train", "val", "test"):
        try:
            found |= brief(captioning.load_examples(root, split))
        except DataError as error:
            assert "no example of the split" in str(error)
    return found


def sounds(root: Path, **options: str) -> list[tuple[str, str, float | None]]:
    splits = speech.load_splits(root, ("train", "val", "test"), **options)
    found = [utterance for utterances in splits.values() for utterance in utterances]
    assert all(utterance.path.is_file() for utterance in found)
    return sorted((utterance.path.name, utterance.text, utterance.seconds) for utterance in found)


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


@pytest.mark.parametrize("form", ["relative", "absolute"])
def test_nemo_manifests_are_read(tmp_path: Path, form: str) -> None:
    touch(tmp_path, "wav/a.wav", "wav/b.wav")
    for split, name in (("train", "a"), ("dev", "b")):
        path = f"wav/{name}.wav" if form == "relative" else str(tmp_path / "wav" / f"{name}.wav")
        line = json.dumps({"audio_filepath": path, "duration": 1.5, "text": "hi", "offset": 0})
        (tmp_path / f"{split}_manifest.json").write_text(line + "\n")
    splits = speech.load_splits(tmp_path, ("train", "val"))
    assert [[(u.path.name, u.seconds) for u in splits[split]] for split in splits] == [
        [("a.wav", 1.5)],
        [("b.wav", 1.5)],
    ]


def test_ljspeech_is_read(tmp_path: Path) -> None:
    touch(tmp_path, "wavs/LJ001-0001.wav", "wavs/LJ001-0002.wav")
    (tmp_path / "metadata.csv").write_text('LJ001-0001|Dr. "No|Doctor "No\nLJ001-0002|in 1840|in eighteen forty\n')
    texts = [("LJ001-0001.wav", "doctor no", None), ("LJ001-0002.wav", "in eighteen forty", None)]
    assert sounds(tmp_path) == sounds(tmp_path / "metadata.csv", clips="wavs") == texts


@pytest.mark.parametrize("ending", [".flac", ".wav", ".mp3", ".OGG"])
def test_librispeech_is_read_with_sounds_of_any_format(tmp_path: Path, ending: str) -> None:
    touch(tmp_path, f"train-clean-5/11/7/11-7-0000{ending}")
    (tmp_path / "train-clean-5/11/7/11-7.trans.txt").write_text("11-7-0000 HI YOU\n")
    assert sounds(tmp_path) == [(f"11-7-0000{ending}", "hi you", None)]


def test_kaldis_folders_are_read_and_no_command_is_run(tmp_path: Path) -> None:
    for split, name in (("train", "u1"), ("dev", "u2")):
        touch(tmp_path, f"wav/{name}.wav")
        (tmp_path / split).mkdir()
        (tmp_path / split / "wav.scp").write_text(f"{name} {tmp_path / 'wav' / f'{name}.wav'}\n")
        (tmp_path / split / "text").write_text(f"{name} hi {name}\n")
        (tmp_path / split / "utt2spk").write_text(f"{name} ann-{name}\n")
    assert sounds(tmp_path) == [("u1.wav", "hi u1", None), ("u2.wav", "hi u2", None)]
    assert sounds(tmp_path / "dev") == [("u2.wav", "hi u2", None)]
    (tmp_path / "dev" / "wav.scp").write_text("u2 touch ran |\n")
    with pytest.raises(DataError, match=r"text:1: u2 has a command in wav.scp, which is not run"):
        sounds(tmp_path)


def test_the_first_common_voice_is_read(tmp_path: Path) -> None:
    touch(tmp_path, "cv-valid-train/1.mp3", "cv-valid-dev/2.mp3")
    for split, n in (("train", 1), ("dev", 2)):
        row = f'cv-valid-{split}/{n}.mp3,"well, hi",2,0,,,,\n'
        header = "filename,text,up_votes,down_votes,age,gender,accent,duration\n"
        (tmp_path / f"cv-valid-{split}.csv").write_text(header + row)
    assert sounds(tmp_path) == [("1.mp3", "well hi", None), ("2.mp3", "well hi", None)]


def test_several_roots_are_used_together_by_every_task(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_pictures(tmp_path / name, "a.jpg", "b.jpg", "c.jpg")
        (tmp_path / name / "mine.csv").write_text(CSV)
    examples = captioning.load_examples([tmp_path / "one", tmp_path / "two"], "train")
    assert [example.path.parent.name for example in examples] == ["one", "two"]


# names of files


def test_texts_may_lie_beside_their_files(tmp_path: Path) -> None:
    write_pictures(tmp_path, "a.jpg", "more/b.PNG")
    for name, text in {"a.txt": "A dog.\n\nA wet dog.\n", "more/b.txt": "Two cats.", "notes.txt": "buy film"}.items():
        (tmp_path / name).write_text(text)
    splits = captioning.load_splits(tmp_path, ("train", "val"))
    found = {name: texts for examples in splits.values() for name, texts in brief(examples).items()}
    assert found == {"a.jpg": ("A dog.", "A wet dog."), "b.PNG": ("Two cats.",)}


@pytest.mark.parametrize("name", ["mine.xlsx", "mine.wav"])
def test_what_is_no_table_is_told_what_to_be(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(DataError, match="save it as CSV" if "xlsx" in name else "no table; name a folder"):
        read(tmp_path / name)
    if "xlsx" in name:
        with pytest.raises(DataError, match="only the spreadsheet mine.xlsx"):
            read(tmp_path)


@pytest.mark.parametrize("speaker", ["", ",me"])
def test_a_small_table_without_splits_has_something_to_validate_on(tmp_path: Path, speaker: str) -> None:
    names = [f"{n}.wav" for n in range(60) if hash_split(f"{n}.wav") == "train"][:3]
    for name in names:
        (tmp_path / name).touch()
    rows = "\n".join(f"{name},Hi{speaker}" for name in names)
    (tmp_path / "t.csv").write_text(f"path,text{',speaker' * bool(speaker)}\n{rows}\n")
    parts = speech.load_splits(tmp_path, ("train", "val"))
    assert [len(parts[split]) for split in ("train", "val")] == [2, 1]
    assert parts["val"][0].path.name == min(names, key=lambda name: crc32(name.encode()))


@pytest.mark.parametrize(
    ("written", "on_disk"),
    [
        (unicodedata.normalize("NFC", "\u00e9t\u00e9.jpg"), unicodedata.normalize("NFD", "\u00e9t\u00e9.jpg")),
        (unicodedata.normalize("NFD", "\u00e9t\u00e9/a.jpg"), unicodedata.normalize("NFC", "\u00e9t\u00e9/a.jpg")),
        ("A.JPG", "a.jpg"),
        ("img\\a.jpg", "img/a.jpg"),
        ("Img\\A.jpg", "img/a.JPG"),
        ("img/../a.jpg", "a.jpg"),
        ("a", "a.jpg"),
    ],
)
def test_files_are_found_by_other_forms_of_their_names(tmp_path: Path, written: str, on_disk: str) -> None:
    write_pictures(tmp_path, on_disk, "img/spare.jpg")
    (tmp_path / "mine.csv").write_text(f"path,caption,split\n{written},A dog,train\n")
    (example,) = captioning.load_examples(tmp_path, "train")
    assert example.path.samefile(tmp_path / on_disk)


def test_a_name_that_may_mean_two_files_is_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path, "a.jpg", "A.jpg")
    (tmp_path / "mine.csv").write_text("path,caption,split\nA.JPG,A dog,train\n")
    with pytest.raises(DataError, match=r"mine.csv:2: both A.jpg and a.jpg may be the picture .*A.JPG"):
        captioning.load_examples(tmp_path, "train")


# all faults at once


def test_all_faults_are_counted_and_the_first_ten_listed(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    rows = ["a.wav,Hi,train", "a.wav,Ho,train", "b.wav,?!,val", "c.wav,Hi,trian", ",Hi,val"]
    rows += [f"{n}.wav,Hi,train" for n in range(13)]
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["path,text,split", *rows]))
    with pytest.raises(DataError) as caught:
        speech.load_splits(path, ("train", "val"))
    first, *listed, last = str(caught.value).splitlines()
    assert first.startswith("17 items cannot be used (13 missing, 2 empty, 1 unclear, 1 doubled); mend or remove them")
    assert "--data.skip_bad true" in first
    assert len(listed) == 10 and last.strip() == "and 7 more"
    assert [line.strip().split(": ")[0] for line in listed[:4]] == [f"{path}:{n}" for n in (4, 5, 6, 3)]


def test_what_cannot_be_used_is_left_out_if_so_wished(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_pictures(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    (tmp_path / "mine.csv").write_text(CSV + "gone.jpg,A dog,train\na.jpg,,train\na.jpg,A dog,val\nb.jpg,A,b,val\n")
    with caplog.at_level(logging.WARNING):
        assert read(tmp_path, skip_bad=True) == EXPECTED
    (message,) = caplog.messages
    assert message.startswith("left out 4 bad items (1 empty, 1 unclear, 1 missing, 1 doubled):\n")


# options


@needs_released
@pytest.mark.parametrize("other", ["mine.csv", "[mine.csv, more/]"])
def test_a_checkpoints_format_is_not_that_of_another_root(tmp_path: Path, other: str) -> None:
    def data(*args: str) -> dict:
        completed(["test", "--ckpt_path", str(RELEASED), *args], "captioning", tmp_path, CaptioningData.OF_ROOT)
        return yaml.safe_load((tmp_path / "config.yaml").read_text())["data"]

    own = data()
    assert own["format"] == data("--data.root", own["root"])["format"] == "flickr8k"
    assert "format" not in data("--data.root", other) and "format" not in data(f"--data.root={other}")
    assert data("--data.root", other)["batch_size"] == own["batch_size"]


@pytest.mark.parametrize("task", ["captioning", "speech", "translation"])
def test_a_root_may_be_one_path_or_several(task: str) -> None:
    data = {text: parse_settings(task, ["--data.root", text])[1] for text in ("a.csv", "[a, b.csv]")}
    roots = {text: (each.place if task == "translation" else each.source)["root"] for text, each in data.items()}
    assert roots == {"a.csv": "a.csv", "[a, b.csv]": ["a", "b.csv"]}
