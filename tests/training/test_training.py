"""The training command line against the real thing: processes that are started, killed and resumed."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from jsonargparse import Namespace
from PIL import Image

from multimodal_attn.errors import CheckpointError
from tasks.training.resume import find_checkpoint
from tasks.training.run import KeepConfig, released_config
from tests.conftest import ROOT

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255), "black": (0, 0, 0)}


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of 13 plain pictures in a table: enough to train on, small enough to do it many times."""
    folder = tmp_path_factory.mktemp("colours")
    rows = []
    for n in range(13 + 2 * 5):
        name, colour = list(COLOURS.items())[n % 5]
        Image.new("RGB", (67, 41 + n), colour).save(folder / f"{n}.png")
        split = "train" if n < 13 else "val" if n < 18 else "test"
        rows += [(f"{n}.png", f"a plain {name} picture", split), (f"{n}.png", f"this is {name}", split)]
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "caption", "split"), *rows])
    return folder


def test_a_config_in_the_run_folder_that_was_given_is_not_replaced(tmp_path: Path) -> None:
    mine, other = tmp_path / "config.yaml", tmp_path / "other.yaml"
    parser, trainer = SimpleNamespace(dump=lambda *_, **__: "all: of it\n"), SimpleNamespace(default_root_dir=tmp_path)
    for given, kept in ((mine, True), (other, False)):
        mine.write_text("# my own words\n")
        KeepConfig(parser, Namespace(config=[str(given)])).save_config(trainer, None, "fit")
        assert (mine.read_text() == "# my own words\n") == kept


def command(verb: str, *args: str) -> list[str]:
    return [sys.executable, "-m", "tasks.cli", "captioning", verb, *args]


def fit_args(data: Path, run: Path) -> list[str]:
    options = {
        "model.encoder.name": "mobilenet_v3_small",
        "model.encoder.size": 64,
        "model.decoder.dim": 16,
        "model.schedule.frozen_epochs": 1,
        "model.schedule.self_critical_epochs": 1,
        "model.schedule.warmup_steps": 3,
        "model.search.beam": 2,
        "model.search.max_length": 7,
        "data.root": data / "table.csv",
        "data.batch_size": 3,
        "data.min_count": 1,
        "trainer.max_epochs": 3,
        "trainer.default_root_dir": run,
        "trainer.accelerator": "cpu",
        "trainer.enable_model_summary": "false",
        "trainer.enable_progress_bar": "false",
        "last.every_n_train_steps": 1,
    }
    return [part for key, value in options.items() for part in (f"--{key}", str(value))]


def run(args: list[str], cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).resolve().parents[2])
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    done = subprocess.run(args, cwd=cwd, env=env, text=True, capture_output=True, timeout=300)
    assert not check or done.returncode == 0, done.stderr[-3000:]
    return done


def read(path: Path) -> dict:
    return torch.load(path, weights_only=True)


