"""Inputs as people have them: folders, links, patterns, lists and archives, each file once."""

import io
import json
import os
import sys
import tarfile
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import pytest
from PIL import Image

from multimodal_attn.errors import UserError
from multimodal_attn.files import Member
from tasks.cli import main
from tasks.commands import batch
from tasks.commands.inputs import LIST, inputs_of, read_list
from tests.fake_captioner import FakeBatchCaptioner

EXTENSIONS = {".jpg"}


def found(*paths: Path | str) -> dict[str, str]:
    """The names of documents by the paths of inputs, in order."""
    return {str(each.path): each.name for each in inputs_of([Path(path) for path in paths], EXTENSIONS, print)}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    names = "p/b/int.jpg p/a/int.jpg p/a/deep/z.jpg p/y.JPG p/notes.txt p/.hidden.jpg nas/t.jpg"
    for name in names.split():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def shard(path: Path, contents: Iterable[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in contents:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def jpeg(width: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, 43), (200, 90, 30)).save(file, "jpeg")
    return file.getvalue()


def test_folders_are_mirrored_and_files_keep_their_names(tree: Path) -> None:
    assert found("p") == {
        "p/y.JPG": "y",
        "p/a/int.jpg": "a/int",
        "p/a/deep/z.jpg": "a/deep/z",
        "p/b/int.jpg": "b/int",
    }
    assert found("p/a", "nas/t.jpg", "none.jpg") == {
        "p/a/int.jpg": "int",
        "p/a/deep/z.jpg": "deep/z",
        "nas/t.jpg": "t",
        "none.jpg": "none",
    }


def test_every_file_comes_once_and_linked_folders_are_read_once(tree: Path) -> None:
    (tree / "p" / "2020").symlink_to("../nas")
    (tree / "p" / "again").symlink_to("../nas")
    (tree / "p" / "loop").symlink_to(".")
    (tree / "p" / "b" / "up").symlink_to("..")
    assert list(found("p", "p/y.JPG", "p/a")) == [
        "p/y.JPG",
        "p/2020/t.jpg",
        "p/a/int.jpg",
        "p/a/deep/z.jpg",
        "p/b/int.jpg",
    ]


def test_a_pattern_that_the_shell_left_alone_is_followed(tree: Path) -> None:
    assert list(found("p/*/int.jpg")) == ["p/a/int.jpg", "p/b/int.jpg"]
    assert list(found("p/**/z.jpg")) == ["p/a/deep/z.jpg"]
    odd = tree / "p" / "holiday [1].jpg"
    odd.touch()
    assert list(found(odd)) == [str(odd)]  # a name, though it looks like a pattern
    with pytest.raises(UserError, match="nothing matches p/\\*.png; check the pattern"):
        found("p/*.png")


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_name_is_found_however_its_accents_are_written(form: str, tmp_path: Path) -> None:
    there = tmp_path / unicodedata.normalize(form, "été.jpg")
    there.touch()
    for other in ("NFC", "NFD"):
        assert list(found(tmp_path / unicodedata.normalize(other, "été.jpg"))) == [str(there)]


@pytest.mark.parametrize("end", [b"\n", b"\0"])
def test_a_list_is_read_as_it_comes(end: bytes, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [b"p/y.JPG", b"p/a/int.jpg", b"nas", b"caf\xe9.jpg"]
    monkeypatch.setattr("tasks.commands.inputs.CHUNK", 5)
    for tail in b"", end:
        listed = io.BytesIO(end.join([*names[:2], b"", *names[2:]]) + tail)
        if end == b"\0":  # the first bytes tell which it is
            listed = io.BytesIO(b"x\0" + listed.getvalue())
        assert [os.fsencode(path) for path in read_list(listed) if str(path) != "x"] == names
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"p/a/int.jpg\np/b/int.jpg\n../x/../i.jpg\n")))
    assert list(found(LIST).values()) == ["p/a/int", "p/b/int", "x/i"]  # of meetings that are all called alike


def test_the_members_of_an_archive_are_inputs(tree: Path) -> None:
    members = [("000/a.jpg", jpeg(67)), ("000/a.txt", b"a"), ("../../b.jpg", jpeg(71)), (".c.jpg", b""), ("d.jpg", b"")]
    path, left_out = shard(tree / "s-1.tar", members), []
    inputs = [(each.path, each.name, each.source) for each in inputs_of([path], EXTENSIONS, left_out.append)]
    assert [(str(each.relative_to(tree)), name) for each, name, _ in inputs] == [
        ("s-1.tar/000/a.jpg", "s-1/000/a"),
        ("s-1.tar/b.jpg", "s-1/b"),
        ("s-1.tar/d.jpg", "s-1/d"),
    ]
    assert [type(source) for *_, source in inputs] == [Member] * 3 and inputs[0][2] == members[0][1]
    assert left_out == [path / "000" / "a.txt"]


def test_an_archive_becomes_rows_and_documents_and_a_damaged_one_gives_what_comes_before(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    captioner = FakeBatchCaptioner()
    monkeypatch.setattr(batch, "load", lambda *_: captioner)
    monkeypatch.setattr("tasks.commands.inputs.MAX_MEMBER", 2_000)
    members = [("a.jpg", jpeg(67)), ("b.jpg", b"words"), ("c.jpg", bytes(2_001)), ("d.jpg", jpeg(71))]
    path = shard(tree / "s.tar", members)
    assert main(["caption", str(path), "--out", "rows.jsonl", "--pictures", "figures"]) == 2
    rows = {Path(row["path"]).name: row for row in map(json.loads, (tree / "rows.jsonl").read_text().splitlines())}
    assert [name for name, row in rows.items() if "error" not in row] == ["a.jpg", "d.jpg"]
    assert rows["c.jpg"]["error"] == f"{path}/c.jpg: larger than 0 MB; take it out of its archive"
    assert {each.name for each in (tree / "figures" / "s").iterdir()} == {"a.png", "d.png"}
    captioner.seen.clear()
    assert main(["caption", str(path), "--out", "rows.jsonl", "--pictures", "figures"]) == 2 and not captioner.seen
    cut = tree / "cut.tar"
    whole = path.read_bytes()
    cut.write_bytes(whole[: whole.index(b"d.jpg") + 700])
    capsys.readouterr()
    assert main(["caption", str(cut)]) == 2
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(row["path"]).name for row in said][:3] == ["a.jpg", "b.jpg", "c.jpg"]
    assert "cut" in said[-1]["error"] or "damaged" in said[-1]["error"]


def test_what_is_left_out_is_told_by_kind_on_the_last_line(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(batch, "load", lambda *_: FakeBatchCaptioner())
    for name in ("a.mov", "b.MOV", "c.pdf", "d"):
        (tree / "p" / "a" / name).touch()
    main(["caption", "p"])
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == "files of other kinds left out: 4 (.mov 2, .pdf 1, no ending 1)"
    (tree / "q").mkdir()
    (tree / "q" / "a.pdf").touch()
    assert main(["caption", "q"]) == 2
    assert "no picture in q (files of other kinds left out: 1 (.pdf 1)); give" in capsys.readouterr().err
