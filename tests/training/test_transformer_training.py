"""Both tasks train, resume and score a Transformer and self-attention encoders as they do every other model."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from multimodal_attn.checkpoint import load_checkpoint
from tasks.cli import main

RATE = 16_000
SPLITS = ("train", "train", "train", "val", "test")


def write_table(folder: Path, columns: list[str], rows: list[list]) -> Path:
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return folder / "table.csv"


def pictures(folder: Path) -> Path:
    for n in range(len(SPLITS)):
        Image.new("RGB", (67, 41 + n), (50 * n, 0, 255 - 50 * n)).save(folder / f"{n}.png")
    rows = [[f"{n}.png", f"a plain picture of number {n}", split] for n, split in enumerate(SPLITS)]
    return write_table(folder, ["path", "caption", "split"], rows)


def sounds(folder: Path) -> Path:
    rows = []
    for n, split in enumerate(SPLITS):
        tone = 0.3 * np.sin(2 * np.pi * 200 * (n + 2) * np.arange(RATE // 2) / RATE)
        soundfile.write(folder / f"{n}.wav", tone, RATE)
        rows.append([f"{n}.wav", "ab" * (n + 1), split, f"{split}-singer", 0.5])
    return write_table(folder, ["path", "text", "split", "speaker", "seconds"], rows)


SHARED = {
    "model.decoder.form": "transformer",
    "model.decoder.layers": 2,
    "model.decoder.dim": 16,
    "model.schedule.frozen_epochs": 0,
    "model.search.beam": 2,
    "model.search.max_length": 5,
    "trainer.accelerator": "cpu",
    "trainer.max_steps": 2,
    "trainer.enable_progress_bar": "false",
    "trainer.enable_model_summary": "false",
    "trainer.logger": "false",
    "last.every_n_train_steps": 1,
}
CAPTIONING = {
    "model.encoder.name": "mobilenet_v3_small",
    "model.encoder.size": 64,
    "model.encoder.self_attention": 1,
    "model.encoder.dim": 24,
    "model.decoder.positions": "learned",
    "data.batch_size": 2,
    "data.min_count": 1,
}
SPEECH = {
    "model.encoder.name": "transformer",
    "model.encoder.dim": 24,
    "model.encoder.layers": 1,
    "model.encoder.heads": 2,
    "model.encoder.stride": 4,
    "data.n_pieces": 0,
    "data.batch_seconds": 2,
}


@pytest.mark.parametrize("task, write, options", [("captioning", pictures, CAPTIONING), ("speech", sounds, SPEECH)])
def test_task_trains_resumes_scores_and_exports_a_transformer(task: str, write, options: dict, tmp_path: Path) -> None:
    table, run = write(tmp_path), tmp_path / "run"
    root = f"[{table}]" if task == "speech" else table
    options = SHARED | options | {"data.root": root, "trainer.default_root_dir": run}
    assert main([task, "fit", *(part for key, value in options.items() for part in (f"--{key}", str(value)))]) == 0
    last = str(run / "checkpoints" / "last.ckpt")
    assert main([task, "fit", "--ckpt_path", last, "--trainer.max_steps", "3"]) == 0
    assert main([task, "test", "--ckpt_path", last]) == 0
    assert json.loads((run / "scores-test.json").read_text())["n"] == 1
    assert main([task, "export", "--ckpt_path", last, "--out", str(tmp_path / "folder")]) == 0
    model = load_checkpoint(tmp_path / "folder")[0]
    assert (model.decoder.config.form, model.encoder.dim) == ("transformer", 24)
