"""What a command found to read: counted as it passes, shown in a bar, and told of in the end."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from threading import Thread
from typing import TypeVar

from tqdm import tqdm

from multimodal_attn.errors import UserError
from multimodal_attn.figures import is_figure
from multimodal_attn.files import LeftOut, printable
from tasks.commands.inputs import ARCHIVE, LIST, Input
from tasks.commands.writers import FORMATS

OURS = frozenset(f".{format}" for format in FORMATS)  # endings of results, which are not told of as left out
MAX_TOLD = 100  # failures that are listed in the end; all are in the rows
MAX_KINDS = 8  # of files that were left out

T = TypeVar("T")


@dataclass
class Found:
    """What there is to read. paths: where. inputs: what is there, each time that it is asked. unit: what one is.

    n: inputs so far. n_done: those of them that an earlier run has done, n_failed that it could not use, and n_cut that
    it could not read to the end. n_figures: figures of ours that were left out. left_out: files of other kinds, by
    their endings.
    Raises UserError where there is nothing.
    """

    paths: Sequence[Path]
    inputs: Callable[[LeftOut], Iterator[Input]]
    unit: str
    n: int = 0
    n_done: int = 0
    n_failed: int = 0
    n_cut: int = 0
    n_figures: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        inputs = self.inputs(lambda path: self.left_out.update([path.suffix.lower()]))
        first = list(islice(inputs, 2))
        self.all, self.first, self.is_one = chain(first, inputs), next(iter(first), None), len(first) == 1
        if not first:
            where = ", ".join(map(printable, self.paths))
            others = f" ({told})" if (told := self.others()) else ""
            raise UserError(f"no {self.unit} in {where}{others}; give {self.unit} files, or folders that hold some")

    def __iter__(self) -> Iterator[Input]:
        """Once, without figures of ours, which are read only where they are named one by one."""
        for input in self.all:
            if not input.is_named and input.path.suffix.lower() == ".png" and is_figure(input.path):
                self.n_figures += 1
            else:
                self.n += 1
                yield input

    def others(self) -> str:
        """Of what kinds files were left out, in words; nothing if there are none."""
        kinds = Counter({kind or "no ending": n for kind, n in self.left_out.items() if kind not in OURS})
        names = [f"{printable(kind)} {n}" for kind, n in kinds.most_common(MAX_KINDS)]
        names += ["..."] if len(kinds) > MAX_KINDS else []
        return f"files of other kinds left out: {kinds.total()} ({', '.join(names)})" if kinds else ""

    def count(self) -> list[int]:
        """How many there are, figures too, as soon as another thread knows: that may take a while."""
        counted: list[int] = []
        inputs = self.inputs(lambda path: None)
        if not any(path == LIST or path.suffix.lower() == ARCHIVE for path in self.paths):
            Thread(target=lambda: counted.append(sum(1 for _ in inputs)), daemon=True).start()
        return counted

    def show_progress(self, results: Iterable[T]) -> Iterator[T]:
        """The results, with a bar on the standard error if that is a terminal."""
        n_all = self.count() if sys.stderr.isatty() else []
        bar = tqdm(results, unit=self.unit, disable=None, file=sys.stderr)
        for result in bar:
            yield result
            bar.total = n_all[0] - self.n_done - self.n_figures if n_all else None

    def tell(
        self, done: str, failed: Sequence[str], n_failed: int, cut: Sequence[str], problems: Sequence[str]
    ) -> None:
        """What was `done`, what not, and why; what only up to where it was cut off; on the last line what was left out.

        failed: the first of n_failed reasons.
        """
        if self.n_done:
            print(f"{done} already: {self.n_done} of {self.n} files", file=sys.stderr)
        if self.n_failed:
            print(f"{self.n_failed} of them could not be {done}; --retry tries again", file=sys.stderr)
        if self.n_cut:
            print(f"{self.n_cut} of them could not be {done} to the end, as their notes say", file=sys.stderr)
        more = [f"and {n_failed - len(failed)} more"] if n_failed > len(failed) else []
        report([*failed, *more], f"{n_failed} of {self.n - self.n_done} files could not be {done}:")
        report(cut, f"{len(cut)} of {self.n - self.n_done} files could not be {done} to the end:")
        report(problems, f"results that could not be written: {len(problems)}")
        if self.n_figures:
            print(f"figures of this command left out: {self.n_figures}", file=sys.stderr)
        if others := self.others():
            print(others, file=sys.stderr)


def report(lines: Sequence[str], heading: str) -> None:
    if lines:
        print(heading, *lines, sep="\n  ", file=sys.stderr)
