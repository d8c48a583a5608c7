"""Recordings and transcripts for training, validation, test and prediction, in batches of like length."""

import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch.utils.data import DataLoader

from multimodal_attn.errors import ConfigError, DataError, MediaError
from multimodal_attn.senses.sound.geometry import SoundGeometry
from multimodal_attn.senses.sound.logmel import SoundBatch
from multimodal_attn.senses.sound.media import RATE, read_sound, sound_files
from multimodal_attn.tokens import build_piece_tokenizer, text_to_ids
from tasks.speech.datasets import SOUNDS, Utterance, load_splits, load_word_times
from tasks.speech.splice import Splicer, quiet_sample
from tasks.speech.transforms import Augmentation
from tasks.training.collection import as_paths, check_not_empty
from tasks.training.data import Batch, FileDataset, SequenceData, pad_sentences
from tasks.training.loader import LengthSampler, ResumableLoader, length_batches, share_of

LONGEST_STRING = 6  # clips joined to one
LONGEST_GAP = 0.3  # seconds between them


class SpeechDataset(FileDataset):
    """Items are asked for by index (validation) or by (index, epoch) (training: short clips are joined and, where there
    is a splicer, others spliced at random).

    Decoded sounds are kept as 16-bit samples, 115 MB an hour, since decoding them costs as much as a tenth of training.
    """

    def __init__(
        self,
        examples: list[Utterance],
        tokenizer: Tokenizer | None,
        join: float,
        seed: int,
        splicer: Splicer | None = None,
        tolerant: bool = False,
    ) -> None:
        super().__init__(tolerant)
        self.examples, self.tokenizer, self.seed, self.splicer = examples, tokenizer, seed, splicer
        self.cache: dict[int, np.ndarray] = {}
        self.groups = join_short(examples, join)

    def __len__(self) -> int:
        return len(self.groups)

    @property
    def seconds(self) -> list[float]:
        """About how long each item is."""
        return [sum(self.length(i) for i in group[:LONGEST_STRING]) for group in self.groups]

    def length(self, index: int) -> float:
        """Seconds, 0 for a sound that cannot be read."""
        seconds = self.examples[index].seconds
        try:
            return len(self.samples(index)) / RATE if seconds is None else seconds
        except MediaError as error:
            if not self.tolerant:
                raise
            self.leave_out(error)
            return 0.0

    def samples(self, index: int) -> np.ndarray:
        """int16 (n,)"""
        if index not in self.cache:
            samples = read_sound(self.examples[index].path).samples
            self.cache[index] = np.rint(np.clip(samples, -1, 1) * 32767).astype(np.int16)
        return self.cache[index]

    def __getitem__(self, item: int | tuple[int, int]) -> tuple[np.ndarray, list[int], int]:
        index, epoch = (item, None) if isinstance(item, int) else item
        rng = None if epoch is None else np.random.default_rng((self.seed, index, epoch))
        group = self.groups[index]
        if rng and len(group) > 1:
            samples, text = self._string(group, rng)
        else:
            samples, text = self._one(group[0], rng)
        return samples, text_to_ids(self.tokenizer, text) if self.tokenizer else [], index

    def _string(self, group: tuple[int, ...], rng: np.random.Generator) -> tuple[np.ndarray, str]:
        chosen = rng.choice(group, rng.integers(1, LONGEST_STRING + 1)).tolist()
        gaps = rng.integers(0, int(LONGEST_GAP * RATE), len(chosen) - 1)
        parts = [self.samples(chosen[0])]
        for gap, other in zip(gaps, chosen[1:], strict=True):
            parts += [np.zeros(gap, np.int16), self.samples(other)]
        return np.concatenate(parts), " ".join(self.examples[i].text for i in chosen)

    def _one(self, index: int, rng: np.random.Generator | None) -> tuple[np.ndarray, str]:
        samples, text = self.samples(index), self.examples[index].text
        splice = self.splicer.draw(index, self.length, rng) if self.splicer and rng else None
        if not splice:
            return samples, text
        other = self.samples(splice.other)
        parts = samples[: quiet_sample(samples, splice.cut)], other[quiet_sample(other, splice.start) :]
        words = text.split()[: splice.n_words] + self.examples[splice.other].text.split()[splice.first :]
        return np.concatenate(parts), " ".join(words)


