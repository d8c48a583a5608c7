"""What a comparison writes: one table in three forms, and one picture."""

import csv
import io
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from multimodal_attn.files import write_whole
from multimodal_attn.losses import cross_entropy
from multimodal_attn.model import Model
from multimodal_attn.tokens import PAD, START
from tasks.compare.grid import draw_comparison
from tasks.training.data import Batch
from tasks.training.module import draw_loss

N_ROUNDS = 6  # of the timing, the first of them not counted
FIGURES = ("entropy", "change", "coverage", "monotonicity")


@dataclass(frozen=True)
class Run:
    """A mechanism trained from one seed: its checkpoint folder, and its scores, health and number of parameters."""

    model: Path
    seed: int
    result: dict[str, Any]


@dataclass(frozen=True)
class Row:
    """A line of the table. Its first run is timed and drawn. seconds: of a training step, if that was measured."""

    name: str
    runs: list[Run]
    seconds: float | None = None

    def values(self, name: str) -> list[float]:
        """A score or a figure of health of every run that has it."""
        found = (run.result["scores"] | run.result["health"] for run in self.runs)
        return [figures[name] for figures in found if name in figures]

    def figures(self) -> dict[str, float | str]:
        """Every number of the row, by its column in the CSV file: means, and standard deviations over the seeds."""
        row: dict[str, float | str] = {"attention": self.name, "n_seeds": len(self.runs)}
        for name in self.runs[0].result["scores"] | self.runs[0].result["health"]:
            values = self.values(name)
            row |= {name: statistics.fmean(values), f"{name}_sd": spread_of(values)}
        row["seconds_per_step"] = "" if self.seconds is None else self.seconds
        return row | {"decoder_parameters": self.runs[0].result["parameters"], "fault": self.runs[0].result["fault"]}


def spread_of(values: Sequence[float]) -> float | str:
    return statistics.stdev(values) if len(values) > 1 else ""


def measure_steps(models: Sequence[Model], batch: Batch, precision: str) -> list[float]:
    """CPU seconds of loss and gradients for one batch, the median over rounds.

    The mechanisms take turns, so that whatever else the machine does slows all of them alike.
    """
    found = [[] for _ in models]
    for _ in range(N_ROUNDS if models else 0):
        for model, seconds in zip(models, found, strict=True):
            started = time.process_time()
            with torch.autocast("cpu", torch.bfloat16, enabled="bf16" in precision):
                loss = loss_of(model.train(), batch)
            loss.backward()
            seconds.append(time.process_time() - started)
            model.zero_grad()
    return [statistics.median(seconds[1:]) for seconds in found]


def loss_of(model: Model, batch: Batch) -> torch.Tensor:
    decoder, tokens = model.decoder, batch.tokens
    before = torch.cat([torch.full_like(tokens[..., :1], START), tokens[..., :-1]], -1)
    features, _, choice = decoder.unroll_choices(before, decoder.read(model.encoder(batch.inputs)))
    real = tokens != PAD
    logits = decoder.logits(features[real])
    loss = cross_entropy(logits, tokens[real])
    return loss if choice is None else loss + draw_loss(choice, logits, tokens)


def write_report(plan: Any, rows: Sequence[Row], given: Sequence[Row], *shown: str | None) -> None:
    """comparison.md, .csv, .json and .png in the plan's folder; the best row first, then the given models.

    shown: input and sentence of the picture, where they were chosen.
    """
    base, out = plan.base, plan.out
    rows = sorted(rows, key=lambda row: statistics.fmean(row.values(base.monitor)), reverse=not base.lower_is_better)
    every = [*rows, *given]
    write_whole(out / "comparison.csv", to_csv([row.figures() for row in every]))
    data = {"budget": plan.budget, "rows": [as_data(row) for row in rows], "given": [as_data(row) for row in given]}
    write_whole(out / "comparison.json", json.dumps(data, indent=2) + "\n")
    table = "\n".join(markdown_lines(rows, given, base.scores)) + "\n"
    write_whole(out / "comparison.md", f"{heading(plan, rows)}\n{table}")
    draw_comparison(plan, [(row.name, row.runs[0].model, caption_of(row, base.monitor)) for row in every], *shown)
    print(f"\n{table}\n{out}: comparison.md, comparison.csv, comparison.json, comparison.png")


def caption_of(row: Row, monitor: str) -> str:
    values = row.values(monitor)
    return f"{monitor} {statistics.fmean(values):.3f}" + (f" ± {spread_of(values):.3f}" if len(values) > 1 else "")


def as_data(row: Row) -> dict[str, Any]:
    runs = [{"seed": run.seed, "model": str(run.model), **run.result} for run in row.runs]
    return {"attention": row.name, "seconds_per_step": row.seconds, "runs": runs}


def to_csv(rows: Sequence[dict[str, Any]]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    file = io.StringIO()
    table = csv.DictWriter(file, columns, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    return file.getvalue()


def heading(plan: Any, rows: Sequence[Row]) -> str:
    """The budget in words."""
    budget, inputs = plan.budget, f"{plan.base.encoder_config.sense}s"
    seeds = ", ".join(map(str, sorted({run.seed for row in rows for run in row.runs})))
    decoder, n = budget["decoder"], budget["n_examples"]
    form = f"{decoder['form']}, width {decoder['dim']}"
    words = f"""Every row: {plan.shared.words} ({form}), trained for {plan.n_steps} steps
    of {plan.data.batch_in_words} on {n["train"]:,} {inputs}; seeds: {seeds or "none"}; its last parameters
    searched the {n["val"]:,} of the validation set with a beam of {plan.base.search.beam}. ± is the standard
    deviation over the seeds. s/step: CPU seconds of loss and gradients of one batch, all mechanisms in turn on
    one machine. The figures of attention are medians over the sentences, entropy in nats."""
    return f"# Attention mechanisms compared\n\n{' '.join(words.split())}\n"


def markdown_lines(rows: Sequence[Row], given: Sequence[Row], scores: Sequence[str]) -> Iterator[str]:
    columns = ("attention", *scores, "s/step", "decoder", *FIGURES, "alarm")
    yield f"| {' | '.join(columns)} |"
    yield "|---|" + "---:|" * (len(columns) - 2) + "---|"
    for row in rows:
        yield markdown_line(row, scores)
    for row in given:
        yield markdown_line(row, scores) + " not of this budget |"


def markdown_line(row: Row, scores: Sequence[str]) -> str:
    result = row.runs[0].result
    seconds = "" if row.seconds is None else f"{row.seconds:.2f}"
    cells = [row.name, *(cell(row.values(name)) for name in scores), seconds, f"{result['parameters'] / 1e6:.2f} M"]
    return f"| {' | '.join([*cells, *(cell(row.values(name)) for name in FIGURES), result['fault']])} |"


def cell(values: Sequence[float]) -> str:
    if not values:
        return ""
    mean, digits = statistics.fmean(values), 3 if max(values) < 10 else 0
    return f"{mean:.{digits}f}" + (f" ± {spread_of(values):.{digits}f}" if len(values) > 1 else "")
