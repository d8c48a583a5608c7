"""Every mistake in people's own captions is answered with one line that says where it is."""

import json
from pathlib import Path

import pytest

from multimodal_attn.errors import ConfigError
from tasks.captioning.datasets import load_examples
from tests.caption_files import (
    FORMATS,
    refusal,
    write_captions_txt,
    write_flickr8k,
    write_json_lines,
    write_pictures,
)


@pytest.mark.parametrize("name", FORMATS)
def test_a_missing_picture_is_named_with_its_row(tmp_path: Path, name: str) -> None:
    FORMATS[name](tmp_path)
    picture = load_examples(tmp_path, "val")[0]
    picture.path.unlink()
    message = refusal(tmp_path, "val")
    assert message.startswith(f"{picture.row}: ") and str(picture.path) in message
    assert load_examples(tmp_path, "test")  # the others are still there


@pytest.mark.parametrize("name", FORMATS)
def test_an_empty_caption_is_named_with_its_row(tmp_path: Path, name: str) -> None:
    FORMATS[name](tmp_path)
    row = load_examples(tmp_path, "val")[0].row
    for path in (path for path in tmp_path.rglob("*") if path.suffix in (".txt", ".json", ".csv")):
        path.write_text(path.read_text().replace("Two cats .", "  "))
    message = refusal(tmp_path, "val")
    assert message.startswith(f"{row}: ") and "b.jpg is empty" in message


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("path,title\na.jpg,A dog\n", ":1", "no column 'caption' (also called text, "),
        ("path,split\na.jpg,train\n", ":1", "no column 'caption'"),
        ("", ":1", "no column 'path'"),
        ("path,caption\na.jpg,A dog, wet\n", ":2", "quote a caption"),
        ("path,caption\nb.jpg,A cat\na.jpg\n", ":3", "caption of a.jpg is empty"),
        ("path,caption\n,A dog\n", ":2", "name is empty"),
        ("path,caption,split\na.jpg,A dog,trian\n", ":2", "unknown split 'trian'"),
        ("path,caption,split\na.jpg,A dog,train\na.jpg,A dog,test\n", ":3", "is in train and in test"),
        ("path,caption,split\na.jpg,A dog,test\n", "", "no example of the split train"),
        ("path,caption\n", "", "no example"),
        ('path,caption\na.jpg,A dog\nb.jpg,"A cat\na.jpg,A dog\n', ":3", "check the quotes"),
        ('"path,caption\na.jpg,A dog\n', ":1", "check the quotes"),
    ],
)
def test_a_wrong_table_is_answered_with_file_and_line(tmp_path: Path, text: str, place: str, words: str) -> None:
    write_pictures(tmp_path, "a.jpg", "b.jpg")
    path = tmp_path / "train.csv"
    path.write_text(text)
    message = refusal(tmp_path, captions="{split}.csv")
    assert message.startswith(f"{path}{place}: ") and words in message


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"path": "a.jpg", "caption": "A dog"', "not JSON"),
        ('["a.jpg", "A dog"]', "not a row"),
        ('{"path": "a.jpg", "caption": ["A dog", 5]}', "not a row"),
        ('{"path": "a.jpg", "caption": {"en": "A dog"}}', "not a row"),
        ('{"path": "a.jpg"}', "no column 'caption'"),
    ],
)
def test_a_wrong_json_line_is_answered_with_file_and_line(tmp_path: Path, line: str, words: str) -> None:
    write_json_lines(tmp_path)
    path = tmp_path / "mine.jsonl"
    path.write_text(path.read_text() + "\n" + line + "\n")  # a blank line counts as one, too
    message = refusal(tmp_path)
    assert message.startswith(f"{path}:6: ") and words in message


def change_first(data: dict, items: str, **changes: object) -> dict:
    """The data with other fields in the first of its items; None takes a field away."""
    first = {key: value for key, value in (data[items][0] | changes).items() if value is not None}
    return data | {items: [first, *data[items][1:]]}


@pytest.mark.parametrize(
    ("format", "items", "changes", "words"),
    [
        ("karpathy", "images", {"filename": None}, "'filename' is missing"),
        ("karpathy", "images", {"split": None}, "'split' is missing"),
        ("karpathy", "images", {"split": "dev2"}, "unknown split 'dev2'"),
        ("karpathy", "images", {"sentences": []}, "a.jpg has no caption"),
        ("karpathy", "images", {"sentences": ["A dog ."]}, "'raw' is missing"),
        ("coco", "images", {"file_name": None}, "'file_name' is missing"),
        ("coco", "images", {"id": None}, "'id' is missing"),
        ("coco", "annotations", {"image_id": 13}, "image_id 13 is not in `images`"),
        ("coco", "annotations", {"caption": 5}, "'caption' is missing or is not text"),
    ],
)
def test_a_wrong_json_item_is_answered_with_file_and_item(
    tmp_path: Path, format: str, items: str, changes: dict, words: str
) -> None:
    FORMATS[format](tmp_path)
    path = tmp_path / {"karpathy": "dataset_mine.json", "coco": "annotations/captions_train2017.json"}[format]
    path.write_text(json.dumps(change_first(json.loads(path.read_text()), items, **changes)))
    message = refusal(tmp_path)
    assert message.startswith(f"{path}:{items}[0]: ") and words in message


def test_a_json_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "dataset_mine.json"
    for text, words in (
        ("[]", "'images' is missing"),
        ('{"images": [4]}', "'filename'"),
        ('{"images": [\n{', ":2: not"),
    ):
        path.write_text(text)
        assert words in refusal(tmp_path)


def test_flickr8k_with_a_picture_in_two_lists_or_without_captions_is_refused(tmp_path: Path) -> None:
    write_flickr8k(tmp_path)
    lists = {name: tmp_path / f"Flickr_8k.{name}Images.txt" for name in ("train", "dev", "test")}
    lists["dev"].write_text("b.jpg\n\na.jpg\n")
    assert refusal(tmp_path).startswith(f"{lists['dev']}:3: a.jpg is already in the train list")
    lists["dev"].write_text("b.jpg\nnew.jpg\n")
    assert "no caption of new.jpg" in refusal(tmp_path)
    lists["dev"].unlink()
    assert refusal(tmp_path).startswith(f"{lists['dev']}: cannot be read")


def test_lines_that_are_no_captions_are_refused(tmp_path: Path) -> None:
    write_captions_txt(tmp_path)
    (tmp_path / "captions.txt").write_text("a.jpg,A dog .\n")
    assert "captions.txt:1: the header is" in refusal(tmp_path)
    captions = "a.jpg#0\tA dog .\na.jpg A wet dog .\nb.jpg#0\tA cat .\nc.jpg#0\tA car .\n"
    (tmp_path / "Flickr8k.token.txt").write_text(captions)
    assert "Flickr8k.token.txt:2: not a caption" in refusal(tmp_path)
    (tmp_path / "Flickr8k.token.txt").write_bytes("a.jpg#0\tUn caf\u00e9 .\n".encode("latin-1"))
    assert "not UTF-8" in refusal(tmp_path)


def test_what_does_not_exist_is_refused(tmp_path: Path) -> None:
    assert "no such folder" in refusal(tmp_path / "nowhere")
    assert "looked for Flickr8k.token.txt" in refusal(tmp_path)
    assert "mine.csv: cannot be read" in refusal(tmp_path, captions="mine.csv")
    assert "choose one of auto, flickr8k" in refusal(tmp_path, error=ConfigError, format="flickr9k")
    assert "choose one of train, val, test" in refusal(tmp_path, "dev", error=ConfigError)
