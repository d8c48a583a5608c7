"""What a frozen encoder gives for every picture or sound of a data set: computed once, kept in a file, read in batches.

The decoders of a comparison read it by the modules of their tasks, so a mechanism costs no more than its decoder.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from multimodal_attn.decoders import build_decoder
from multimodal_attn.files import whole_file, write_whole
from multimodal_attn.memory import Memory
from multimodal_attn.model import Model, decode
from multimodal_attn.senses import encoder_to_dict
from multimodal_attn.sound import RATE
from multimodal_attn.tokens import PAD, text_to_ids
from multimodal_attn.trace import AttentionTrace, Origin
from tasks.loader import EpochSampler, LengthSampler, ResumableLoader, length_batches
from tasks.module import SequenceModule


class FeatureBatch(NamedTuple):
    """memory: values float16 (B, S, D) and their mask; tokens (B, M, T), END closes each sentence, then PAD; index (B,)
    of the examples; sizes (B, 1 or 2): what the encoder's `geometry` asks for."""

    memory: Memory
    tokens: Tensor
    index: Tensor
    sizes: Tensor


@dataclass(frozen=True)
class FeatureStore:
    """values float16 (total, D) of all examples, mapped from a file; example i has spans[i] = (first row, how many)."""

    values: np.ndarray
    spans: list[tuple[int, int]]
    sizes: list[list[int]]

    def __getitem__(self, index: int) -> np.ndarray:
        first, n_places = self.spans[index]
        return np.array(self.values[first : first + n_places])

    @property
    def lengths(self) -> np.ndarray:
        """Seconds of each sound, 1 for each picture: what the batches of its task are measured in. (n,)"""
        return np.array([size[0] / RATE if len(size) == 1 else 1.0 for size in self.sizes])


def open_features(folder: Path, encoder: nn.Module, data: pl.LightningDataModule, split: str) -> FeatureStore:
    """The features of a split, from `folder` if they are there, else computed and left there.

    They are found again by the files (name, size, time of change), the encoder and its parameters.
    """
    key = feature_key(encoder, [example.path for example in data.examples[split]])
    about, rows = folder / f"{key}.json", folder / f"{key}.f16"
    if not about.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_features(rows, about, encoder, raw_loader(data, encoder, data.examples[split]), f"features of {split}")
    known = json.loads(about.read_text())
    values = np.memmap(rows, np.float16, "r").reshape(-1, known["dim"])
    return FeatureStore(values, known["spans"], known["sizes"])


