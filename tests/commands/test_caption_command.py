"""`multimodal-attn caption` as people use it: a process, files, an exit status."""

import base64
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from multimodal_attn.trace import AttentionTrace
from tasks.cli import main
from tasks.commands.record import RECORD
from tests.conftest import ROOT


def run(*args: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tasks.cli", *map(str, args)]
    done = subprocess.run(command, env=env, cwd=cwd, text=True, capture_output=True, timeout=120)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with five good pictures, two of the same name, and four files that are none."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more").mkdir()
    rng = np.random.default_rng(3)
    for name in ("a.png", "b.jpg", "c.webp", "more/a.png", "more/d.gif"):
        Image.fromarray(rng.integers(0, 255, (43, 67, 3), dtype=np.uint8)).save(folder / name)
    good = (folder / "b.jpg").read_bytes()
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("these are words")
    (folder / "truncated.jpg").write_bytes(good[: len(good) // 2])
    (folder / "notes.txt").write_text("left alone")
    return folder


@pytest.fixture(scope="module")
def captioned(photos: Path, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    out = tmp_path_factory.mktemp("out")
    args = (
        "--checkpoint",
        tiny_checkpoint,
        "--out",
        out / "captions.jsonl",
        "--pictures",
        out / "figures",
        "--html",
        out / "figures",
        "--attention",
    )
    done = run("caption", photos, photos / "missing.jpg", *args, "--batch-size", 3)
    rows = [json.loads(line) for line in (out / "captions.jsonl").read_text().splitlines()]
    return {"done": done, "rows": rows, "figures": out / "figures"}


def test_every_picture_below_a_folder_gets_a_row_and_good_ones_a_caption(captioned: dict, photos: Path) -> None:
    names = [str(Path(row["path"]).relative_to(photos)) for row in captioned["rows"]]
    good = {"a.png", "b.jpg", "c.webp", "more/a.png", "more/d.gif"}
    assert set(names) == good | {"empty.jpg", "text.jpg", "truncated.jpg", "missing.jpg"} and len(names) == 9
    for name, row in zip(names, captioned["rows"], strict=True):
        assert ("text" in row and "score" in row) == (name in good)
        assert ("error" in row) == (name not in good)


def test_what_failed_is_said_at_the_end_with_status_2(captioned: dict) -> None:
    done = captioned["done"]
    assert done.returncode == 2
    assert "4 of 9" in done.stderr
    for name in ("empty.jpg", "text.jpg", "truncated.jpg", "missing.jpg"):
        assert name in done.stderr


def test_attention_rows_are_traces(captioned: dict) -> None:
    row = next(row for row in captioned["rows"] if "text" in row)
    trace = AttentionTrace.from_dict(row)
    assert trace.text == row["text"] and len(trace.tokens) == len(trace.weights) > 0


def test_figures_of_equal_names_do_not_overwrite_each_other(captioned: dict) -> None:
    figures = captioned["figures"]
    names = {path.relative_to(figures).as_posix() for path in figures.rglob("*") if path.is_file()}
    stems = {"a", "more/a", "b", "c", "more/d"}
    assert names == {f"{stem}.{ending}" for stem in stems for ending in ("png", "html")} | {RECORD}


def test_a_page_holds_the_trace_of_its_row_and_the_picture(captioned: dict, photos: Path) -> None:
    page = (captioned["figures"] / "more" / "a.html").read_text("utf-8")
    payload = json.loads(re.search(r'data-kind="picture">(.*?)</script>', page)[1])
    (row,) = (row for row in captioned["rows"] if row["path"] == str(photos / "more" / "a.png"))
    assert payload["trace"] == {key: value for key, value in row.items() if key != "path"}
    preview = Image.open(io.BytesIO(base64.b64decode(payload["media"]["file"]["url"].partition(",")[2])))
    assert preview.size == (payload["media"]["width"], payload["media"]["height"])
    assert payload["media"]["name"] == "a.png"


def test_standard_output_holds_only_json_lines(photos: Path, tiny_checkpoint: Path) -> None:
    done = run("caption", photos / "a.png", "--checkpoint", tiny_checkpoint, "--beam", 1)
    assert done.returncode == 0
    assert json.loads(done.stdout)["path"] == str(photos / "a.png")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["caption", "x.jpg", "--checkpoint", "nowhere"], ["nowhere"]),
        (["caption", "docs", "--checkpoint", "TINY"], ["no picture", "docs"]),
        (["caption", "x.jpg", "--checkpoint", "TINY", "--beam", "0"], ["beam"]),
        (["caption", "x.jpg", "--checkpoint", "TINY", "--out", "no/such/folder/x.jsonl"], ["no/such/folder"]),
        (["caption", "x.jpg", "--checkpoint", "TINY", "--device", "warp"], ["warp"]),
        (["transmogrify"], ["transmogrify"]),
        (["captioning"], ["fit", "test"]),
        (["captioning", "fit", "--config", "none.yaml"], ["none.yaml"]),
        (["captioning", "fit", "--ckpt_path", "none.ckpt"], ["none.ckpt"]),
        (["captioning", "fit", "--data.root", "x", "--model.decoder.atention", "y"], ["atention"]),
        (["captioning", "fit", "--data.root", "x", "--model.decoder.form", "sideways"], ["sideways", "between"]),
        (["captioning", "fit", "--data.root", "no-data"], ["no-data"]),
        (["captioning", "test", "--ckpt_path", "docs"], ["docs"]),
        (["captioning", "export", "--ckpt_path", "none.ckpt", "--out", "x"], ["none.ckpt"]),
    ],
)
def test_a_mistake_is_one_clear_line_and_status_2(
    args: list[str],
    words: list[str],
    tiny_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main([str(tiny_checkpoint) if arg == "TINY" else arg for arg in args]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("multimodal-attn: ")
    for word in words:
        assert word in line


def test_help_names_every_command() -> None:
    done = run("--help")
    assert done.returncode == 0
    for command in ("caption PATH", "captioning fit", "captioning export", "--ckpt_path last"):
        assert command in done.stdout
