"""What the data of all tasks have in common: batches, which split is served when, and by whose vocabulary."""

import logging
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pytorch_lightning as pl
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from multimodal_attn.errors import MediaError
from multimodal_attn.memory import map_state
from multimodal_attn.senses import Geometry
from multimodal_attn.tokens import PAD, text_to_ids
from tasks.training.loader import EpochSampler, LengthSampler, ResumableLoader

LOG = logging.getLogger(__name__)
Index = int | tuple[int, int]


class Batch(NamedTuple):
    """inputs: as the encoder takes them. tokens (B, M, T): END closes each sentence, then PAD. index (B,): of the
    examples. geometries: where the places of each input lie, B of them."""

    inputs: Any
    tokens: Tensor
    index: Tensor
    geometries: Sequence[Geometry]

    def to(self, device: Any, **how: Any) -> "Batch":
        """Lightning calls it; its own way would look for tensors in the geometries too."""
        inputs, tokens, index = map_state(lambda tensor: tensor.to(device, **how), tuple(self[:3]))
        return self._replace(inputs=inputs, tokens=tokens, index=index)


class Example(Protocol):
    """An input and its sentences. input: what the sense reads, such as a path; as text it is what rows call it. name:
    what people call it."""

    @property
    def input(self) -> Any: ...

    @property
    def name(self) -> str: ...

    @property
    def texts(self) -> tuple[str, ...]: ...


def pad_sentences(groups: Sequence[Sequence[Sequence[int]]]) -> Tensor:
    """(B, M, T) of the ids of each input's sentences, PAD where there are fewer or shorter ones."""
    longest = max((len(ids) for group in groups for ids in group), default=1)
    tokens = torch.full((len(groups), max(map(len, groups)), longest), PAD)
    for row, group in zip(tokens, groups, strict=True):
        for sentence, ids in zip(row, group, strict=False):
            sentence[: len(ids)] = torch.tensor(ids)
    return tokens


class FileDataset(Dataset):
    """Base of data sets whose items are files, asked for by index or by (index, epoch).

    tolerant: a file that turns out bad costs its example and not the run: it is left out of its batch, and named once
    by each process that reads. A batch of which nothing is left gets the next item that can be read.
    """

    def __init__(self, tolerant: bool) -> None:
        self.tolerant = tolerant
        self.bad: set[str] = set()

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitems__(self, items: list[Index]) -> list[tuple]:
        if not self.tolerant:
            return [self[item] for item in items]
        good = [read for item in items if (read := self._try(item)) is not None]
        first, *epoch = items[0] if isinstance(items[0], tuple) else (items[0],)
        others = ((first + n) % len(self) for n in range(1, len(self)))
        for other in () if good else others:
            if (read := self._try((other, *epoch) if epoch else other)) is not None:
                return [read]
        return good or [self[items[0]]]

    def _try(self, item: Index) -> tuple | None:
        try:
            return self[item]
        except MediaError as error:
            self.leave_out(error)
            return None

    def leave_out(self, error: MediaError) -> None:
        if str(error) not in self.bad:
            self.bad.add(str(error))
            LOG.warning("left out, %d by now: %s", len(self.bad), error)


class SequenceData(pl.LightningDataModule):
    """Base of all tasks.

    examples: those of each split that was set up. split: what `test` and `predict` read. n_workers: processes that read
    files. seed: draws the order and the changes. shown: how many tokens a sentence has that fills a picture well.
    """

    examples: dict[str, list[Any]]
    split: str
    n_workers: int
    seed: int
    shown = range(6, 24)

    def eval_loader(self, split: str) -> DataLoader:
        """This process's share of a split, each example once, unchanged and without its references."""
        raise NotImplementedError

    def build_source_tokenizer(self) -> Tokenizer | None:
        """Of what is read, where that is text with a vocabulary of its own."""
        return None

    def val_dataloader(self) -> DataLoader:
        return self.eval_loader("val")

    def test_dataloader(self) -> DataLoader:
        return self.eval_loader(self.split)

    def predict_dataloader(self) -> DataLoader:
        return self.eval_loader(self.split)

    def sentences(self, tokenizer: Tokenizer, examples: Sequence[Example]) -> list[list[list[int]]]:
        """The ids of every example's sentences, as training takes them."""
        return [[text_to_ids(tokenizer, text) for text in example.texts] for example in examples]

    # -- what a comparison asks for ------------------------------------------------------------------------------------

    def example(self, source: Path) -> Example:
        """A file that belongs to no split and has no sentence."""
        raise NotImplementedError

    def training(self, model: Any) -> ResumableLoader:
        """Training batches of the inputs themselves, where a comparison trains whole models."""
        raise NotImplementedError

    # of those that compare on features in place of inputs

    def whole(self, examples: Sequence[Example], encoder: Any) -> DataLoader:
        """Batches of the inputs of examples as they are, each once."""
        raise NotImplementedError

    def length(self, geometry: Geometry) -> float:
        """Of an input, as batches are measured."""
        return 1.0

    def sampler(self, lengths: np.ndarray, seed: int, rank: int = 0, n_ranks: int = 1) -> EpochSampler | LengthSampler:
        """Training batches of inputs of these lengths (n,)."""
        raise NotImplementedError

    def eval_batches(self, lengths: np.ndarray) -> list[list[int]]:
        """Batches of validation, test and prediction, for inputs of these lengths (n,)."""
        raise NotImplementedError

    @property
    def batch_in_words(self) -> str:
        """How large a training batch is."""
        raise NotImplementedError

    # -- what loaders need --------------------------------------------------------------------------------------------

    @property
    def encoder(self) -> Any:
        return self.trainer.lightning_module.model.encoder

    @property
    def tokenizer(self) -> Tokenizer:
        return self.trainer.lightning_module.model.tokenizer

    @property
    def ranks(self) -> tuple[int, int]:
        """This process, and how many there are."""
        return self.trainer.global_rank, self.trainer.world_size

    def worker_options(self) -> dict[str, Any]:
        ignore = ignore_interrupts if self.n_workers else None
        return {"num_workers": self.n_workers, "persistent_workers": self.n_workers > 0, "worker_init_fn": ignore}


def ignore_interrupts(worker: int) -> None:
    """Ctrl-C reaches every process of a terminal, but is for the training process to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
