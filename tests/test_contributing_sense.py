"""The guide to adding a sense, followed to the letter in a copy of the project: it is trained, drawn and shown."""

import difflib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.test_contributing import patch, run, section

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PACKAGES = ("multimodal_attn", "tasks")
TRAIN = ["--model.schedule.lr", "0.01", "--trainer.max_steps", "10", "--trainer.logger", "false"]
TRAIN += ["--trainer.default_root_dir", "run", "--trainer.enable_progress_bar", "false", "--trainer.accelerator", "cpu"]
USE = """
import json, multimodal_attn
from multimodal_attn.figures import render_figure
predictor = multimodal_attn.load("released")
trace = multimodal_attn.AttentionTrace.from_json(predictor("0.series").to_json())
figure = render_figure(trace, predictor.read("0.series"))
print(json.dumps([trace.geometry.kind, trace.weights.shape, figure.size, trace.health.monotonicity]))
assert predictor("0.series", needed=True).needed.shape == trace.weights.shape[::2]
print(json.dumps([str(found) for _, found in predictor.stream(["none.series", "words.series"])]))
"""


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with the sense of the guide, and series to train on in which "up" and "down" are planted."""
    copy, rng = tmp_path_factory.mktemp("project"), np.random.default_rng(6)
    for name in PACKAGES:  # links are enough for what stays as it is
        for path in (path for path in (ROOT / name).rglob("*") if path.is_file() and "__pycache__" not in path.parts):
            there = copy / path.relative_to(ROOT)
            there.parent.mkdir(parents=True, exist_ok=True)
            there.symlink_to(path)
    blocks = re.findall(r"^`(\S+?\.(?:py|js|html))`.*?```(\w+)\n(.*?)```", section("Adding a sense"), re.M | re.DOTALL)
    for name, kind, code in blocks:
        file = copy / name
        if kind == "diff":
            text = file.read_text(encoding="utf-8")
            file.unlink()
            file.write_text(text, encoding="utf-8")
            patch(file, code)
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.suffix == ".py":
                (file.parent / "__init__.py").touch()
            file.write_text(code, encoding="utf-8")
    rows = []
    for n in range(17):
        words = rng.choice(["up", "down"], rng.integers(2, 5)).tolist()
        numbers = np.concatenate([np.linspace(-1, 1, 5) * (1 if word == "up" else -1) for word in words])
        (copy / f"{n}.series").write_text("\n".join(f"{number:.3f}" for number in numbers))
        rows.append(f"{n}.series\t{' '.join(words)}\n")
    (copy / "train.tsv").write_text("".join(rows[:13]))
    (copy / "val.tsv").write_text("".join(rows[13:]))
    (copy / "words.series").write_text("up\ndown\n")
    return copy


def test_a_sense_costs_shared_code_one_line(followed: Path) -> None:
    changed = [
        path
        for name in PACKAGES
        for path in (followed / name).rglob("*")
        if path.is_file() and not path.is_symlink() and (ROOT / path.relative_to(followed)).exists()
    ]
    lines = []
    for path in changed:
        old, new = ((place / path.relative_to(followed)).read_text().splitlines() for place in (ROOT, followed))
        lines += [line for line in difflib.ndiff(old, new) if line[0] in "+-"]
    assert [line[0] for line in lines] == ["+"]


@pytest.fixture(scope="module")
def trained(followed: Path) -> Path:
    """The same, with a checkpoint folder `released` of ten steps."""
    done = run(followed, "-m", "tasks.cli", "trends", "fit", "--data.root", ".", *TRAIN)
    assert done.returncode == 0, done.stderr[-3000:]
    export = ["export", "--ckpt_path", "run/checkpoints/last.ckpt", "--out", "released"]
    exported = run(followed, "-m", "tasks.cli", "trends", *export)
    assert exported.returncode == 0, exported.stderr[-3000:]
    return followed


def test_a_sense_is_trained_for_ten_steps_exported_opened_and_drawn(trained: Path) -> None:
    used = run(trained, "-c", USE)
    assert used.returncode == 0, used.stderr[-3000:]
    (kind, (n_tokens, n_heads, n_places), size, monotonicity), mistakes = map(json.loads, used.stdout.splitlines())
    assert (kind, n_heads) == ("series", 1) and n_places == len((trained / "0.series").read_text().split()) // 5
    assert size[0] >= 60 * n_tokens and (monotonicity is None) == (n_tokens < 2)
    assert "no such file" in mistakes[0] and "not a series" in mistakes[1]


@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium on the PATH")
def test_a_sense_is_shown_in_the_page_and_in_a_saved_one(trained: Path) -> None:
    looked = run(trained, str(ROOT / "tests" / "shown_sense.py"), CHROMIUM)
    assert looked.returncode == 0, looked.stderr[-3000:]
    seen = json.loads(looked.stdout.splitlines()[-1])
    assert seen["wrong"] == [] and seen["tokens"]
    for shown in (seen["page"], seen["saved"]):
        assert shown["words"] == seen["tokens"] and shown["brightest"] == seen["strongest"]
        assert "sure" in shown["detail"] and "stretches" in shown["detail"] and shown["others_are_hidden"]
