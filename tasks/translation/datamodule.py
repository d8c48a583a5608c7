"""Sentences and their translations for training, validation, test and prediction, in batches of like length."""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.utils.data import DataLoader, Dataset

from multimodal_attn.errors import DataError
from multimodal_attn.model import Model
from multimodal_attn.senses.text.media import read_lines, read_text, text_files
from multimodal_attn.senses.text.sense import tokenize
from multimodal_attn.tokens import build_text_tokenizer, text_to_ids
from tasks.training.data import Batch, SequenceData, pad_sentences
from tasks.training.loader import LengthSampler, ResumableLoader, length_batches, share_of
from tasks.translation.datasets import Pair, load_pairs


class PairDataset(Dataset):
    """Items are asked for by index (validation) or by (index, epoch) (training), which are the same here.

    model: whose vocabularies are used. most: pairs of which one side has more tokens are left out. targets are empty
    unless they are to be learned.
    """

    def __init__(self, examples: Sequence[Pair], model: Model, learn: bool, most: float = math.inf) -> None:
        sources = [example.source for example in examples]
        found = [one.ids for one in model.reads_by.encode_batch(sources)]
        targets = [text_to_ids(model.tokenizer, example.target) if learn else [] for example in examples]
        pairs = zip(sources, found, targets, range(len(examples)), strict=True)
        self.pairs = [pair for pair in pairs if max(len(pair[1]), len(pair[2])) <= most]
        self.lengths = np.array([max(len(ids), len(target)) for _, ids, target, _ in self.pairs])  # (n,)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, item: int | tuple[int, int]) -> tuple[str, list[int], int]:
        source, _, target, index = self.pairs[item if isinstance(item, int) else item[0]]
        return source, target, index


def collate(items: list[tuple[str, list[int], int]], tokenizer: Tokenizer) -> Batch:
    """Inputs: a TextBatch."""
    sources, targets, index = zip(*items, strict=True)
    inputs, geometries = tokenize(sources, tokenizer)
    return Batch(inputs, pad_sentences([[target] for target in targets]), torch.tensor(index), geometries)


class TranslationData(SequenceData):
    """Sentences and their translations.

    Args:
        root: data sets, each a folder or a file; several are used together.
        source: the language that is read, as endings of files and columns of tables name it.
        target: the language that is written, likewise.
        format: lines (train.en and train.de), table, tatoeba, anki, or auto, which looks at the files.
        texts: the file below root, where it has another name than the format's own.
        skip_bad: leave out, with a warning, pairs that cannot be used.
        n_pieces: size of the vocabulary of word pieces, or of each of the two.
        vocabulary: `shared` by both languages, or `separate`, one of each side.
        batch_tokens: of a training batch, the longest times their number, about.
        eval_batch_tokens: the same in validation, test and prediction.
        max_tokens: pairs of which one side is longer are left out of training.
        n_workers: processes that read.
        split: what `test` and `predict` read.
        predict_paths: files of lines for `predict`, instead of a split.
        seed: draws the order.
    """

    OF_ROOT = ("format", "texts")  # what says how the data lies

    def __init__(
        self,
        root: list[str] | str,
        source: str = "en",
        target: str = "de",
        format: str = "auto",
        texts: str | None = None,
        skip_bad: bool = False,
        n_pieces: int = 5000,
        vocabulary: Literal["shared", "separate"] = "shared",
        batch_tokens: int = 1500,
        eval_batch_tokens: int = 3000,
        max_tokens: int = 80,
        n_workers: int = 0,
        split: str = "test",
        predict_paths: list[str] | None = None,
        seed: int = 1,
    ) -> None:
        super().__init__()
        languages = {"source": source, "target": target}
        self.place = {"root": root, **languages, "format": format, "texts": texts, "skip_bad": skip_bad}
        self.target, self.n_pieces, self.max_tokens = target, n_pieces, max_tokens
        self.separate = vocabulary == "separate"
        self.batch_tokens, self.eval_batch_tokens = batch_tokens, eval_batch_tokens
        self.n_workers, self.split, self.predict_paths, self.seed = n_workers, split, predict_paths, seed
        self.examples: dict[str, list[Pair]] = {}

    def setup(self, stage: str) -> None:
        wanted = {"fit": ("train", "val"), "validate": ("val",), "test": (self.split,), "predict": (self.split,)}[stage]
        if stage == "predict" and self.predict_paths:
            lines = (line for path in text_files(self.predict_paths) for line in read_lines(Path(path)))
            self.examples[self.split] = [Pair(line.text, "", line.name) for line in lines if not line.problem]
        for split in wanted:
            if split not in self.examples:
                self.examples[split] = load_pairs(split=split, **self.place)

    def build_tokenizer(self) -> Tokenizer:
        """The pieces of both sides of the training pairs, or of the translations alone."""
        sides = ((pair.target,) if self.separate else (pair.source, pair.target) for pair in self.examples["train"])
        return build_text_tokenizer((text for side in sides for text in side), self.n_pieces)

    def build_source_tokenizer(self) -> Tokenizer | None:
        if not self.separate:
            return None
        return build_text_tokenizer((pair.source for pair in self.examples["train"]), self.n_pieces)

    def train_dataloader(self) -> DataLoader:
        return self.training(self.model, self.trainer.limit_train_batches, self.ranks)

    def training(
        self, model: Model, limit: int | float | None = None, ranks: tuple[int, int] = (0, 1)
    ) -> ResumableLoader:
        dataset = PairDataset(self.examples["train"], model, True, self.max_tokens)
        if not len(dataset):
            raise DataError(f"no training pair of at most {self.max_tokens} tokens; set a larger `max_tokens`")
        sampler = self.sampler(dataset.lengths, self.seed, *ranks)
        together = partial(collate, tokenizer=model.reads_by)
        return ResumableLoader(dataset, sampler, limit, collate_fn=together, **self.worker_options())

    def eval_loader(self, split: str) -> DataLoader:
        dataset = PairDataset(self.examples[split], self.model, False)
        share = share_of(self.eval_batches(dataset.lengths), *self.ranks)
        together = partial(collate, tokenizer=self.model.reads_by)
        return DataLoader(dataset, batch_sampler=share, collate_fn=together, **self.worker_options())

    @property
    def model(self) -> Model:
        return self.trainer.lightning_module.model

    def example(self, source: Path) -> Pair:
        return Pair(read_text(source).text, "", str(source))

    def sampler(self, lengths: np.ndarray, seed: int, rank: int = 0, n_ranks: int = 1) -> LengthSampler:
        return LengthSampler(lengths, self.batch_tokens, seed=seed, rank=rank, n_ranks=n_ranks)

    def eval_batches(self, lengths: np.ndarray) -> list[list[int]]:
        return [batch.tolist() for batch in length_batches(lengths, self.eval_batch_tokens)]

    @property
    def batch_in_words(self) -> str:
        return f"up to {self.batch_tokens} tokens"

    def describe(self) -> dict[str, Any]:
        """What the data was, for the model card."""
        sizes = {split: len(examples) for split, examples in self.examples.items()}
        return {**self.place, "n_examples": sizes, "seed": self.seed}


DATA = TranslationData
