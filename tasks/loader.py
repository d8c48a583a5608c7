"""A training loader whose order is a function of (seed, epoch), and that goes on from the batch where it was left."""

from collections.abc import Iterator
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


class ResumableLoader(DataLoader):
    """Counts the batches that were consumed, not those that workers prefetched, so that a resumed epoch neither repeats
    nor skips one. Lightning saves and restores the state of a loader that has these two methods."""

    def __init__(self, dataset: Any, sampler: EpochSampler, **options: Any) -> None:
        super().__init__(dataset, batch_sampler=sampler, **options)
        self.consumed, self.epoch = 0, 0

    def __iter__(self) -> Iterator[Any]:
        self.batch_sampler.epoch, self.batch_sampler.first = self.epoch, self.consumed
        for batch in super().__iter__():
            self.consumed += 1
            if self.consumed == len(self):
                self.consumed, self.epoch = 0, self.epoch + 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        return {"consumed": self.consumed, "epoch": self.epoch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.consumed, self.epoch = state["consumed"], state["epoch"]
