"""`multimodal-attn compare`: several attention mechanisms, everything else alike.

The budget of every mechanism and seed: one frozen encoder, whose features of every whole input are computed
once, without augmentation; the same training sentences in the same order; the same fresh decoder but for its mechanism,
trained for the same number of steps on the same schedule by the decoder's loss alone. No checkpoint is chosen: the last
parameters, as they are saved, search the validation set. Every result is a checkpoint folder that the app can open.
"""

import argparse
import json
import logging
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint

from multimodal_attn.checkpoint import PARAMETERS, count_parameters, load_checkpoint, read_config, save_checkpoint
from multimodal_attn.errors import ConfigError
from multimodal_attn.files import write_whole
from multimodal_attn.trace.health import widespread_fault
from tasks.cli import TASKS
from tasks.commands.bundled import BUNDLED
from tasks.compare.grid import check_shown
from tasks.compare.plan import Plan, make_plan, name_of, parse_mechanism
from tasks.compare.report import Row, Run, measure_steps, write_report
from tasks.compare.shared import Variant
from tasks.training.callbacks import AttentionHealth
from tasks.training.module import SequenceModule
from tasks.training.resume import RUNS, AtomicCheckpointIO
from tasks.training.run import quieten

SAVE_EVERY = 200  # steps, so that a kill costs no more than those
EXAMPLE = """
for instance:
  multimodal-attn compare --task captioning --config tasks/captioning/configs/flickr8k.yaml \\
      --attention additive/softmax dot/softmax additive/hard uniform '{score: cosine, align: local_p, heads: 4}'

Also what training takes: --config, --model.*, --data.*, --trainer.precision, --trainer.gradient_clip_val, as in
`multimodal-attn captioning fit --help`.
"""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "multimodal-attn compare",
        description="Train several attention mechanisms under one budget, and write one table and one picture of them. "
        "The same command goes on where it was stopped.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--task", required=True, choices=[task for task in TASKS if task in BUNDLED])
    add(
        "--attention",
        nargs="+",
        default=[],
        metavar="NAME",
        help="SCORE/ALIGNMENT, one of both, or {...}; see `attention list`",
    )
    add("--epochs", type=int, default=2, help="over the training set; 2 unless told")
    add("--steps", type=int, help="instead of --epochs: steps of the optimiser")
    add(
        "--seeds",
        type=int,
        nargs="+",
        default=[1],
        help="of parameters, order and dropout; 1 unless told, and those done before",
    )
    add("--encoder", type=Path, help="a checkpoint whose encoder to use instead of the config's; speech needs one")
    add("--checkpoints", type=Path, nargs="+", default=[], help="trained models to show beside, whatever their budget")
    add("--out", type=Path, help="folder of the results; runs/compare/TASK unless told")
    add(
        "--features",
        type=Path,
        default=RUNS / "features",
        help="folder of encoders' features; runs/features unless told",
    )
    add("--shown", help="a photograph or sound for the picture of maps, or a validation example, counted from 0")
    add("--sentence", help="what all are made to write about it; that example's own unless told")
    return parser


def compare_main(argv: Sequence[str]) -> int:
    args, rest = build_parser().parse_known_args(argv)
    check_shown(args.shown, args.sentence)
    mechanisms = {name_of(attention): attention for attention in map(parse_mechanism, args.attention)}
    if not mechanisms and not args.checkpoints:
        raise ConfigError("compare: name mechanisms with --attention; `multimodal-attn attention list` shows them")
    quieten()
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    plan = make_plan(args, rest)
    for mechanism in mechanisms.values():
        plan.shared.check(Variant.of(mechanism))
    runs = {
        name: [run(plan, name, mechanism, seed) for seed in sorted({*args.seeds, *finished_seeds(plan, name)})]
        for name, mechanism in mechanisms.items()
    }
    given = [Row(path.resolve().name, [evaluate_given(plan, path)]) for path in args.checkpoints]
    models = [plan.shared.reading(load_checkpoint(of_name[0].model)[0]) for of_name in runs.values()]
    seconds = measure_steps(models, next(iter(plan.shared.batches())), plan.options["precision"])
    rows = [Row(name, of_name, each) for (name, of_name), each in zip(runs.items(), seconds, strict=True)]
    write_report(plan, rows, given, args.shown, args.sentence)
    return 0


# -- one mechanism, one seed ------------------------------------------------------------------------------------------


def folder_of(plan: Plan, name: str) -> Path:
    return plan.out / re.sub(r"[^\w.=]+", "-", name).strip("-")


