"""What a frozen encoder gives for every input of a data set: computed once, kept in a file, read in batches.

The decoders of a comparison read it by the modules of their tasks, so a mechanism costs no more than its decoder.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from tokenizers import Tokenizer
from torch import nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from multimodal_attn.decoders import DecoderConfig, build_decoder
from multimodal_attn.files import whole_file, write_whole
from multimodal_attn.memory import Memory
from multimodal_attn.model import Model
from multimodal_attn.senses import Geometry, encoder_to_dict, geometry_from_dict
from tasks.training.data import Batch, SequenceData, pad_sentences
from tasks.training.loader import ResumableLoader
from tasks.training.module import SequenceModule

FORMAT = 2  # of the files


@dataclass(frozen=True)
class FeatureStore:
    """values float16 (total, D) of all examples, mapped from a file; example i has spans[i] = (first row, how many)."""

    values: np.ndarray
    spans: list[tuple[int, int]]
    geometries: list[Geometry]

    def __getitem__(self, index: int) -> np.ndarray:
        first, n_places = self.spans[index]
        return np.array(self.values[first : first + n_places])


def open_features(folder: Path, encoder: nn.Module, data: SequenceData, split: str) -> FeatureStore:
    """The features of a split, from `folder` if they are there, else computed and left there.

    They are found again by the files (name, size, time of change), the encoder and its parameters.
    """
    key = feature_key(encoder, [example.input for example in data.examples[split]])
    about, rows = folder / f"{key}.json", folder / f"{key}.f16"
    if not about.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_features(rows, about, encoder, data.whole(data.examples[split], encoder), f"features of {split}")
    known = json.loads(about.read_text())
    values = np.memmap(rows, np.float16, "r").reshape(-1, known["dim"])
    return FeatureStore(values, known["spans"], list(map(geometry_from_dict, known["geometries"])))


def feature_key(encoder: nn.Module, sources: Sequence[Any]) -> str:
    digest = hashlib.sha256(f"{FORMAT}{parameters_sha256(encoder)}".encode())
    for source in sources:
        digest.update(f"{state_of(source)}\0".encode())
    return digest.hexdigest()[:24]


def state_of(source: Any) -> str:
    """What changes when an input does: of a file, its size and time too."""
    if not isinstance(source, Path):
        return str(source)
    stat = source.stat()
    return f"{source.resolve()}\0{stat.st_size}\0{stat.st_mtime_ns}"


def parameters_sha256(encoder: nn.Module) -> str:
    """Of the encoder's architecture, its way of framing, and every number in it."""
    digest = hashlib.sha256(json.dumps(encoder_to_dict(encoder.config), sort_keys=True).encode())
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


@torch.inference_mode()
def write_features(rows: Path, about: Path, encoder: nn.Module, loader: DataLoader, what: str) -> None:
    spans: dict[int, tuple[int, int]] = {}
    geometries: dict[int, dict[str, Any]] = {}
    n_rows, encoder = 0, encoder.eval()
    with whole_file(rows) as file:
        for batch in tqdm(loader, what, disable=None):
            memory = encoder(batch.inputs)
            each = zip(batch.index.tolist(), memory.values, memory.n_places.tolist(), batch.geometries, strict=True)
            for index, values, n, geometry in each:
                file.write(values[:n].to(torch.float16).numpy().tobytes())
                spans[index], geometries[index] = (n_rows, n), geometry.to_dict()
                n_rows += n
    known = {"dim": encoder.dim, "spans": [spans[i] for i in range(len(spans))]}
    write_whole(about, json.dumps(known | {"geometries": [geometries[i] for i in range(len(geometries))]}))


# -- batches ----------------------------------------------------------------------------------------------------------


class FeatureDataset(Dataset):
    """Items by index, or by (index, epoch), which is the same since nothing is changed at random."""

    def __init__(self, store: FeatureStore, sentences: list[list[list[int]]]) -> None:
        self.store, self.sentences = store, sentences

    def __len__(self) -> int:
        return len(self.sentences)

    def __getitem__(self, item: int | tuple[int, int]) -> tuple[np.ndarray, list[list[int]], int, Geometry]:
        index = item if isinstance(item, int) else item[0]
        return self.store[index], self.sentences[index], index, self.store.geometries[index]


def collate_features(items: list[tuple]) -> Batch:
    """Inputs: Memory of float16 values (B, S, D)."""
    features, sentences, index, geometries = zip(*items, strict=True)
    lengths = torch.tensor([len(rows) for rows in features])
    values = torch.zeros(len(items), int(lengths.max()), features[0].shape[1], dtype=torch.float16)
    for place, rows in zip(values, features, strict=True):
        place[: len(rows)] = torch.from_numpy(rows)
    mask = None if (lengths == lengths[0]).all() else torch.arange(values.shape[1]) < lengths.unsqueeze(1)
    return Batch(Memory(values, mask), pad_sentences(sentences), torch.tensor(index), geometries)


class FeatureData(pl.LightningDataModule):
    """The data of a task with features in place of its inputs, in batches of the task's own size."""

    def __init__(self, data: SequenceData, stores: dict[str, FeatureStore], tokenizer: Tokenizer, seed: int) -> None:
        super().__init__()
        self.data, self.stores, self.tokenizer, self.seed = data, stores, tokenizer, seed

    def lengths(self, split: str) -> np.ndarray:
        """Of the inputs, as the task's batches are measured. (n,)"""
        return np.array([self.data.length(geometry) for geometry in self.stores[split].geometries])

    def train_dataloader(self) -> DataLoader:
        sentences = self.data.sentences(self.tokenizer, self.data.examples["train"])
        sampler = self.data.sampler(self.lengths("train"), self.seed)
        return ResumableLoader(FeatureDataset(self.stores["train"], sentences), sampler, collate_fn=collate_features)

    def val_dataloader(self) -> DataLoader:
        dataset = FeatureDataset(self.stores["val"], [[] for _ in self.data.examples["val"]])
        batches = self.data.eval_batches(self.lengths("val"))
        return DataLoader(dataset, batch_sampler=batches, collate_fn=collate_features)


# -- the model --------------------------------------------------------------------------------------------------------


class FeatureReader(nn.Module):
    """Stands where the encoder was: batches are memories already."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.config, self.dim, self.sense = encoder.config, encoder.dim, encoder.sense

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

    def encode(self, inputs: Memory) -> Memory:
        return self.model.encoder(inputs)

    @property
    def data(self) -> SequenceData:
        return self.trainer.datamodule.data


def module_on_features(base: SequenceModule, encoder: nn.Module, decoder: DecoderConfig) -> SequenceModule:
    """A fresh module of the class and with the settings of `base`, but for its decoder, on what `encoder` gave."""
    kind = type(f"{type(base).__name__}OnFeatures", (OnFeatures, type(base)), {"frozen": encoder})
    return kind(base.encoder_config, decoder, search=base.search, loss=base.loss, schedule=base.schedule)
