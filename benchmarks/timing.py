"""Timing side by side: every form runs in turn, round after round, on one thread, in processor time of this process.

Other load on the machine slows all forms of one round alike, so ratios are taken inside a round.
"""

import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from time import process_time

import torch
from torch import nn
from torch.utils import mkldnn

Times = dict[str, list[float]]  # seconds of every round, by the name of the form


def one_thread() -> None:
    """One thread for torch: process_time then counts work, not threads that wait for each other."""
    torch.set_num_threads(1)


def interleave(forms: Mapping[str, Callable[[], object]], rounds: int) -> Times:
    """Run every form once a round, after one round that is not counted."""
    times: Times = {name: [] for name in forms}
    for number in range(rounds + 1):
        for name, run in forms.items():
            start = process_time()
            run()
            if number:
                times[name].append(process_time() - start)
    return times


def ratio(times: Times, slow: str, fast: str) -> float:
    """How many times as fast `fast` is: the median over rounds of slow / fast."""
    return median(a / b for a, b in zip(times[slow], times[fast], strict=True))


SIZE, REPEATS = 1024, 20
N_OPERATIONS = 2.0 * SIZE**3 * REPEATS  # of each form of matrix_products


def matrix_products() -> dict[str, Callable[[], object]]:
    """Large square fp32 products, the best shape there is, in the two libraries torch may call on a CPU."""
    x, layer = torch.randn(SIZE, SIZE), nn.Linear(SIZE, SIZE)
    forms: dict[str, Callable[[], object]] = {"torch.mm": lambda: _repeat(torch.mm, x, x)}
    if torch.backends.mkldnn.is_available():
        packed, blocked = mkldnn.to_mkldnn(layer.eval()), x.to_mkldnn()
        forms["oneDNN"] = lambda: _repeat(packed, blocked)
    return forms


@torch.no_grad()
def _repeat(product: Callable[..., object], *factors: torch.Tensor) -> None:
    for _ in range(REPEATS):
        product(*factors)


def machine() -> str:
    """Processor and software in one line."""
    return f"{_processor()}, one thread, torch {torch.__version__.split('+')[0]}, Python {platform.python_version()}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    """A table in Markdown, padded so that it reads well in a terminal too."""
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
    for row in [columns, ["-" * width for width in widths], *rows]:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |", flush=True)
