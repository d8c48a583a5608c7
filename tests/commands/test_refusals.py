"""What Lightning and its callbacks would refuse with a traceback, some of it hours later, is one line beforehand."""

import importlib.util
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

from multimodal_attn.errors import ConfigError, DataError
from multimodal_attn.tokens import build_piece_tokenizer
from tasks.captioning.module import CaptioningModule
from tasks.captioning.vocabulary import build_vocabulary, fitting_min_count
from tasks.language.datamodule import TextData
from tasks.language.module import LanguageModule
from tasks.training.checks import CheckRun, plainly
from tasks.training.loader import share_of
from tasks.training.run import run_task

EARLY = "pytorch_lightning.callbacks.EarlyStopping"
LOGGERS = "pytorch_lightning.loggers"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--trainer.accelerator", "tpu"], ""),
        (["--trainer.accelerator", "gpu", "--trainer.devices", "2"], ""),
        (["--trainer.accelerator", "abacus"], "abacus"),
        (["--trainer.enable_checkpointing", "false"], "enable_checkpointing=False"),
        (["--trainer.logger", f"{{class_path: {LOGGERS}.WandbLogger, init_args: {{project: x}}}}"], "wandb"),
        (
            ["--trainer.callbacks+", f"{{class_path: {EARLY}, init_args: {{monitor: val/los}}}}"],
            "EarlyStopping monitors 'val/los', which is not measured; choose one of val/loss",
        ),
        (["--best.monitor", "val/cider"], "ModelCheckpoint monitors 'val/cider'"),
    ],
)
def test_what_cannot_be_is_one_line_before_training(
    options: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "gpu" in options and torch.cuda.device_count() > 1:
        pytest.skip("has two GPUs")
    if words == "wandb" and importlib.util.find_spec("wandb"):
        pytest.skip("has wandb")
    rng = random.Random(5)
    sentences = [" ".join(rng.choices(["bad", "cab", "dab"], k=5)) for _ in range(31)]
    (tmp_path / "texts.txt").write_text("\n".join(sentences))
    build_piece_tokenizer(sentences, 0).save(str(tmp_path / "tokenizer.json"))
    monkeypatch.chdir(tmp_path)
    data = ["--data.tokenizer", "tokenizer.json", "--data.files", "texts.txt", "--data.val_share", "0.3"]
    with pytest.raises(ConfigError) as caught:
        run_task("language", LanguageModule, TextData, ["fit", *data, "--trainer.max_epochs", "1", *options])
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.ckpt"))


def fit_start(n_val: int, callbacks: list[Any], **options: Any) -> None:
    data = SimpleNamespace(examples={"val": [None] * n_val})
    options = {"world_size": 1, "limit_val_batches": 1.0} | options
    CheckRun().on_fit_start(SimpleNamespace(datamodule=data, callbacks=callbacks, **options), CaptioningModule())


def test_metrics_that_are_measured_may_be_monitored() -> None:
    names = ("val/loss", "val/cider", "val/bleu4", "val/attention/entropy", "train/cross_entropy", "train/ctc")
    fit_start(3, [*(EarlyStopping(name) for name in names), ModelCheckpoint(), ModelCheckpoint(monitor="val/cider")])


def test_without_validation_nothing_of_it_can_stop_a_run() -> None:
    fit_start(3, [ModelCheckpoint(monitor="val/cider")], limit_val_batches=0)
    with pytest.raises(ConfigError, match="is not measured while validation is off; choose one of train/"):
        fit_start(3, [EarlyStopping("val/cider")], limit_val_batches=0)


def test_a_validation_split_has_to_go_round_the_processes() -> None:
    fit_start(2, [], world_size=2)
    with pytest.raises(DataError, match="the split val has 1 examples, fewer than the 2 processes"):
        fit_start(1, [], world_size=2)


@pytest.mark.parametrize("sizes", [[7], [1, 2], [3, 3, 3, 3], [2, 1]])
@pytest.mark.parametrize("n_ranks", [1, 2, 3])
def test_every_rank_has_a_share_and_every_example_one_rank(sizes: list[int], n_ranks: int) -> None:
    batches = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    shares = [share_of(batches, rank, n_ranks) for rank in range(n_ranks)]
    assert all(shares)
    assert sorted(i for share in shares for batch in share for i in batch) == list(range(sum(sizes)))


def test_errors_of_other_kinds_and_our_own_come_through() -> None:
    with pytest.raises(KeyError), plainly(ValueError):
        raise KeyError("x")
    with pytest.raises(DataError, match="^ours$"), plainly(Exception):
        raise DataError("ours")
    with pytest.raises(ConfigError, match="^one two; see --help"), plainly(ValueError):
        raise ValueError("one\n  two.")


# vocabularies


@pytest.mark.parametrize(("n_words", "min_count"), [(10, 1), (4_999, 1), (5_000, 2), (60_000, 3), (300_000, 5)])
def test_a_vocabulary_fits_its_captions(n_words: int, min_count: int) -> None:
    assert fitting_min_count(n_words) == min_count
    words = build_vocabulary(["rare", *["often"] * (n_words - 1)]).get_vocab()
    assert "often" in words and ("rare" in words) == (min_count == 1)


def test_what_share_of_the_words_is_unknown_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        build_vocabulary(["a dog", "a cat", "a dog"], min_count=2)
        build_vocabulary(["a dog", "a cat", "the bird"], min_count=2)
    first, second, warning = caplog.messages
    assert (
        first == "vocabulary: 2 of 3 words, seen 2 times or more; 16.7% of the training captions' 6 words are unknown"
    )
    assert second.startswith("vocabulary: 1 of 5 words") and warning.startswith(
        "67 % of the words are unknown and will"
    )


def test_an_empty_vocabulary_is_refused() -> None:
    with pytest.raises(DataError, match="none of the 3 words of 2 training captions is seen 5 times"):
        build_vocabulary(["a dog", "a cat"], min_count=5)
