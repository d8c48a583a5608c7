"""What the data of both tasks have in common: which split is served when, and by whose vocabulary."""

import logging
import signal
from typing import Any

import pytorch_lightning as pl
from tokenizers import Tokenizer
from torch.utils.data import DataLoader, Dataset

from multimodal_attn.errors import MediaError

LOG = logging.getLogger(__name__)
Index = int | tuple[int, int]


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
    """Base of both tasks. split: what `test` and `predict` read. n_workers: processes that read files."""

    split: str
    n_workers: int

    def eval_loader(self, split: str) -> DataLoader:
        """This process's share of a split, each example once, unchanged and without its references."""
        raise NotImplementedError

    def val_dataloader(self) -> DataLoader:
        return self.eval_loader("val")

    def test_dataloader(self) -> DataLoader:
        return self.eval_loader(self.split)

    def predict_dataloader(self) -> DataLoader:
        return self.eval_loader(self.split)

    @property
    def tokenizer(self) -> Tokenizer:
        return self.trainer.lightning_module.model.tokenizer

    def worker_options(self) -> dict[str, Any]:
        ignore = ignore_interrupts if self.n_workers else None
        return {"num_workers": self.n_workers, "persistent_workers": self.n_workers > 0, "worker_init_fn": ignore}


def ignore_interrupts(worker: int) -> None:
    """Ctrl-C reaches every process of a terminal, but is for the training process to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