def feature_key(encoder: nn.Module, paths: Sequence[Path]) -> str:
    digest = hashlib.sha256(parameters_sha256(encoder).encode())
    for path in paths:
        stat = path.stat()
        digest.update(f"{path.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode())
    return digest.hexdigest()[:24]


def parameters_sha256(encoder: nn.Module) -> str:
    """Of the encoder's architecture, its way of framing, and every number in it."""
    digest = hashlib.sha256(json.dumps(encoder_to_dict(encoder.config), sort_keys=True).encode())
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@torch.inference_mode()
def write_features(rows: Path, about: Path, encoder: nn.Module, loader: DataLoader, what: str) -> None:
    spans: dict[int, tuple[int, int]] = {}
    sizes: dict[int, list[int]] = {}
    n_rows, encoder = 0, encoder.eval()
    with whole_file(rows) as file:
        for batch in tqdm(loader, what, disable=None):
            memory = encoder(batch[0])
            of_batch = batch.sizes.tolist() if encoder.sense == "picture" else batch[0].lengths.unsqueeze(1).tolist()
            n_places = memory.n_places.tolist()
            for index, values, n, size in zip(batch.index.tolist(), memory.values, n_places, of_batch, strict=True):
                file.write(values[:n].to(torch.float16).numpy().tobytes())
                spans[index], sizes[index] = (n_rows, n), size
                n_rows += n
    known = {"dim": encoder.dim, "spans": [spans[i] for i in range(len(spans))]}
    write_whole(about, json.dumps(known | {"sizes": [sizes[i] for i in range(len(sizes))]}))


def raw_loader(data: pl.LightningDataModule, encoder: nn.Module, examples: Sequence[Any]) -> DataLoader:
    """The pictures or sounds of examples as they are, each once."""
    if encoder.sense == "picture":
        from tasks.captioning.datamodule import CaptionDataset, collate

        dataset = CaptionDataset(examples, encoder.framing, data.augmentation, [[]] * len(examples), data.seed)
        return DataLoader(dataset, 32, collate_fn=collate, num_workers=data.n_workers)
    from tasks.speech.datamodule import SpeechDataset, collate

    dataset = SpeechDataset(examples, None, 0.0, data.seed)
    batches = length_batches(np.array(dataset.seconds), data.eval_batch_seconds)
    return DataLoader(dataset, batch_sampler=[batch.tolist() for batch in batches], collate_fn=collate)


# -- batches ----------------------------------------------------------------------------------------------------------


class FeatureDataset(Dataset):
    """Items by index, or by (index, epoch), which is the same since nothing is changed at random."""

    def __init__(self, store: FeatureStore, sentences: list[list[list[int]]]) -> None:
        self.store, self.sentences = store, sentences

    def __len__(self) -> int:
        return len(self.sentences)

    def __getitem__(self, item: int | tuple[int, int]) -> tuple[np.ndarray, list[list[int]], int, list[int]]:
        index = item if isinstance(item, int) else item[0]
        return self.store[index], self.sentences[index], index, self.store.sizes[index]


def collate_features(items: list[tuple]) -> FeatureBatch:
    features, sentences, index, sizes = zip(*items, strict=True)
    lengths = torch.tensor([len(rows) for rows in features])
    values = torch.zeros(len(items), int(lengths.max()), features[0].shape[1], dtype=torch.float16)
    longest = max((len(ids) for group in sentences for ids in group), default=1)
    tokens = torch.full((len(items), max(map(len, sentences)), longest), PAD)
    for row, (rows, group) in enumerate(zip(features, sentences, strict=True)):
        values[row, : len(rows)] = torch.from_numpy(rows)
        for column, ids in enumerate(group):
            tokens[row, column, : len(ids)] = torch.tensor(ids)
    mask = None if (lengths == lengths[0]).all() else torch.arange(values.shape[1]) < lengths.unsqueeze(1)
    return FeatureBatch(Memory(values, mask), tokens, torch.tensor(index), torch.tensor(sizes))


class FeatureData(pl.LightningDataModule):
    """The data of a task with features in place of its pictures or sounds, in batches of the task's own size."""

    def __init__(
        self, data: pl.LightningDataModule, stores: dict[str, FeatureStore], tokenizer: Tokenizer, seed: int
    ) -> None:
        super().__init__()
        self.data, self.stores, self.tokenizer, self.seed = data, stores, tokenizer, seed
        self.examples, self.split = data.examples, "val"
        self.word_times = getattr(data, "word_times", {})

    def sentences(self, split: str) -> list[list[list[int]]]:
        """The ids of every example's sentences."""
        cut = getattr(self.data, "max_tokens", None)
        return [[text_to_ids(self.tokenizer, text, cut) for text in texts_of(e)] for e in self.examples[split]]

    def train_dataloader(self) -> DataLoader:
        dataset = FeatureDataset(self.stores["train"], self.sentences("train"))
        if hasattr(self.data, "batch_limits"):
            sampler = LengthSampler(dataset.store.lengths, *self.data.batch_limits, *self.data.easy, self.seed)
        else:
            sampler = EpochSampler(len(dataset), self.data.batch_size, self.seed)
        return ResumableLoader(dataset, sampler, collate_fn=collate_features)

    def val_dataloader(self) -> DataLoader:
        dataset = FeatureDataset(self.stores["val"], [[] for _ in self.examples["val"]])
        most = getattr(self.data, "eval_batch_size", None) or self.data.eval_batch_seconds
        batches = [batch.tolist() for batch in length_batches(dataset.store.lengths, most)]
        return DataLoader(dataset, batch_sampler=batches, collate_fn=collate_features)


def texts_of(example: Any) -> tuple[str, ...]:
    """The sentences of an example: several of a picture, one of a sound."""
    return example.captions if hasattr(example, "captions") else (example.text,)


# -- the model --------------------------------------------------------------------------------------------------------


class FeatureReader(nn.Module):
    """Stands where the encoder was: batches are memories already, and it knows the encoder's geometry."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.config, self.dim, self.sense, self.geometry = encoder.config, encoder.dim, encoder.sense, encoder.geometry

    def forward(self, memory: Memory) -> Memory:
        return Memory(memory.values.float(), memory.mask)

    def set_trainable(self, trainable: bool) -> None:
        """There is nothing to train."""


class OnFeatures(SequenceModule):
    """Mixed into a task's module: the same losses, search and scores over features. `frozen` is the encoder of them."""

    frozen: nn.Module  # of the class, since the module would register its own for training

    def configure_model(self) -> None:
        if self.model is None:
            data = self.trainer.datamodule
            torch.manual_seed(data.seed)
            decoder = build_decoder(self.decoder_config, self.frozen.dim, data.tokenizer.get_vocab_size())
            self.model = Model(FeatureReader(self.frozen), decoder, data.tokenizer)

    def training_step(self, batch: FeatureBatch, batch_idx: int) -> Tensor:
        return self.sentence_loss(self.read_memory(batch.memory), batch.tokens)

    def search_batch(self, batch: FeatureBatch) -> dict[int, AttentionTrace]:
        geometries = [self.model.encoder.geometry(*size) for size in batch.sizes.tolist()]
        traces = decode(self.model, batch.memory, geometries, self.search, Origin())
        return dict(zip(batch.index.tolist(), traces, strict=True))


def module_on_features(base: SequenceModule, encoder: nn.Module, attention: dict[str, Any]) -> SequenceModule:
    """A fresh module of the class and with the settings of `base`, but for its mechanism, on what `encoder` gave."""
    kind = type(f"{type(base).__name__}OnFeatures", (OnFeatures, type(base)), {"frozen": encoder})
    decoder = replace(base.decoder_config, attention=attention)
    return kind(base.encoder_config, decoder, search=base.search, loss=base.loss, schedule=base.schedule)
