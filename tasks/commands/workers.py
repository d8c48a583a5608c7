"""A job in several processes, each with a model of its own. Results come in the order of the inputs, whoever is done
first."""

import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any

from multimodal_attn.errors import UserError
from multimodal_attn.predictor import Segment
from tasks.commands.inputs import Input
from tasks.commands.job import Job, pair, without_source

WAITING = 2  # batches for each worker that are handed out before the first of them has to be done


def read_in_workers(job: Job, inputs: Iterable[Input], n: int) -> Iterator[tuple[Input, Segment]]:
    """The segments of all inputs, each with the input that it is of. Raises UserError when a worker is killed."""
    threads = max(1, (os.cpu_count() or 1) // n)
    pool = ProcessPoolExecutor(n, get_context("spawn"), begin, (job, threads))
    inputs, waiting = iter(inputs), deque[tuple[list[Input], Future]]()
    try:
        while some := list(islice(inputs, job.batch_size)):
            waiting.append((some, pool.submit(work, [input.source for input in some])))
            if len(waiting) > WAITING * n:
                yield from results(*waiting.popleft())
        while waiting:
            yield from results(*waiting.popleft())
    except BrokenProcessPool as error:
        told = "it may have needed too much memory; give the same command again, with fewer --workers"
        raise UserError(f"a worker was killed; {told}") from error
    finally:
        pool.shutdown(cancel_futures=True)


def results(inputs: Sequence[Input], future: Future) -> Iterator[tuple[Input, Segment]]:
    return pair(inputs, future.result())


def begin(job: Job, threads: int) -> None:
    """In each worker, which ends when the process that began it does, in whatever way."""
    global reader
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the other process that is told to stop
    Thread(target=lambda: (parent_process().join(), os._exit(1)), daemon=True).start()
    import torch

    torch.set_num_threads(threads)
    reader = job, job.load()


def work(sources: Sequence[Any]) -> list[Segment]:
    job, predictor = reader
    return [without_source(segment) for segment in job.segments(predictor, sources)]
