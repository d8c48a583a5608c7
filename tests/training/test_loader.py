"""The order of training: a function of (seed, epoch), shared out among ranks, and continued where it was left."""

from collections import Counter
from itertools import chain, islice

import pytest
from torch.utils.data import Dataset

from tasks.training.loader import EpochSampler, ResumableLoader

pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes")

N, BATCH = 23, 5  # four whole batches, and one that the first examples of the epoch fill up

Item = tuple[int, int]  # index, epoch


class Echo(Dataset):
    def __len__(self) -> int:
        return N

    def __getitem__(self, item: Item) -> Item:
        return item


def epoch_of(seed: int = 1, epoch: int = 0, rank: int = 0, n_ranks: int = 1) -> list[list[Item]]:
    sampler = EpochSampler(N, BATCH, seed, rank, n_ranks)
    sampler.epoch = epoch
    batches = list(sampler)
    assert len(batches) == len(sampler)
    return batches


def indices(batches: list[list[Item]]) -> list[int]:
    return [index for index, _ in chain(*batches)]


def test_order_is_a_function_of_seed_and_epoch() -> None:
    assert epoch_of(1, 2) == epoch_of(1, 2)
    orders = {tuple(indices(epoch_of(seed, epoch))) for seed in (0, 1, 2) for epoch in (0, 1, 2)}
    assert len(orders) == 9
    assert {epoch for batch in epoch_of(1, 2) for _, epoch in batch} == {2}


@pytest.mark.parametrize("n_ranks", [1, 2, 3, 7])
def test_ranks_share_the_epoch_equally_and_leave_nothing_out(n_ranks: int) -> None:
    shares = [epoch_of(rank=rank, n_ranks=n_ranks) for rank in range(n_ranks)]
    assert {len(batch) for share in shares for batch in share} == {BATCH}
    assert len({len(share) for share in shares}) == 1
    seen = Counter(index for share in shares for index in indices(share))
    twice = sum(map(len, map(indices, shares))) - N
    assert set(seen) == set(range(N))
    assert sum(seen.values()) == N + twice and twice < BATCH * n_ranks


def test_examples_that_fill_the_last_batch_are_the_first_of_the_epoch() -> None:
    order = indices(epoch_of())
    assert sorted(order[:N]) == list(range(N)) and order[N:] == order[:2]


def load(n_workers: int) -> ResumableLoader:
    options = {"num_workers": n_workers, "persistent_workers": n_workers > 0, "collate_fn": list}
    return ResumableLoader(Echo(), EpochSampler(N, BATCH, seed=1), **options)


def epochs(loader: ResumableLoader, n: int) -> list[list[Item]]:
    return list(chain.from_iterable(loader for _ in range(n)))


@pytest.mark.parametrize("n_workers", [0, 2])
def test_every_epoch_comes_whole_and_in_its_own_order(n_workers: int) -> None:
    assert epochs(load(n_workers), 3) == [batch for epoch in range(3) for batch in epoch_of(epoch=epoch)]


@pytest.mark.parametrize("n_workers", [0, 2])
@pytest.mark.parametrize("n_done", [0, 1, 3, 5, 8])
def test_loader_goes_on_with_exactly_the_batches_that_were_left(n_done: int, n_workers: int) -> None:
    whole = epochs(load(0), 2)
    first = load(n_workers)
    stream = chain.from_iterable(first for _ in range(2))
    done = list(islice(stream, n_done))
    state = first.state_dict()  # saved while workers have fetched more than was consumed
    second = load(n_workers)
    second.load_state_dict(state)
    assert done + epochs(second, 2 - n_done // 5) == whole


def test_state_is_plain_numbers() -> None:
    loader = load(0)
    list(islice(loader, 3))
    assert loader.state_dict() == {"consumed": 3, "epoch": 0}
    assert len(loader) == 5