def join_short(examples: list[Utterance], below: float) -> list[tuple[int, ...]]:
    """One item per utterance, but the clips shorter than `below` seconds of a speaker share as many items as strings of
    mean length use them once."""
    short: dict[str, list[int]] = defaultdict(list)
    groups: list[tuple[int, ...]] = []
    for index, example in enumerate(examples):
        if example.seconds is not None and example.seconds < below:
            short[example.speaker].append(index)
        else:
            groups.append((index,))
    for clips in short.values():
        groups += [tuple(clips)] * max(1, round(len(clips) / ((1 + LONGEST_STRING) / 2)))
    return groups


def collate(items: list[tuple[np.ndarray, list[int], int]], places: Any) -> Batch:
    """Inputs: a SoundBatch. places: the encoder's."""
    sounds, ids, index = zip(*items, strict=True)
    lengths = [len(sound) for sound in sounds]
    samples = torch.zeros(len(items), max(lengths))
    for row, sound in zip(samples, sounds, strict=True):
        row[: len(sound)] = torch.from_numpy(sound) / 32768
    inputs, tokens = SoundBatch(samples, torch.tensor(lengths)), pad_sentences([[sentence] for sentence in ids])
    return Batch(inputs, tokens, torch.tensor(index), [places.geometry(n) for n in lengths])


