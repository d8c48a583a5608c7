"""A run that was stopped, in whatever way and with whatever settings, goes on to the same end, to the last bit."""

import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from multimodal_attn.errors import TrainingStopped
from multimodal_attn.tokens import build_piece_tokenizer
from tasks.language.datamodule import TextData
from tasks.language.module import LanguageModule
from tasks.training.run import run_task
from tests.conftest import power_cut
from tests.runs import as_args, check_equal, curves, read

pytestmark = pytest.mark.filterwarnings("ignore:.*many workers which")
RUN = Path("runs/language/one")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About ten batches of sentences, and a tokenizer of single letters."""
    folder = tmp_path_factory.mktemp("texts")
    rng = random.Random(5)
    sentences = [" ".join(rng.choices(["bad", "cab", "dab", "fed", "gaff"], k=rng.randint(2, 9))) for _ in range(61)]
    (folder / "texts.txt").write_text("\n".join(sentences))
    build_piece_tokenizer(sentences, 0).save(str(folder / "tokenizer.json"))
    return folder


def fit(*args: str, **options: Any) -> None:
    run_task("language", LanguageModule, TextData, ["fit", *args, *as_args(options)])


def settings(texts: Path, **others: Any) -> dict[str, Any]:
    return {
        "model.language.dim": 11,
        "model.language.dropout": 0.3,
        "model.warmup_steps": 5,
        "data.tokenizer": texts,
        "data.files": texts / "texts.txt",
        "data.batch_tokens": 200,
        "data.val_share": 0.2,
        "trainer.max_epochs": 3,
        "trainer.log_every_n_steps": 1,
        "trainer.default_root_dir": RUN,
        "trainer.accelerator": "cpu",
        "trainer.enable_model_summary": "false",
        "trainer.enable_progress_bar": "false",
    } | others


def whole_and_parted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cuts: list[int], options: dict) -> None:
    """Runs the same training undisturbed, and with a cut before each of these steps."""
    for name in ("whole", "parted"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        at, *others = cuts if name == "parted" else [None]
        if at is None:
            fit(**options)
            continue
        with power_cut(LanguageModule, at=at):
            fit(**options)
        for at in others:
            with power_cut(LanguageModule, at=at):
                fit("--ckpt_path", "last")
        fit("--ckpt_path", "last")
    check_equal(tmp_path / "whole" / RUN, tmp_path / "parted" / RUN)


@pytest.mark.parametrize(
    ("cuts", "options"),
    [
        ([7], {"last.every_n_train_steps": 2, "trainer.limit_train_batches": 4}),
        ([8], {"trainer.limit_train_batches": 0.5}),  # as an epoch begins: only its end was saved
        ([3, 5], {"last.every_n_train_steps": 1, "trainer.accumulate_grad_batches": 3}),
        ([9], {"last.every_n_train_steps": 2, "trainer.val_check_interval": 0.5, "trainer.limit_train_batches": 4}),
    ],
    ids=str,
)
def test_a_run_that_was_cut_ends_where_the_undisturbed_one_does(
    cuts: list[int], options: dict, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_and_parted(tmp_path, monkeypatch, cuts, settings(texts, **options))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_was_asked_to_stop_has_saved_that_step(
    number: int, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "whole").mkdir()
    monkeypatch.chdir(tmp_path / "whole")
    fit(**settings(texts))
    (tmp_path / "parted").mkdir()
    monkeypatch.chdir(tmp_path / "parted")
    training_step, handlers = LanguageModule.training_step, [signal.getsignal(each) for each in (2, 15)]

    def step(self: pl.LightningModule, *args: object) -> torch.Tensor:
        if self.global_step == 5:
            os.kill(os.getpid(), number)
        return training_step(self, *args)

    with monkeypatch.context() as asking, pytest.raises(TrainingStopped, match="stopped after step 6; go on") as caught:
        asking.setattr(LanguageModule, "training_step", step)
        fit(**settings(texts))
    assert caught.value.status == 128 + number
    assert [signal.getsignal(each) for each in (2, 15)] == handlers
    assert read(RUN / "checkpoints/last.ckpt")["global_step"] == 6
    fit("--ckpt_path", "last")
    check_equal(tmp_path / "whole" / RUN, tmp_path / "parted" / RUN)


@pytest.mark.parametrize("options", [{"trainer.limit_val_batches": 0}, {"trainer.max_steps": 4}], ids=str)
def test_a_short_run_leaves_a_checkpoint_at_its_end(
    options: dict, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fit(**settings(texts, **{"trainer.max_epochs": 1} | options))
    steps = options.get("trainer.max_steps") or max(int(dict(row)["step"]) for row in curves(tmp_path / RUN)) + 1
    assert read(RUN / "checkpoints/last.ckpt")["global_step"] == steps > 0