def finished_seeds(plan: Plan, name: str) -> list[int]:
    """Seeds that an earlier comparison in the same folder, and so of the same budget, has tried already."""
    return [int(path.parent.name.removeprefix("seed-")) for path in folder_of(plan, name).glob("seed-*/result.json")]


def run(plan: Plan, name: str, mechanism: dict[str, Any], seed: int) -> Run:
    """Train, save and score, or as much of it as is not done yet."""
    folder = folder_of(plan, name) / f"seed-{seed}"
    data, variant = plan.shared.data(seed), Variant.of(mechanism)
    model, result = folder / "model", folder / "result.json"
    if not (model / "README.md").exists():  # which is written last
        print(f"{name}, seed {seed}: training", flush=True)
        train(plan, plan.shared.module(variant), data, folder)
    if not result.exists():
        print(f"{name}, seed {seed}: scoring", flush=True)
        trained, *_ = load_checkpoint(model)
        module = plan.shared.module(variant)
        module.model = plan.shared.reading(trained)
        scores = evaluate(module, data, folder)
        scores["parameters"] = count_parameters(trained.decoder)
        write_result(result, {"attention": mechanism, "seed": seed, **scores})
    return Run(model, seed, json.loads(result.read_text()))


def train(plan: Plan, module: SequenceModule, data: pl.LightningDataModule, folder: Path) -> None:
    """The decoder's parameters after the budget, in a checkpoint folder; goes on from `last.ckpt` if that is there."""
    last = folder / "last.ckpt"
    saver = ModelCheckpoint(folder, "last", every_n_train_steps=SAVE_EVERY, enable_version_counter=False)
    trainer = build_trainer(
        folder,
        [saver],
        max_epochs=plan.n_epochs,
        max_steps=plan.n_steps,
        limit_val_batches=0,
        **plan.options,
    )
    started = time.perf_counter()
    trainer.fit(module, data, ckpt_path=str(last) if last.exists() else None, weights_only=True)
    if trainer.global_step < plan.n_steps:  # Ctrl-C, which Lightning may take for an end
        raise KeyboardInterrupt
    about = {
        "metrics": {},
        "provenance": {
            "steps": trainer.global_step,
            "seconds": round(time.perf_counter() - started, 1),
            "seed": data.seed,
        },
    }
    trained = plan.shared.whole(module.model)
    card = f"# {folder.parent.name}\n\nOf a comparison: seed {data.seed}, {trainer.global_step} steps.\n"
    save_checkpoint(folder / "model", trained, plan.base.search, plan.task, about, card)
    last.unlink(missing_ok=True)


def evaluate(module: SequenceModule, data: pl.LightningDataModule, folder: Path) -> dict[str, Any]:
    """The task's scores and the health of the attention on the validation set."""
    trainer = build_trainer(folder, [AttentionHealth()])
    trainer.validate(module, data, verbose=False)
    scores = {name.removeprefix("val/"): float(value) for name, value in trainer.callback_metrics.items()}
    figures = {
        name.removeprefix("attention/"): scores.pop(name) for name in list(scores) if name.startswith("attention/")
    }
    fault = widespread_fault([trace.health for trace in module.results.values()])
    return {"scores": scores, "health": figures, "fault": fault}


def evaluate_given(plan: Plan, path: Path) -> Run:
    """A trained model as it is, on the inputs themselves."""
    folder = plan.out / f"given-{read_config(path)['sha256'][PARAMETERS][:12]}"
    result = folder / "result.json"
    if not result.exists():
        module = type(plan.base)(search=plan.base.search, checkpoint=str(path))
        found = evaluate(module, plan.data, folder)
        found |= {"attention": module.model.decoder.config.attention}
        found["parameters"] = count_parameters(module.model.decoder)
        write_result(result, found)
    return Run(path, 0, json.loads(result.read_text()))


def write_result(path: Path, found: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(found, indent=2) + "\n")


def build_trainer(folder: Path, callbacks: list[pl.Callback], **options: Any) -> pl.Trainer:
    quiet = {"enable_model_summary": False, "logger": False, "num_sanity_val_steps": 0, "devices": 1}
    saves = any(isinstance(callback, ModelCheckpoint) for callback in callbacks)
    return pl.Trainer(
        default_root_dir=folder,
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO()],
        use_distributed_sampler=False,
        enable_checkpointing=saves,
        **quiet,
        **options,
    )
