"""A language model under Lightning: cross-entropy in training, perplexity per token and per word in validation."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from tokenizers import Tokenizer
from torch import Tensor

from multimodal_attn.configs import config_from_json
from multimodal_attn.errors import CheckpointError, ConfigError
from multimodal_attn.parameters import fill_from_state
from multimodal_attn.search.language_model import LanguageModel, LanguageModelConfig
from multimodal_attn.tokens import PAD
from tasks.language.datamodule import TextBatch
from tasks.training.resume import WHERE, described_model, parameters_in, read_checkpoint
from tasks.training.schedule import Schedule, follow


class LanguageModule(pl.LightningModule):
    """Text in, the next token out.

    Args:
        language: how large it is.
        lr: peak learning rate; linear warm-up, then half a cosine down to a twentieth.
        warmup_steps: length of the warm-up, in optimiser steps.
        weight_decay: AdamW's.
        label_smoothing: share of the target spread over the vocabulary in training.
    """

    monitor = "word_perplexity"
    lower_is_better = True
    measured = ("loss", "perplexity", "word_perplexity")
    results: dict[int, Any] = {}  # there are no sentences to show after a validation

    def __init__(
        self,
        language: LanguageModelConfig = LanguageModelConfig(),  # noqa: B008 (frozen)
        lr: float = 2e-3,
        warmup_steps: int = 200,
        weight_decay: float = 0.01,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        self.config, self.weight_decay, self.label_smoothing = language, weight_decay, label_smoothing
        self.schedule = Schedule(frozen_epochs=0, lr=lr, warmup_steps=warmup_steps)
        self.model: LanguageModel | None = None
        self.tokenizer: Tokenizer | None = None
        self.sums = torch.zeros(3)

    def configure_model(self) -> None:
        if self.model is None and self.trainer.training:
            self.tokenizer = self.trainer.datamodule.build_tokenizer()
            self.model = LanguageModel(self.config, self.tokenizer.get_vocab_size())

    def on_train_batch_start(self, batch: TextBatch, batch_idx: int) -> None:
        # as in the other tasks, dropout is a function of the step, so that a resumed run draws the same
        torch.manual_seed(hash((self.trainer.datamodule.seed, self.global_rank, self.global_step)) % 2**63)

    def training_step(self, batch: TextBatch, batch_idx: int) -> Tensor:
        loss = self.model.loss(batch.tokens, self.label_smoothing)
        self.log("train/cross_entropy", loss, prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        self.sums = torch.zeros(3, dtype=torch.double)  # nats, tokens, words

    def validation_step(self, batch: TextBatch, batch_idx: int) -> None:
        n_tokens = int((batch.tokens != PAD).sum())
        n_words = int(batch.n_words.sum()) + len(batch.n_words)  # the end of a sentence counts as a word too
        self.sums += torch.tensor([float(self.model.loss(batch.tokens)) * n_tokens, n_tokens, n_words])

    def on_validation_epoch_end(self) -> None:
        sums = self.trainer.strategy.reduce(self.sums.to(self.device), reduce_op="sum")
        nats, n_tokens, n_words = sums.tolist()
        perplexities = torch.tensor([nats / n_tokens, nats / n_words]).exp()
        self.log("val/loss", nats / n_tokens)
        self.log("val/perplexity", perplexities[0])
        self.log("val/word_perplexity", perplexities[1], prog_bar=True)

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = torch.optim.AdamW(self.model.parameters(), self.schedule.lr, weight_decay=self.weight_decay)
        return follow(self.schedule, optimizer, self.trainer)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["tokenizer"] = self.tokenizer.to_str()
        checkpoint["model_config"] = {"language": asdict(self.model.config)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Size and vocabulary come from the checkpoint; Lightning then fills the parameters."""
        if self.model is None:
            self.model, _ = restore_language_model(checkpoint)
        self.tokenizer = described_model(checkpoint)[1]


def restore_language_model(checkpoint: dict[str, Any]) -> tuple[LanguageModel, Tokenizer]:
    """The language model inside a training checkpoint, in evaluation mode, and the tokenizer of its ids.

    Raises CheckpointError for what is none.
    """
    described, tokenizer, _ = described_model(checkpoint)
    try:
        config = config_from_json(LanguageModelConfig, described.get("language"), "language")
    except ConfigError as error:
        raise CheckpointError(f"{WHERE}: {error}") from error
    with torch.device("meta"):
        model = LanguageModel(config, tokenizer.get_vocab_size())
    fill_from_state(model, parameters_in(checkpoint), WHERE)
    return model.eval(), tokenizer


def load_language_model(path: str | Path, tokenizer: Tokenizer) -> LanguageModel:
    """The language model of a training checkpoint, for a model that has this tokenizer.

    Raises CheckpointError when it is of another vocabulary, or no language model.
    """
    checkpoint = read_checkpoint(Path(path))
    described = checkpoint.get("model_config")
    if not isinstance(described, dict) or not described.get("language"):
        raise CheckpointError(f"{path} is no language model; name a checkpoint of `multimodal-attn language fit`")
    model, own = restore_language_model(checkpoint)
    if own.get_vocab() != tokenizer.get_vocab():
        raise CheckpointError(f"{path} has another vocabulary than the model; train it with the model's tokenizer")
    return model


MODULE = LanguageModule
