"""Training loaders whose order is a function of (seed, epoch), and that go on from the batch where they were left."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import DataLoader


class EpochSampler:
    """Yields batches of (index, epoch) in an order drawn from (seed, epoch); every rank gets its own equal share.

    Where the examples do not fill the last batch of every rank, the first ones of the epoch come twice.
    """

    def __init__(self, n_examples: int, batch_size: int, seed: int = 0, rank: int = 0, n_ranks: int = 1) -> None:
        self.n_examples, self.batch_size, self.seed = n_examples, batch_size, seed
        self.rank, self.n_ranks = rank, n_ranks
        self.epoch, self.first = 0, 0

    def __len__(self) -> int:
        return -(-self.n_examples // (self.batch_size * self.n_ranks))

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.n_examples)
        order = np.resize(order, len(self) * self.batch_size * self.n_ranks)[self.rank :: self.n_ranks]
        for start in range(self.first * self.batch_size, len(order), self.batch_size):
            yield [(int(index), self.epoch) for index in order[start : start + self.batch_size]]


def length_batches(lengths: np.ndarray, most: float, n_most: int = 2**31) -> list[np.ndarray]:
    """Indices in batches of like lengths (n,), shortest first; a batch's size is at most n_most, and the longest in it
    times its size at most `most`, unless it is alone."""
    order = np.argsort(lengths, kind="stable")
    batches, first = [], 0
    for end in range(1, len(order) + 1):
        full = end - first == n_most
        if full or end == len(order) or lengths[order[end]] * (end + 1 - first) > most:
            batches.append(order[first:end])
            first = end
    return batches


def share_of(batches: Sequence[Sequence[int]], rank: int, n_ranks: int) -> list[list[int]]:
    """A rank's batches; where there are fewer of them than ranks, each of them is shared out."""
    if len(batches) < n_ranks:
        parts = (part for batch in batches for part in np.array_split(batch, n_ranks))
        batches = [part for part in parts if len(part)]
    return [[int(index) for index in batch] for batch in batches[rank::n_ranks]]


class LengthSampler:
    """Yields batches of (index, epoch) of like length, drawn anew from (seed, epoch) in every epoch.

    lengths: of the examples, in any unit. most: of a batch, the longest times their number, about. n_most: of a batch,
    their number. easy_epochs: so many epochs at the start, as long as the others, take only batches of lengths up to
    `easy`, again and again. Every rank gets an equal number of batches, and all of them like lengths at a time, since
    each step waits for the slowest.
    """

    def __init__(
        self,
        lengths: Sequence[float],
        most: float,
        n_most: int = 2**31,
        easy_epochs: int = 0,
        easy: float = 0.0,
        seed: int = 0,
        rank: int = 0,
        n_ranks: int = 1,
    ) -> None:
        self.lengths, self.seed = np.asarray(lengths, float), seed
        self.easy_epochs, self.easy = easy_epochs, easy
        self.rank, self.n_ranks = rank, n_ranks
        self.sizes = [len(batch) for batch in length_batches(self.lengths, most, n_most)]  # the same in every epoch
        self.epoch, self.first = 0, 0

    def __len__(self) -> int:
        return -(-len(self.sizes) // self.n_ranks)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        order = np.argsort(self.lengths * rng.uniform(0.9, 1.1, len(self.lengths)), kind="stable")
        batches = np.split(order, np.cumsum(self.sizes)[:-1])
        n = len(batches)
        if self.epoch < self.easy_epochs:
            n = max(1, sum(self.lengths[batch].max() <= self.easy for batch in batches))  # the first ones
        groups = -(-n // self.n_ranks)  # of neighbours; what the last one lacks comes from the beginning
        turns = np.concatenate([rng.permutation(groups) for _ in range(-(-len(self) // groups))])[: len(self)]
        turns = (turns * self.n_ranks + self.rank) % n
        for turn in turns[self.first :]:
            yield [(int(index), self.epoch) for index in batches[turn]]


class ResumableLoader(DataLoader):
    """Counts the batches that were consumed, not those that workers prefetched, so that a resumed epoch neither repeats
    nor skips one. Lightning saves and restores the state of a loader that has these two methods.

    limit: the trainer's `limit_train_batches`, a number of batches or a share of them, after which an epoch is over.
    """

    def __init__(
        self, dataset: Any, sampler: EpochSampler | LengthSampler, limit: int | float | None = None, **options: Any
    ) -> None:
        super().__init__(dataset, batch_sampler=sampler, **options)
        self.consumed, self.epoch = 0, 0
        limit = 1.0 if limit is None else limit
        self.per_epoch = int(len(self) * limit) if isinstance(limit, float) else min(len(self), limit)

    def __iter__(self) -> Iterator[Any]:
        self.batch_sampler.epoch, self.batch_sampler.first = self.epoch, self.consumed
        for batch in super().__iter__():
            self.consumed += 1
            if self.consumed == self.per_epoch:
                self.consumed, self.epoch = 0, self.epoch + 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        return {"consumed": self.consumed, "epoch": self.epoch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.consumed, self.epoch = state["consumed"], state["epoch"]
