"""The readers of people's own data: every format written out in small, and every mistake answered with one line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from multimodal_attn.errors import ConfigError, DataError
from tasks.captioning.datasets import Example, load_examples
from tests.conftest import FLICKR8K, needs_shared

CSV = "path,caption,split\na.jpg,A dog .,train\na.jpg,A wet dog .,train\nb.jpg,Two cats .,val\nc.jpg,A car .,test\n"


def write_pictures(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (3, 5)).save(folder / name)


def write_flickr8k(root: Path) -> None:
    write_pictures(root / "Images", "a.jpg", "b.jpg", "c.jpg", "spare.jpg")
    captions = ["a.jpg#0\tA dog .", "a.jpg#1\tA wet dog .", "b.jpg#0\tTwo cats .", "c.jpg#0\tA car ."]
    captions += ["spare.jpg#0\tIn no list .", "d.jpg.1#0\tA name that no picture has ."]
    (root / "Flickr8k.token.txt").write_text("\n".join(captions) + "\n")
    for name, picture in (("train", "a"), ("dev", "b"), ("test", "c")):
        (root / f"Flickr_8k.{name}Images.txt").write_text(f"{picture}.jpg\n")


def write_captions_txt(root: Path) -> None:
    write_flickr8k(root)
    (root / "Flickr8k.token.txt").unlink()
    rows = [
        "image,caption",
        "a.jpg,A dog .",
        "a.jpg,A wet dog .",
        "b.jpg,Two cats .",
        "c.jpg,A car .",
        "spare.jpg,No .",
    ]
    (root / "captions.txt").write_text("\n".join(rows) + "\n")


def write_karpathy(root: Path) -> None:
    write_pictures(root / "images", "val/a.jpg", "b.jpg", "c.jpg")
    images = [
        {"filepath": "val", "filename": "a.jpg", "split": "restval", "sentences": ["A dog .", "A wet dog ."]},
        {"filename": "b.jpg", "split": "val", "sentences": ["Two cats ."]},
        {"filename": "c.jpg", "split": "test", "sentences": ["A car ."]},
    ]
    images = [picture | {"sentences": [{"raw": text} for text in picture["sentences"]]} for picture in images]
    (root / "dataset_mine.json").write_text(json.dumps({"images": images, "dataset": "mine"}))


def write_coco(root: Path) -> None:
    texts = {"train": ("a", ["A dog .", "A wet dog ."]), "val": ("b", ["Two cats ."]), "test": ("c", ["A car ."])}
    (root / "annotations").mkdir()
    for split, (name, captions) in texts.items():
        write_pictures(root / f"{split}2017", f"{name}.jpg", "unseen.jpg")
        images = [{"id": 7, "file_name": f"{name}.jpg"}, {"id": 11, "file_name": "unseen.jpg"}]
        annotations = [{"id": i, "image_id": 7, "caption": text} for i, text in enumerate(captions)]
        data = {"images": images, "annotations": annotations}
        (root / "annotations" / f"captions_{split}2017.json").write_text(json.dumps(data))


def write_csv(root: Path) -> None:
    write_pictures(root, "a.jpg", "b.jpg", "c.jpg")
    (root / "mine.csv").write_text(CSV)


def write_tsv(root: Path) -> None:
    write_pictures(root, "a.jpg", "b.jpg", "c.jpg")
    (root / "mine.tsv").write_text(CSV.replace(",", "\t"))


def write_json_lines(root: Path) -> None:
    write_pictures(root, "a.jpg", "b.jpg", "c.jpg")
    header, *rows = [line.split(",") for line in CSV.splitlines()]
    (root / "mine.jsonl").write_text("".join(json.dumps(dict(zip(header, row, strict=True))) + "\n" for row in rows))


FORMATS = {
    "flickr8k": write_flickr8k,
    "captions_txt": write_captions_txt,
    "karpathy": write_karpathy,
    "coco": write_coco,
    "table": write_csv,
}


def brief(examples: list[Example]) -> dict[str, tuple[str, ...]]:
    return {example.path.name: example.captions for example in examples}


def refusal(root: Path, split: str = "train", error: type[Exception] = DataError, **options: str) -> str:
    """The message with which the data is refused, which has to be a single line."""
    with pytest.raises(error) as caught:
        load_examples(root, split, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("format", ["auto", "named"])
@pytest.mark.parametrize(
    ("name", "write"), [*FORMATS.items(), ("table", write_tsv), ("table", write_json_lines)], ids=lambda x: str(x)[:20]
)
def test_every_format_gives_the_same_examples(
    tmp_path: Path, name: str, write: Callable[[Path], None], format: str
) -> None:
    write(tmp_path)
    options = {} if format == "auto" else {"format": name}
    assert brief(load_examples(tmp_path, "train", **options)) == {"a.jpg": ("A dog .", "A wet dog .")}
    assert brief(load_examples(tmp_path, "val", **options)) == {"b.jpg": ("Two cats .",)}
    assert brief(load_examples(tmp_path, "test", **options)) == {"c.jpg": ("A car .",)}
    assert load_examples(tmp_path, "train", **options)[0].path.is_file()


def test_an_example_says_in_which_line_it_began(tmp_path: Path) -> None:
    write_csv(tmp_path)
    assert load_examples(tmp_path, "val")[0].row == f"{tmp_path / 'mine.csv'}:4"
    write_karpathy(tmp_path)
    assert load_examples(tmp_path, "test", "karpathy")[0].row == f"{tmp_path / 'dataset_mine.json'}:images[2]"


# where things are


def test_the_root_may_be_the_file_of_captions_itself(tmp_path: Path) -> None:
    write_csv(tmp_path)
    (tmp_path / "other.csv").write_text(CSV)
    assert "both mine.csv and other.csv" in refusal(tmp_path)
    assert brief(load_examples(tmp_path / "other.csv", "val")) == {"b.jpg": ("Two cats .",)}


def test_captions_and_images_may_be_anywhere(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos" / "of-val", "b.jpg")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "val.csv").write_text("path,caption\nb.jpg,Two cats .\n")
    (tmp_path / "texts" / "train.csv").write_text("path,caption\nb.jpg,Two dogs .\n")
    options = {"captions": "texts/{split}.csv", "images": "photos/of-{split}"}
    assert brief(load_examples(tmp_path, "val", **options)) == {"b.jpg": ("Two cats .",)}
    assert "photos/of-train/b.jpg" in refusal(tmp_path, **options)


def test_the_paths_of_a_table_begin_at_its_folder(tmp_path: Path) -> None:
    write_csv(tmp_path / "mine")
    assert load_examples(tmp_path, "val", captions="mine/mine.csv")[0].path == tmp_path / "mine" / "b.jpg"


def test_coco_pictures_may_lie_in_an_images_folder(tmp_path: Path) -> None:
    write_coco(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "val2017").rename(tmp_path / "images" / "val2017")
    assert load_examples(tmp_path, "val")[0].path == tmp_path / "images" / "val2017" / "b.jpg"


@pytest.mark.parametrize("name", ["dev", "valid", "validation"])
def test_other_names_of_the_validation_split_are_understood(tmp_path: Path, name: str) -> None:
    write_csv(tmp_path)
    (tmp_path / "mine.csv").write_text(CSV.replace(",val", f",{name}"))
    assert brief(load_examples(tmp_path, "val")) == {"b.jpg": ("Two cats .",)}


def test_a_file_of_any_name_is_read_when_its_format_is_named(tmp_path: Path) -> None:
    write_karpathy(tmp_path)
    (tmp_path / "dataset_mine.json").rename(tmp_path / "mine.json")
    assert "set `format`" in refusal(tmp_path, captions="mine.json")
    assert brief(load_examples(tmp_path, "val", "karpathy", captions="mine.json")) == {"b.jpg": ("Two cats .",)}


def test_captions_txt_without_lists_is_split_the_same_way_every_time(tmp_path: Path) -> None:
    names = [f"{i}.jpg" for i in range(211)]
    write_pictures(tmp_path / "Images", *names)
    (tmp_path / "captions.txt").write_text(
        "image,caption\n" + "".join(f"{name},One .\n{name},Two .\n" for name in names)
    )
    splits = [[example.path.name for example in load_examples(tmp_path, split)] for split in ("train", "val", "test")]
    assert sorted(sum(splits, [])) == sorted(names)
    assert [len(part) for part in splits] == pytest.approx([169, 21, 21], abs=12)
    more = "".join(f"new{i}.jpg,Three .\n" for i in range(5))
    (tmp_path / "captions.txt").write_text("image,caption\n" + more + "".join(f"{name},One .\n" for name in names))
    write_pictures(tmp_path / "Images", *(f"new{i}.jpg" for i in range(5)))
    assert set(splits[1]) <= set(brief(load_examples(tmp_path, "val")))  # new pictures move no old one


def test_commas_and_quotes_belong_to_the_caption(tmp_path: Path) -> None:
    write_captions_txt(tmp_path)
    rows = [
        "a.jpg,A dog , wet .",
        'a.jpg,"A dog , dry ."',
        'a.jpg,A " Stop " sign',
        'a.jpg," Stop',
        "b.jpg,B",
        "c.jpg,C",
    ]
    (tmp_path / "captions.txt").write_text("image,caption\n" + "\n".join(rows))
    captions = load_examples(tmp_path, "train")[0].captions
    assert captions == ("A dog , wet .", "A dog , dry .", 'A " Stop " sign', "Stop")


def test_windows_files_and_captions_over_two_lines_are_read(tmp_path: Path) -> None:
    write_csv(tmp_path)
    text = CSV.replace("A wet dog .", '"A wet\ndog ."').replace("\n", "\r\n")
    (tmp_path / "mine.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert brief(load_examples(tmp_path, "train")) == {"a.jpg": ("A dog .", "A wet dog .")}


# mistakes


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
        ("path,text\na.jpg,A dog\n", ":1", "unknown column 'text'"),
        ("path,split\na.jpg,train\n", ":1", "no column 'caption'"),
        ("", ":1", "no column 'path'"),
        ("path,caption\na.jpg,A dog, wet\n", ":2", "quote a caption"),
        ("path,caption\nb.jpg,A cat\na.jpg\n", ":3", "caption of a.jpg is empty"),
        ("path,caption\n,A dog\n", ":2", "name is empty"),
        ("path,caption,split\na.jpg,A dog,training\n", ":2", "unknown split 'training'"),
        ("path,caption,split\na.jpg,A dog,\n", ":2", "unknown split ''"),
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
        ('{"path": "a.jpg", "caption": ["A dog"]}', "not a row"),
        ('{"path": "a.jpg", "caption": "A dog", "title": "Dog"}', "unknown column 'title'"),
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
    (tmp_path / "Flickr8k.token.txt").write_text("a.jpg#0\tA dog .\na.jpg A wet dog .\n")
    assert "Flickr8k.token.txt:2: not a caption" in refusal(tmp_path)
    (tmp_path / "Flickr8k.token.txt").write_bytes("a.jpg#0\tUn caf\u00e9 .\n".encode("latin-1"))
    assert "not UTF-8" in refusal(tmp_path)


def test_what_does_not_exist_is_refused(tmp_path: Path) -> None:
    assert "no such folder" in refusal(tmp_path / "nowhere")
    assert "looked for Flickr8k.token.txt" in refusal(tmp_path)
    assert "mine.csv: cannot be read" in refusal(tmp_path, captions="mine.csv")
    assert "choose one of auto, flickr8k" in refusal(tmp_path, error=ConfigError, format="flickr9k")
    assert "choose one of train, val, test" in refusal(tmp_path, "dev", error=ConfigError)


# the real thing


@needs_shared
@pytest.mark.parametrize(("split", "n_pictures"), [("train", 6000), ("val", 1000), ("test", 1000)])
def test_flickr8k_has_its_published_size(split: str, n_pictures: int) -> None:
    examples = load_examples(FLICKR8K, split)
    assert len(examples) == n_pictures
    assert {len(example.captions) for example in examples} == {5}
