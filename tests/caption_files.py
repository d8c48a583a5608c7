"""The captions of three pictures in every format that the reader knows."""

import json
from pathlib import Path

import pytest
from PIL import Image

from multimodal_attn.errors import DataError
from tasks.captioning.datasets import Example, load_examples

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
