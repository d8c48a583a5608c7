"""A handful of pictures is enough to train on: what is known is said, what is measured can be watched, all is saved."""

import csv
import math
from pathlib import Path

import pytest
import torch

from multimodal_attn.senses.picture.media import read_picture
from multimodal_attn.tokens import END, START
from tasks.cli import main
from tasks.training.resume import restore_model
from tests.caption_files import write_pictures

EARLY = "{class_path: pytorch_lightning.callbacks.EarlyStopping, init_args: {monitor: val/loss, patience: 9}}"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    write_pictures(tmp_path, "a.png", "b.png", "c.png")
    rows = [
        "a.png;a dog runs;train",
        "a.png;a wet dog;train",
        "b.png;two dogs;Train",
        "c.png;a wet bird runs;VAL",
        ";;",
    ]
    (tmp_path / "t.csv").write_text("\n".join(["Image;Caption;Split", *rows, ";;"]))
    return tmp_path / "t.csv"


def fit(table: Path, *options: str) -> int:
    sizes = ["--model.encoder.name", "mobilenet_v3_small", "--model.encoder.size", "32", "--model.decoder.dim", "13"]
    run = ["--trainer.default_root_dir", str(table.parent / "run"), "--trainer.enable_progress_bar", "false"]
    return main(["captioning", "fit", "--data.root", str(table), *sizes, *run, "--data.n_workers", "0", *options])


def test_a_few_pictures_train_and_the_loss_of_their_references_is_watched(table: Path) -> None:
    assert fit(table, "--trainer.max_epochs", "2", "--trainer.callbacks+", EARLY) == 0
    with (table.parent / "run/metrics.csv").open() as file:
        losses = [float(row["val/loss"]) for row in csv.DictReader(file) if row["val/loss"]]
    assert len(losses) == 2
    saved = torch.load(table.parent / "run/checkpoints/last.ckpt", weights_only=True)
    model = restore_model(saved)[0].eval()
    model.load_state_dict({name.removeprefix("model."): value for name, value in saved["state_dict"].items()})
    ids = [*model.tokenizer.encode("a wet bird runs").ids, END]
    assert len(ids) == 5 and ids.count(3) == 1  # the bird, in no training caption
    picture = read_picture(table.parent / "c.png").image
    with torch.no_grad():
        source = model.decoder.read(model.encoder(model.encoder.framing.frame(picture).unsqueeze(0)))
        features, _ = model.decoder.unroll(torch.tensor([[[START, *ids[:-1]]]]), source)
        chances = model.decoder.logits(features[0, 0]).double().softmax(-1)
    assert losses[1] == pytest.approx(-sum(math.log(chances[t, i]) for t, i in enumerate(ids)) / len(ids), rel=1e-4)


def test_a_vocabulary_without_a_word_is_refused(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(table, "--data.min_count", "9") == 2
    assert "none of the 6 words of 3 training captions is seen 9 times" in capsys.readouterr().err
    assert not list(table.parent.rglob("*.ckpt"))
