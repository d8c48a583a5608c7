"""The readers of people's own data: every format written out in small."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.captioning.datasets import load_examples
from tests.caption_files import (
    CSV,
    FORMATS,
    brief,
    refusal,
    write_captions_txt,
    write_coco,
    write_csv,
    write_json_lines,
    write_karpathy,
    write_pictures,
    write_tsv,
)
from tests.conftest import FLICKR8K, needs_shared


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


# the real thing


@needs_shared
@pytest.mark.parametrize(("split", "n_pictures"), [("train", 6000), ("val", 1000), ("test", 1000)])
def test_flickr8k_has_its_published_size(split: str, n_pictures: int) -> None:
    examples = load_examples(FLICKR8K, split)
    assert len(examples) == n_pictures
    assert {len(example.captions) for example in examples} == {5}
