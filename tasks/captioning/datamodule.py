"""Pictures and captions for training, validation, test and prediction."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import DataLoader

from multimodal_attn.senses.picture.framing import PicturePlaces
from multimodal_attn.senses.picture.geometry import PictureGeometry
from multimodal_attn.senses.picture.media import picture_files, read_picture
from multimodal_attn.tokens import text_to_ids
from tasks.captioning.datasets import Example, load_splits
from tasks.captioning.transforms import Augmentation, augment, mirror_caption
from tasks.captioning.vocabulary import build_vocabulary
from tasks.training.collection import as_paths
from tasks.training.data import Batch, FileDataset, SequenceData, pad_sentences
from tasks.training.loader import EpochSampler, ResumableLoader, length_batches


class CaptionDataset(FileDataset):
    """Items are asked for by index (validation: the whole picture) or by (index, epoch) (training: a random view).

    captions: of every example, as ids; mirrored: the same of the picture seen in a mirror.
    """

    def __init__(
        self,
        examples: list[Example],
        places: PicturePlaces,
        augmentation: Augmentation,
        captions: list[list[list[int]]],
        seed: int,
        tolerant: bool = False,
        mirrored: list[list[list[int]]] | None = None,
    ) -> None:
        super().__init__(tolerant)
        self.examples, self.places, self.augmentation = examples, places, augmentation
        self.captions, self.seed, self.mirrored = captions, seed, mirrored or captions

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, item: int | tuple[int, int]) -> tuple[Tensor, list[list[int]], int, PictureGeometry]:
        framing, index = self.places.framing, item if isinstance(item, int) else item[0]
        picture = read_picture(self.examples[index].path, min_side_hint=framing.size)
        image, captions = picture.image, self.captions[index]
        if not isinstance(item, int):
            rng = np.random.default_rng((self.seed, *item))
            image, mirrored = augment(image, framing, self.augmentation, rng)
            captions = self.mirrored[index] if mirrored else captions
        geometry = self.places.geometry(picture.width, picture.height)
        return framing.frame(image), captions, index, geometry


def collate(items: list[tuple]) -> Batch:
    """Inputs: uint8 (B, 3, size, size)."""
    pictures, captions, index, geometries = zip(*items, strict=True)
    return Batch(torch.stack(pictures), pad_sentences(captions), torch.tensor(index), geometries)


class CaptioningData(SequenceData):
    """Pictures and their captions.

    Args:
        root: the data set's folder, or its file of captions; several are used together.
        format: flickr8k, captions_txt, flickr30k, karpathy, coco, table, beside, or auto, which looks at the files.
        captions: the file of captions below root, where it has another name than the format's own.
        images: the folder of pictures below root, likewise.
        batch_size: pictures in a batch; each brings all its captions, and is encoded once for them.
        eval_batch_size: pictures in a batch of validation, test and prediction.
        max_tokens: captions are cut to this many words in training.
        min_count: words seen less often in the training captions are unknown; by their number if not set, from 1 for
            the captions of a few pictures to 5 for Flickr8k's.
        augmentation: how training pictures are changed.
        n_workers: processes that read pictures.
        split: what `test` and `predict` read.
        predict_paths: files and folders for `predict`, instead of a split.
        skip_bad: leave out rows and files that cannot be used, and say how many, instead of refusing to start.
        seed: draws the order and the random views.
    """

    OF_ROOT = ("format", "captions", "images", "skip_bad")
    shown = range(6, 12)

    def __init__(
        self,
        root: list[str] | str,
        format: str = "auto",
        captions: str | None = None,
        images: str | None = None,
        batch_size: int = 16,
        eval_batch_size: int = 64,
        max_tokens: int = 20,
        min_count: int | None = None,
        augmentation: Augmentation = Augmentation(),  # noqa: B008 (frozen)
        n_workers: int = 1,
        split: str = "test",
        predict_paths: list[str] | str | None = None,
        skip_bad: bool = False,
        seed: int = 1,
    ) -> None:
        super().__init__()
        self.source = {"root": root, "format": format, "captions": captions, "images": images, "skip_bad": skip_bad}
        self.batch_size, self.eval_batch_size, self.n_workers = batch_size, eval_batch_size, n_workers
        self.max_tokens, self.min_count, self.augmentation = max_tokens, min_count, augmentation
        self.split, self.predict_paths, self.seed = split, predict_paths, seed
        self.examples: dict[str, list[Example]] = {}

    def setup(self, stage: str) -> None:
        wanted = {"fit": ("train", "val"), "validate": ("val",), "test": (self.split,), "predict": (self.split,)}[stage]
        if stage == "predict" and self.predict_paths:
            paths = picture_files(as_paths(self.predict_paths))
            self.examples[self.split] = [self.example(path) for path in paths]
        if missing := [split for split in wanted if split not in self.examples]:
            self.examples |= load_splits(splits=missing, **self.source, opened=True)

    def build_tokenizer(self) -> Tokenizer:
        """The vocabulary of the training captions."""
        return build_vocabulary((c for e in self.examples["train"] for c in e.captions), self.min_count)

    def train_dataloader(self) -> DataLoader:
        examples, tokenizer = self.examples["train"], self.tokenizer
        captions = self.sentences(tokenizer, examples)
        mirrored = [[text_to_ids(tokenizer, mirror_caption(t), self.max_tokens) for t in e.captions] for e in examples]
        places = self.encoder.places
        dataset = CaptionDataset(examples, places, self.augmentation, captions, self.seed, True, mirrored)
        sampler = self.sampler(np.ones(len(dataset)), self.seed, *self.ranks)
        limit = self.trainer.limit_train_batches
        return ResumableLoader(dataset, sampler, limit, collate_fn=collate, **self.worker_options())

    def eval_loader(self, split: str) -> DataLoader:
        dataset = self._unlabelled(self.examples[split], self.encoder, tolerant=True)
        rank, n_ranks = self.ranks
        share = range(rank, len(dataset), n_ranks)  # of this process
        options = {"batch_size": self.eval_batch_size, "sampler": share, "collate_fn": collate}
        return DataLoader(dataset, **options, **self.worker_options())

    def sentences(self, tokenizer: Tokenizer, examples: Sequence[Example]) -> list[list[list[int]]]:
        """Cut to max_tokens."""
        return [[text_to_ids(tokenizer, text, self.max_tokens) for text in e.captions] for e in examples]

    def example(self, source: Path) -> Example:
        return Example(source, (), str(source))

    def whole(self, examples: Sequence[Example], encoder: Any) -> DataLoader:
        return DataLoader(
            self._unlabelled(examples, encoder, tolerant=False), 32, collate_fn=collate, num_workers=self.n_workers
        )

    def sampler(self, lengths: np.ndarray, seed: int, rank: int = 0, n_ranks: int = 1) -> EpochSampler:
        return EpochSampler(len(lengths), self.batch_size, seed, rank, n_ranks)

    def eval_batches(self, lengths: np.ndarray) -> list[list[int]]:
        return [batch.tolist() for batch in length_batches(lengths, self.eval_batch_size)]

    @property
    def batch_in_words(self) -> str:
        return str(self.batch_size)

    def _unlabelled(self, examples: Sequence[Example], encoder: Any, tolerant: bool) -> CaptionDataset:
        none = [[] for _ in examples]
        return CaptionDataset(examples, encoder.places, self.augmentation, none, self.seed, tolerant)

    def describe(self) -> dict[str, Any]:
        """What the data was, for the model card."""
        sizes = {split: len(examples) for split, examples in self.examples.items()}
        return {**self.source, "n_examples": sizes, "augmentation": asdict(self.augmentation), "seed": self.seed}


DATA = CaptioningData
