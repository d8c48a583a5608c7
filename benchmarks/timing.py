"""Timing side by side: every form is run in turn, round after round, on one thread, in processor time of this process.

Other load on the machine slows all forms of one round alike, so what is reported is the ratio inside a round.
"""

import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from time import process_time

import torch

Times = dict[str, list[float]]  # seconds of every round, by the name of the form


def one_thread() -> None:
    """One thread for torch: process_time then counts the work alone, not threads that wait for each other."""
    torch.set_num_threads(1)


def interleave(forms: Mapping[str, Callable[[], object]], rounds: int, warm_ups: int = 1) -> Times:
    """Run every form once a round; the first `warm_ups` rounds are not counted."""
    times: Times = {name: [] for name in forms}
    for number in range(warm_ups + rounds):
        for name, run in forms.items():
            start = process_time()
            run()
            if number >= warm_ups:
                times[name].append(process_time() - start)
    return times


def ratio(times: Times, slow: str, fast: str) -> float:
    """How many times as fast `fast` is: the median over rounds of slow / fast."""
    return median(a / b for a, b in zip(times[slow], times[fast], strict=True))


def product_forms(size: int = 1024, repeats: int = 8) -> tuple[Callable[[], object], float]:
    """Square fp32 matrix products, the best shape there is: (a form that runs them, their operations)."""
    a, b, out = torch.randn(size, size), torch.randn(size, size), torch.empty(size, size)

    def run() -> None:
        for _ in range(repeats):
            torch.mm(a, b, out=out)

    return run, 2.0 * size**3 * repeats


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
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