@pytest.fixture(scope="module")
def whole(colours: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing disturbed."""
    cwd = tmp_path_factory.mktemp("whole")
    run(command("fit", *fit_args(colours, Path("runs/captioning/one"))), cwd)
    return cwd / "runs/captioning/one"


@pytest.mark.parametrize("killed_at", [2, 7, 12])
def test_a_killed_run_resumes_from_last_alone_and_ends_exactly_where_the_undisturbed_one_did(
    killed_at: int, colours: Path, whole: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "runs/captioning/one"
    kill_after_step(killed_at, command("fit", *fit_args(colours, Path("runs/captioning/one"))), tmp_path, folder)
    run(command("fit", "--ckpt_path", "last"), tmp_path)
    expected, got = read(whole / "checkpoints/last.ckpt"), read(folder / "checkpoints/last.ckpt")
    assert got["global_step"] == expected["global_step"] == 15
    for name, parameter in expected["state_dict"].items():
        assert torch.equal(parameter, got["state_dict"][name]), name


def test_a_run_leaves_its_config_its_curves_and_attention_pictures(whole: Path) -> None:
    assert "mobilenet_v3_small" in (whole / "config.yaml").read_text()
    with (whole / "metrics.csv").open() as file:
        cider = [row["val/cider"] for row in csv.DictReader(file) if row.get("val/cider")]
    assert len(cider) == 3
    assert any(b"attention/13.png" in path.read_bytes() for path in whole.glob("events*"))
    drawn = [whole / f"attention/epoch-{epoch}/{n}.png" for epoch in range(3) for n in range(13, 17)]
    assert sorted(whole.glob("attention/*/*")) == sorted(drawn) and all(Image.open(path).width > 99 for path in drawn)
    assert Image.open(whole / "curves.png").width > 900


def test_a_new_run_does_not_overwrite_an_old_one(colours: Path, whole: Path) -> None:
    before = (whole / "metrics.csv").read_bytes()
    done = run(command("fit", *fit_args(colours, Path("runs/captioning/one"))), whole.parents[2], check=False)
    assert done.returncode == 2 and "--ckpt_path last" in done.stderr.splitlines()[-1]
    assert (whole / "metrics.csv").read_bytes() == before


def test_a_damaged_newest_checkpoint_is_passed_over_and_said(whole: Path, tmp_path: Path) -> None:
    runs = Path(shutil.copytree(whole.parent, tmp_path / "captioning"))
    newest, older = runs / "one/checkpoints/last.ckpt", runs / "one/checkpoints/best.ckpt"
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    os.utime(older, (1, 1))
    path, _ = find_checkpoint("last", runs)
    assert path == older
    with pytest.raises(CheckpointError, match="damaged"):
        find_checkpoint(str(newest), runs)


def test_what_was_trained_is_exported_scored_and_used(colours: Path, whole: Path) -> None:
    cwd = whole.parents[2]
    run(command("export", "--ckpt_path", "last", "--out", "model"), cwd)
    done = run(command("test", "--ckpt_path", "model", "--trainer.default_root_dir", "scored"), cwd)
    scores = json.loads((cwd / "scored/scores-test.json").read_text())
    assert scores["n"] == 5 and scores["beam"] == 2 and {"bleu4", "rouge_l", "cider"} <= set(scores), done.stdout
    from_ckpt = command("test", "--ckpt_path", "last", "--trainer.default_root_dir", "again")
    run(from_ckpt, cwd)
    assert json.loads((cwd / "again/scores-test.json").read_text()) == pytest.approx(scores, abs=1e-3)
    run(command("predict", "--ckpt_path", "model", "--data.predict_paths", f"[{colours}]"), cwd)
    rows = (cwd / "runs/captioning/model/captions-predict.jsonl").read_text().splitlines()
    assert len(rows) == 23


def test_a_model_that_was_trained_on_many_devices_is_scored_on_what_is_there(tmp_path: Path) -> None:
    config = json.loads((ROOT / "checkpoints/speech-english/config.json").read_text())
    config["provenance"]["training"]["trainer"] |= {"devices": 8, "strategy": "ddp", "accelerator": "gpu"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    trainer = released_config(tmp_path, "speech")["trainer"]
    assert {trainer[name] for name in ("devices", "strategy", "accelerator")} == {"auto"}


@pytest.mark.slow
def test_two_processes_share_the_work_and_the_scores(colours: Path, tmp_path: Path) -> None:
    options = ["--trainer.devices", "2", "--trainer.strategy", "ddp_find_unused_parameters_true"]
    run(command("fit", *fit_args(colours, Path("two")), *options), tmp_path)
    last = read(tmp_path / "two/checkpoints/last.ckpt")
    assert last["global_step"] == 3 * 3  # 13 pictures in batches of 3 on 2 processes
    run(command("test", "--ckpt_path", "two/checkpoints/last.ckpt", *options), tmp_path)
    assert json.loads((tmp_path / "two/scores-test.json").read_text())["n"] == 5


def kill_after_step(step: int, args: list[str], cwd: Path, folder: Path) -> None:
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    process = subprocess.Popen(args, cwd=cwd, env=env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    last = folder / "checkpoints/last.ckpt"
    while not last.exists() or read(last)["global_step"] < step:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
