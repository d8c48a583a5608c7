"""People's own translations in every form, and one line that says where for every mistake in them."""

import logging
from pathlib import Path

import pytest

from multimodal_attn.errors import DataError, UserError
from tasks.translation.datasets import load_pairs
from tasks.translation.simplify import main, simplify


def put(folder: Path, **files: str) -> Path:
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content, encoding="utf-8")
    return folder


def pairs(root: Path, split: str = "train", **options: str) -> list[tuple[str, str]]:
    return [(pair.source, pair.target) for pair in load_pairs(root, split, "en", "de", **options)]


def test_parallel_files_are_read_line_by_line(tmp_path: Path) -> None:
    put(tmp_path, train__en="A  dog.\nTwo.\n", train__de="Ein Hund.\r\nZwei.\n", dev__en="Three.", dev__de="Drei.")
    put(tmp_path, test_2016__en="Four.\n", test_2016__de="Vier.\n", readme__en="no split")
    assert pairs(tmp_path) == [("A dog.", "Ein Hund."), ("Two.", "Zwei.")]
    assert pairs(tmp_path, "val") == [("Three.", "Drei.")]
    assert pairs(tmp_path, "test") == [("Four.", "Vier.")]
    assert load_pairs(tmp_path, "train", "de", "en")[1].row == f"{tmp_path / 'train.de'}:2"


def test_a_file_of_another_name_is_shared_out_by_its_sentences(tmp_path: Path) -> None:
    lines = [f"Sentence {n}." for n in range(97)]
    put(tmp_path, corpus__en="\n".join(lines), corpus__de="\n".join(lines))
    found = {split: pairs(tmp_path / "corpus.en", split) for split in ("train", "val", "test")}
    assert sorted(sum(found.values(), [])) == sorted((line, line) for line in lines)
    assert len(found["train"]) > 60 and found["val"] and found["test"]


@pytest.mark.parametrize(
    "name, content",
    [
        ("pairs__csv", 'split,en,id,de\ntrain,"A dog, two",7,Ein Hund\nval,x,8,y\n'),
        ("pairs__tsv", 'de\ten\tsplit\nEin Hund\tA dog, two\ttrain\ny\t"x\tval\n'),
        ("pairs__jsonl", '{"source": "A dog, two", "target": "Ein Hund", "split": "train"}\n'),
        ("train__csv", 'source,target\n"A dog, two",Ein Hund\n'),
    ],
)
def test_tables_have_a_column_for_each_language(tmp_path: Path, name: str, content: str) -> None:
    assert pairs(put(tmp_path, **{name: content})) == [("A dog, two", "Ein Hund")]


def test_tatoeba_and_anki_write_tabs(tmp_path: Path) -> None:
    (tmp_path / "Sentence pairs in English-German.tsv").write_text("12\tHi.\t34\tHallo.\n")
    put(tmp_path, deu__txt='Hi.\tHallo.\tCC-BY 2.0 (France) Attribution: #1\nSay "no.\tSag "nein.\n')
    everything = [pair for split in ("train", "val", "test") for pair in maybe(tmp_path / "deu.txt", split)]
    assert sorted(everything) == [("Hi.", "Hallo."), ('Say "no.', 'Sag "nein.')]
    tatoeba = tmp_path / "Sentence pairs in English-German.tsv"
    assert [pair for split in ("train", "val", "test") for pair in maybe(tatoeba, split)] == [("Hi.", "Hallo.")]


def maybe(root: Path, split: str) -> list[tuple[str, str]]:
    try:
        return pairs(root, split)
    except DataError as error:
        assert f"no pair of the split {split}" in str(error)
        return []


