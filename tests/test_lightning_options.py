"""What people know from Lightning works by Lightning's own keys: loggers, profilers, the learning rate finder."""

import csv
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import yaml

from tasks.cli import main
from tests.caption_files import write_pictures

LOGGERS, CALLBACKS = "pytorch_lightning.loggers", "pytorch_lightning.callbacks"
Fit = Callable[..., int]


@pytest.fixture
def fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fit:
    """`captioning fit` on three pictures."""
    write_pictures(tmp_path, "a.png", "b.png", "c.png")
    (tmp_path / "t.csv").write_text("path,caption,split\na.png,a dog,train\nb.png,two dogs,train\nc.png,a dog,val\n")
    monkeypatch.chdir(tmp_path)
    sizes = ["--model.encoder.name", "mobilenet_v3_small", "--model.encoder.size", "32", "--model.decoder.dim", "13"]
    quiet = ["--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"]
    run = ["--trainer.default_root_dir", "run", "--trainer.max_epochs", "2", "--trainer.log_every_n_steps", "1"]
    start = ["captioning", "fit", "--data.root", "t.csv", "--data.n_workers", "0", "--data.batch_size", "1"]
    return lambda *options: main([*start, *sizes, *quiet, *run, *options])


def logger(name: str, **options: str) -> list[str]:
    return ["--trainer.logger", yaml.safe_dump({"class_path": f"{LOGGERS}.{name}", "init_args": options})]


@pytest.mark.skipif(not (find_spec("mlflow") and find_spec("sqlalchemy")), reason="needs mlflow")
def test_mlflow_keeps_curves_and_pictures_in_a_local_store(fit: Fit, tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    store = f"sqlite:///{tmp_path}/runs.db"
    assert fit(*logger("MLFlowLogger", experiment_name="dogs", tracking_uri=store)) == 0
    client = MlflowClient(store)
    (run,) = client.search_runs([client.get_experiment_by_name("dogs").experiment_id])
    assert len(client.get_metric_history(run.info.run_id, "val/loss")) == 2
    assert len(client.get_metric_history(run.info.run_id, "train/cross_entropy")) == 4
    assert [file.path for file in client.list_artifacts(run.info.run_id, "attention/epoch-1")] == [
        "attention/epoch-1/c.png"
    ]


@pytest.mark.skipif(not find_spec("wandb"), reason="needs wandb")
def test_weights_and_biases_keeps_pictures_without_a_network(fit: Fit, tmp_path: Path) -> None:
    options = logger("WandbLogger", project="dogs", offline=True, save_dir="tracked")
    assert fit(*options) == 0
    assert list(tmp_path.glob("tracked/wandb/offline-run-*/files/media/images/attention/*.png"))


def test_csv_and_tensorboard_by_their_own_keys_write_where_they_are_told(fit: Fit, tmp_path: Path) -> None:
    names = [
        {"class_path": f"{LOGGERS}.{name}", "init_args": {"save_dir": "own"}}
        for name in ("CSVLogger", "TensorBoardLogger")
    ]
    assert fit("--trainer.logger", yaml.safe_dump(names)) == 0
    with next(tmp_path.glob("own/**/metrics.csv")).open() as file:
        assert sum(bool(row["val/loss"]) for row in csv.DictReader(file)) == 2
    assert any(b"attention/c.png" in path.read_bytes() for path in tmp_path.glob("own/**/events*"))
    assert (tmp_path / "run/checkpoints/last.ckpt").exists() and not (tmp_path / "run/metrics.csv").exists()


def test_a_profiler_tells_what_takes_time(fit: Fit, tmp_path: Path) -> None:
    profiler = {
        "class_path": "pytorch_lightning.profilers.SimpleProfiler",
        "init_args": {"filename": "time", "dirpath": "."},
    }
    assert fit("--trainer.profiler", yaml.safe_dump(profiler)) == 0
    assert "run_training_batch" in next(tmp_path.glob("*time*.txt")).read_text()


def test_the_learning_rate_that_was_found_is_trained_with(fit: Fit, tmp_path: Path) -> None:
    options = {"num_training_steps": 14, "min_lr": 1e-6, "early_stop_threshold": None}
    finder = {"class_path": f"{CALLBACKS}.LearningRateFinder", "init_args": options}
    brief = ["--trainer.max_epochs", "8", "--trainer.limit_val_batches", "0", "--model.schedule.warmup_steps", "1"]
    assert fit("--trainer.callbacks+", yaml.safe_dump(finder), *brief) == 0
    with (tmp_path / "run/metrics.csv").open() as file:
        rates = [float(row["lr-AdamW/pg1"]) for row in csv.DictReader(file) if row["lr-AdamW/pg1"]]
    assert 1e-6 < rates[0] < 1 and rates[0] != pytest.approx(1e-3, rel=1e-3)  # what the config says
    assert len(rates) == torch.load("run/checkpoints/last.ckpt", weights_only=True)["global_step"] == 16
    assert not list(tmp_path.rglob(".lr_find*"))


def test_a_config_of_ones_own_in_the_run_folder_stays_as_it_was_written(fit: Fit, tmp_path: Path) -> None:
    mine = tmp_path / "run/config.yaml"
    mine.parent.mkdir()
    mine.write_text("# my own words\ntrainer: {max_steps: 1, limit_val_batches: 0}\n")
    assert fit("--config", str(mine)) == 0
    assert mine.read_text().startswith("# my own words")


def test_a_development_run_leaves_nothing(fit: Fit, tmp_path: Path) -> None:
    assert fit("--trainer.fast_dev_run", "true") == 0
    assert not (tmp_path / "run/checkpoints").exists() and not (tmp_path / "run/attention").exists()
