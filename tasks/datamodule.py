"""What the data of both tasks have in common: which split is served when, and by whose vocabulary."""

from typing import Any

import pytorch_lightning as pl
from tokenizers import Tokenizer
from torch.utils.data import DataLoader


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
        return {"num_workers": self.n_workers, "persistent_workers": self.n_workers > 0}