@pytest.mark.parametrize(
    "files, reason",
    [
        ({"train__en": "a\nb\nc\n", "train__de": "a\nb\n"}, "train.de:3: 2 lines, but train.en has 3"),
        ({"train__en": "a\n", "train__de": "a\nb\n"}, "train.de:2: 2 lines, but train.en has 1"),
        ({"train__en": "a\nb\n", "train__de": "a\n \n"}, "train.de:2: the translation is empty"),
        ({"train__en": "a\n\n", "train__de": "a\nb\n"}, "train.en:2: the sentence is empty"),
        ({"train__en": "a\n"}, "train.de: cannot be read"),
        (
            {"train__en": "a", "train__de": "b", "train_b__en": "a"},
            "both train.en and train_b.en are of the split train",
        ),
        ({"p__csv": "split,en,de\ntrain,a,\n"}, "p.csv:2: the translation is empty"),
        ({"p__csv": "split,en,fr\ntrain,a,b\n"}, "p.csv:1: no column 'de'"),
        ({"p__csv": "split,en,de\ntrian,a,b\n"}, "p.csv:2: unknown split 'trian'"),
        ({"p__csv": "split,en,de\ntrain,a,b,c\n"}, "p.csv:2: more fields than the header has"),
        ({"p__jsonl": '{"en": "a"}\n'}, "p.jsonl:1: no column 'de'"),
        ({"p__jsonl": '{"en": "a", "de": 3}\n'}, "p.jsonl:1: not a row"),
        ({"deu__txt": "one field\n"}, "deu.txt:1: 1 fields; write the sentence, a tab and the translation"),
        ({"readme__md": "nothing"}, "no texts of the split train"),
    ],
)
def test_every_mistake_is_one_line_that_says_where(tmp_path: Path, files: dict[str, str], reason: str) -> None:
    with pytest.raises(DataError) as caught:
        pairs(put(tmp_path, **files))
    assert reason in str(caught.value) and str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_all_mistakes_are_told_at_once_and_may_be_left_out(tmp_path: Path) -> None:
    put(tmp_path, p__csv="split,en,de\ntrain,a,\ntrain,b,c\nnever,d,e\ntrain,f,g\n")
    with pytest.raises(DataError, match="2 items cannot be used") as caught:
        pairs(tmp_path)
    assert "p.csv:2: the translation is empty" in str(caught.value)
    assert "p.csv:4: unknown split 'never'" in str(caught.value)
    assert [pair.source for pair in load_pairs(tmp_path, "train", "en", "de", skip_bad=True)] == ["b", "f"]
    more = put(tmp_path / "..", train__en="x\n", train__de="y\n") / "train.en"
    both = load_pairs([tmp_path, more], "train", "en", "de", skip_bad=True)
    assert [pair.source for pair in both] == ["b", "f", "x"]


def test_sentences_that_training_has_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path, train__en="a\nb\n", train__de="x\ny\n", test__en="c\nb\n", test__de="z\ny\n")
    with caplog.at_level(logging.WARNING):
        assert len(pairs(tmp_path, "test")) == 2
    assert "test.en:2: 1 sentences of the split test are in train too" in caplog.text


def test_one_column_is_simplified_and_the_others_stay(tmp_path: Path) -> None:
    opencc = pytest.importorskip("opencc", reason="needs the extra `chinese`")
    put(tmp_path, pairs__tsv="en\tzh\tid\nHorse: 馬\t馬在這裡。\t7\n")
    assert simplify(tmp_path / "pairs.tsv", "zh", opencc.OpenCC("t2s")) == "en\tzh\tid\nHorse: 馬\t马在这里。\t7\n"
    with pytest.raises(DataError, match="pairs.tsv:1: no column 'fr'"):
        simplify(tmp_path / "pairs.tsv", "fr", opencc.OpenCC("t2s"))
    out = tmp_path / "new" / "out.tsv"
    assert main([str(tmp_path / "pairs.tsv"), "--out", str(out)]) == 0 and "马在这里。" in out.read_text()
    with pytest.raises(UserError, match="is there already"):
        main([str(tmp_path / "pairs.tsv"), "--out", str(out)])
    with pytest.raises(UserError, match="cannot be written"):
        main([str(tmp_path / "pairs.tsv"), "--out", str(out / "below.tsv")])