class SpeechData(SequenceData):
    """Recordings and their transcripts.

    Args:
        root: data sets, each a folder or a file of transcripts; several are used together.
        format: manifest, librispeech, common_voice, kaldi, ljspeech, table, beside, or auto, which looks at the files.
        transcripts: the file of transcripts below root, where it has another name than the format's own.
        clips: the folder of sounds below root, likewise.
        sets: use only these sets of a manifest; all if empty.
        val_share: share of the training utterances, drawn by the hash of their ids, that validation gets instead; for
            sets that have no such split.
        n_pieces: size of the vocabulary of word pieces; 0 for single letters.
        batch_size: utterances in a training batch, and
        batch_seconds: its sound, padding counted, at most.
        eval_batch_seconds: the same in validation, test and prediction.
        max_seconds: longer utterances are left out of training.
        easy_epochs: epochs at the start, as long as the others, that repeat the utterances of up to `easy_seconds`:
            short ones align soon.
        augmentation: how training sounds are changed.
        n_workers: processes that read sounds; each keeps its own copy of what it decoded.
        split: what `test` and `predict` read.
        alignments: a table `id, word, start, end` (tab-separated, seconds) of word times: true ones to measure ours by,
            and those that splicing cuts by.
        predict_paths: files and folders for `predict`, instead of a split.
        skip_bad: leave out rows and files that cannot be used, and say how many, instead of refusing to start.
        seed: draws the order and the changes.
    """

    OF_ROOT = ("format", "transcripts", "clips", "sets", "alignments", "skip_bad")
    shown = range(8, 24)

    def __init__(
        self,
        root: list[str] | str,
        format: str = "auto",
        transcripts: str | None = None,
        clips: str | None = None,
        sets: list[str] = [],  # noqa: B006 (never changed)
        val_share: float = 0.0,
        n_pieces: int = 300,
        batch_size: int = 12,
        batch_seconds: float = 120.0,
        eval_batch_seconds: float = 300.0,
        max_seconds: float = 20.0,
        easy_epochs: int = 0,
        easy_seconds: float = 4.0,
        augmentation: Augmentation = Augmentation(),  # noqa: B008 (frozen)
        n_workers: int = 0,
        split: str = "test",
        alignments: str | None = None,
        predict_paths: list[str] | str | None = None,
        skip_bad: bool = False,
        seed: int = 1,
    ) -> None:
        super().__init__()
        self.source = {"root": root, "format": format, "transcripts": transcripts, "clips": clips}
        self.source["skip_bad"] = skip_bad
        self.sets, self.val_share = sets, val_share
        self.n_pieces, self.augmentation = n_pieces, augmentation
        self.batch_limits = (batch_seconds, batch_size)
        self.eval_batch_seconds, self.max_seconds = eval_batch_seconds, max_seconds
        self.easy = (easy_epochs, easy_seconds)
        self.n_workers, self.split, self.seed = n_workers, split, seed
        self.predict_paths, self.alignments = predict_paths, alignments
        self.word_times: dict[str, list[tuple[str, float, float]]] = {}
        self.examples: dict[str, list[Utterance]] = {}

    def setup(self, stage: str) -> None:
        wanted = {"fit": ("train", "val"), "validate": ("val",), "test": (self.split,), "predict": (self.split,)}[stage]
        if stage == "fit" and self.augmentation.splice and not self.alignments:
            raise ConfigError("augmentation.splice cuts by word times; name a table of them with --data.alignments")
        if stage == "predict" and self.predict_paths:
            paths = sound_files(as_paths(self.predict_paths))
            self.examples[self.split] = [self.example(path) for path in paths]
        if missing := [split for split in wanted if split not in self.examples]:
            self.examples |= self._load(missing)
            roots = ", ".join(map(str, as_paths(self.source["root"])))
            check_not_empty({split: self.examples[split] for split in missing}, roots, SOUNDS)
        if self.alignments and not self.word_times:
            self.word_times = load_word_times(Path(self.alignments))
        if "train" in self.examples:
            self.examples["train"] = [e for e in self.examples["train"] if (e.seconds or 0) <= self.max_seconds]

    def _load(self, wanted: list[str]) -> dict[str, list[Utterance]]:
        def is_held_out(example: Utterance) -> bool:
            return zlib.crc32(example.id.encode()) < self.val_share * 2**32

        shared = bool(self.val_share) and "val" in wanted
        examples = load_splits(splits=[*wanted, "train"] if shared else wanted, **self.source, opened=True)
        examples = {split: self._of_sets(each, split) for split, each in examples.items()}
        if self.val_share and "train" in examples:
            if shared:
                examples["val"] = examples["val"] + [each for each in examples["train"] if is_held_out(each)]
            examples["train"] = [each for each in examples["train"] if not is_held_out(each)]
        return {split: examples[split] for split in wanted}

    def _of_sets(self, examples: list[Utterance], split: str) -> list[Utterance]:
        chosen = [example for example in examples if not self.sets or example.set in self.sets]
        if self.sets and not chosen and not (split == "val" and self.val_share):
            raise DataError(f"no utterance of the sets {', '.join(self.sets)}; see the column `set` of the manifest")
        return chosen

    def build_tokenizer(self) -> Tokenizer:
        """The pieces of the training transcripts."""
        return build_piece_tokenizer((example.text for example in self.examples["train"]), self.n_pieces)

    def train_dataloader(self) -> DataLoader:
        splicer = Splicer(self.examples["train"], self.word_times, self.augmentation.splice)
        join = self.augmentation.join
        dataset = SpeechDataset(self.examples["train"], self.tokenizer, join, self.seed, splicer, tolerant=True)
        sampler = self.sampler(np.array(dataset.seconds), self.seed, *self.ranks)
        together = partial(collate, places=self.encoder.places)
        limit = self.trainer.limit_train_batches
        return ResumableLoader(dataset, sampler, limit, collate_fn=together, **self.worker_options())

    def eval_loader(self, split: str) -> DataLoader:
        dataset = SpeechDataset(self.examples[split], None, 0.0, self.seed, tolerant=True)
        share = share_of(self.eval_batches(np.array(dataset.seconds)), *self.ranks)
        together = partial(collate, places=self.encoder.places)
        return DataLoader(dataset, batch_sampler=share, collate_fn=together, **self.worker_options())

    def example(self, source: Path) -> Utterance:
        return Utterance(source, "", str(source), "", "", None, str(source))

    def whole(self, examples: Sequence[Utterance], encoder: Any) -> DataLoader:
        dataset = SpeechDataset(examples, None, 0.0, self.seed)
        batches = self.eval_batches(np.array(dataset.seconds))
        return DataLoader(dataset, batch_sampler=batches, collate_fn=partial(collate, places=encoder.places))

    def length(self, geometry: SoundGeometry) -> float:
        return geometry.seconds

    def sampler(self, lengths: np.ndarray, seed: int, rank: int = 0, n_ranks: int = 1) -> LengthSampler:
        return LengthSampler(lengths, *self.batch_limits, *self.easy, seed, rank, n_ranks)

    def eval_batches(self, lengths: np.ndarray) -> list[list[int]]:
        return [batch.tolist() for batch in length_batches(lengths, self.eval_batch_seconds)]

    @property
    def batch_in_words(self) -> str:
        seconds, size = self.batch_limits
        return f"up to {seconds:g} s or {size}"

    def describe(self) -> dict[str, Any]:
        """What the data was, for the model card."""
        sizes = {split: len(examples) for split, examples in self.examples.items()}
        return {**self.source, "n_examples": sizes, "augmentation": asdict(self.augmentation), "seed": self.seed}


DATA = SpeechData
