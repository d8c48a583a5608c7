"""Sentences for a language model: plain text files and the transcripts of training recordings."""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from multimodal_attn.checkpoint import MAX_BYTES, TOKENIZER
from multimodal_attn.errors import CheckpointError, ConfigError, DataError
from multimodal_attn.tokens import PAD, UNKNOWN, split_words, text_to_ids
from multimodal_attn.untrusted import parse_tokenizer, read_text
from tasks.training.loader import LengthSampler, ResumableLoader, length_batches, share_of
from tasks.training.resume import read_checkpoint
from tasks.training.tables import Columns, known_split, read_lines, read_rows

TRANSCRIPTS = Columns(required=("split", "text"), optional=("set",), quoted=False, others=True)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, and the file and line it came from."""

    text: str
    where: str


class TextBatch(NamedTuple):
    """tokens (B, T), END closes each sentence, then PAD; n_words (B,)."""

    tokens: Tensor
    n_words: Tensor


def read_sentences(files: Iterable[str], manifests: Iterable[str] = (), sets: Iterable[str] = ()) -> Iterator[Sentence]:
    """The sentences of text files, one on each line that is not blank, then the training transcripts of manifests.

    files, manifests: paths; * and ** stand for anything. sets: only these of the manifests' sets; all if empty.
    Raises DataError for a pattern without a file, a file that is not UTF-8 text, and a row that is not as it should be.
    """
    for path in _paths(files, "files"):
        yield from (Sentence(" ".join(line.split()), where) for where, line in read_lines(path))
    sets = set(sets)
    for path in _paths(manifests, "manifests"):
        for where, row in read_rows(path, TRANSCRIPTS):
            if known_split(row["split"], where) == "train" and (not sets or row.get("set") in sets):
                yield Sentence(" ".join(row["text"].split()), where)


def _paths(patterns: Iterable[str], option: str) -> Iterator[Path]:
    for pattern in patterns:
        found = sorted(glob(pattern, recursive=True))
        if not found:
            raise DataError(f"{pattern}: no such file; set `{option}` to files of text")
        yield from map(Path, found)


def is_held_out(text: str, share: float) -> bool:
    """By the hash of the sentence, so that a sentence that comes twice is never on both sides."""
    return zlib.crc32(text.encode()) < share * 2**32


def load_tokenizer(path: str | Path) -> Tokenizer:
    """The tokenizer of a training checkpoint (.ckpt), of a checkpoint folder, or of a tokenizer.json."""
    path = Path(path)
    if path.suffix == ".ckpt":
        if "tokenizer" not in (checkpoint := read_checkpoint(path)):
            raise CheckpointError(f"{path} carries no tokenizer; name a checkpoint of the model that the text is for")
        return parse_tokenizer(str(checkpoint["tokenizer"]), path)
    path = path / TOKENIZER if path.is_dir() else path
    try:
        return parse_tokenizer(read_text(path, MAX_BYTES[TOKENIZER]), path)
    except CheckpointError as error:
        raise CheckpointError(
            f"{path}: no tokenizer ({error}); name a .ckpt, a checkpoint folder, or its json"
        ) from error


class TextDataset(Dataset):
    """Sentences as ids, looked at before training; asked for by index, or by (index, epoch) as our samplers do.

    Raises DataError, naming file and line, for a sentence without a word that the tokenizer knows.
    """

    def __init__(self, sentences: Iterable[Sentence], tokenizer: Tokenizer, max_tokens: int) -> None:
        self.ids, self.n_words = [], []
        for sentence in sentences:
            ids = text_to_ids(tokenizer, sentence.text, max_tokens)
            if set(ids[:-1]) <= {UNKNOWN}:
                problem = "knows no word of it" if len(ids) > 1 else "finds no word in it"
                raise DataError(f"{sentence.where}: the tokenizer {problem}: {sentence.text[:40]!r}; mend or remove it")
            self.ids.append(np.array(ids, np.int32))
            self.n_words.append(len(split_words(tokenizer, sentence.text)))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> np.ndarray:
        return np.array([len(ids) for ids in self.ids])

    def __getitem__(self, item: int | tuple[int, int]) -> tuple[np.ndarray, int]:
        index = item if isinstance(item, int) else item[0]
        return self.ids[index], self.n_words[index]


def collate(items: list[tuple[np.ndarray, int]]) -> TextBatch:
    ids, n_words = zip(*items, strict=True)
    tokens = torch.full((len(items), max(map(len, ids))), PAD)
    for row, sentence in zip(tokens, ids, strict=True):
        row[: len(sentence)] = torch.from_numpy(sentence)
    return TextBatch(tokens, torch.tensor(n_words))


class TextData(pl.LightningDataModule):
    """Sentences and the tokenizer of the model that they are for.

    Args:
        tokenizer: a training checkpoint (.ckpt), a checkpoint folder, or a tokenizer.json.
        files: text files with one sentence on each line; * and ** stand for anything.
        manifests: tables (TSV or the like) with the columns split and text; only rows of the split train are used.
        sets: use only these of the manifests' sets; all if empty.
        val_share: share of the sentences, drawn by their hash, that is held out for validation.
        batch_tokens: tokens in a training batch, padding counted.
        eval_batch_tokens: the same in validation.
        max_tokens: longer sentences are cut.
        seed: draws the order.
    """

    def __init__(
        self,
        tokenizer: str,
        files: list[str] | str = [],  # noqa: B006 (never changed)
        manifests: list[str] | str = [],  # noqa: B006
        sets: list[str] = [],  # noqa: B006
        val_share: float = 0.03,
        batch_tokens: int = 2000,
        eval_batch_tokens: int = 10_000,
        max_tokens: int = 300,
        seed: int = 1,
    ) -> None:
        super().__init__()
        if not 0 < val_share < 1:
            raise ConfigError(f"data: val_share is {val_share}; it has to lie between 0 and 1")
        files, manifests = ([each] if isinstance(each, str) else each for each in (files, manifests))
        self.source = {"files": files, "manifests": manifests, "sets": sets}
        self.tokenizer_path, self.val_share, self.max_tokens, self.seed = tokenizer, val_share, max_tokens, seed
        self.batch_tokens, self.eval_batch_tokens = batch_tokens, eval_batch_tokens
        self.sentences: dict[str, list[Sentence]] = {}

    def setup(self, stage: str) -> None:
        if self.sentences:
            return
        parts: dict[str, list[Sentence]] = {"train": [], "val": []}
        for sentence in read_sentences(**self.source):
            parts["val" if is_held_out(sentence.text, self.val_share) else "train"].append(sentence)
        if empty := [name for name, part in parts.items() if not part]:
            raise DataError(f"data: no sentence for {empty[0]}; name more `files` or change `val_share`")
        self.sentences = parts

    def build_tokenizer(self) -> Tokenizer:
        """The vocabulary that the model has to share."""
        return load_tokenizer(self.tokenizer_path)

    def train_dataloader(self) -> DataLoader:
        dataset = self._dataset("train")
        rank, n_ranks = self.trainer.global_rank, self.trainer.world_size
        sampler = LengthSampler(dataset.lengths, self.batch_tokens, seed=self.seed, rank=rank, n_ranks=n_ranks)
        limit = self.trainer.limit_train_batches
        return ResumableLoader(dataset, sampler, limit, collate_fn=collate)

    def val_dataloader(self) -> DataLoader:
        dataset = self._dataset("val")
        batches = length_batches(dataset.lengths, self.eval_batch_tokens)
        share = share_of(batches, self.trainer.global_rank, self.trainer.world_size)
        return DataLoader(dataset, batch_sampler=share, collate_fn=collate)

    def _dataset(self, split: str) -> TextDataset:
        return TextDataset(self.sentences[split], self.trainer.lightning_module.tokenizer, self.max_tokens)

    def describe(self) -> dict[str, Any]:
        """What the data was, for the model card."""
        sizes = {split: len(sentences) for split, sentences in self.sentences.items()}
        return {**self.source, "n_sentences": sizes, "val_share": self.val_share, "seed": self.seed}


DATA = TextData
