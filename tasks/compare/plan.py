"""What a comparison holds fixed for every mechanism, and how a mechanism is named."""

import argparse
import json
import math
import zlib
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import yaml
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import nn

from multimodal_attn.attention import ALIGNMENTS, SCORES, build_attention
from multimodal_attn.attention.registry import canonical, nearest
from multimodal_attn.errors import CheckpointError, ConfigError
from multimodal_attn.files import write_whole
from multimodal_attn.senses import build_encoder
from tasks.cli import TASKS, look_up
from tasks.commands.bundled import TRAINED
from tasks.compare.shared import FrozenEncoder, Shared, Variant, WholeModels
from tasks.training.data import SequenceData
from tasks.training.module import SequenceModule
from tasks.training.resume import RUNS, load_encoder
from tasks.training.run import OneLineParser


@dataclass(frozen=True)
class Plan:
    """What a comparison holds fixed: the settings of the task, its data, what rows share, and how long to train."""

    task: str
    base: SequenceModule
    data: SequenceData
    shared: Shared
    options: dict[str, Any]  # of the trainer
    n_epochs: int
    n_steps: int
    out: Path

    @cached_property
    def budget(self) -> dict[str, Any]:
        """Everything that the results depend on, apart from mechanism and seed."""
        decoder = asdict(self.base.decoder_config)
        del decoder["attention"]
        budget = {
            "encoder": self.shared.facts,
            "decoder": decoder,
            "search": asdict(self.base.search),
            "loss": asdict(self.base.loss),
            "schedule": asdict(self.base.schedule),
            "trainer": self.options,
            "n_steps": self.n_steps,
            "batches": self.data.batch_in_words,
            "texts": zlib.crc32("\n".join(t for e in self.data.examples["train"] for t in e.texts).encode()),
            "n_examples": {split: len(self.data.examples[split]) for split in ("train", "val")},
            "n_tokens": self.shared.tokenizer.get_vocab_size(),
        }
        return json.loads(json.dumps(budget))


def parse_mechanism(text: str) -> dict[str, Any]:
    """`additive/softmax`, `uniform`, `dot` or `{score: dot, heads: 4}` as data, by the names of the registry.

    Raises ConfigError for others.
    """
    if text.lstrip().startswith("{"):
        attention = parse_mapping(text)
    elif "/" in text:
        attention = dict(zip(("score", "align"), text.split("/", 1), strict=True))
    elif canonical(text) in SCORES:
        attention = {"score": text}
    elif canonical(text) in (alignments := [*ALIGNMENTS, "none"]):
        attention = {"align": text}
    else:
        raise ConfigError(
            f"attention: no score or alignment is called {text!r}; {nearest(text, [*SCORES, *alignments])}"
        )
    build_attention(Variant.of(attention).attention | {"heads": 1, "dim": 1}, 1, 1)  # raises
    return {key: canonical(value) if key in ("score", "align") else value for key, value in attention.items()}


def parse_mapping(text: str) -> dict[str, Any]:
    try:
        return dict(yaml.safe_load(text))
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise ConfigError(f"attention: {text!r} cannot be read; write it like '{{score: dot, heads: 4}}'") from error


def name_of(attention: dict[str, Any]) -> str:
    score, align = attention.get("score", "scaled_dot"), attention.get("align", "softmax")
    reads = align != "none" and ALIGNMENTS[align].reads_energies
    options = [option for key, value in attention.items() for option in options_of(key, value)]
    return " ".join([f"{score}/{align}" if reads else align, *options])


def options_of(key: str, value: Any) -> list[str]:
    """["heads=4"], or of a part's options ["encoder.layers=8", ...]; nothing that the name of a mechanism tells."""
    if isinstance(value, dict):
        return [option for inner, each in value.items() for option in options_of(f"{key}.{inner}", each)]
    return [] if key in ("score", "align") else [f"{key}={value}"]


def parse_settings(task: str, argv: list[str]) -> tuple[SequenceModule, SequenceData, dict[str, Any]]:
    """The task's module and data as training would build them, and the options of its trainer that matter here."""
    parser = OneLineParser(prog=f"multimodal-attn compare --task {task}")
    parser.add_argument("-c", "--config", action="config")
    for name in ("seed_everything", "ckpt_path", "weights_only"):
        parser.add_argument(f"--{name}", default=None)  # a training config may hold them
    for name, kind in ("trainer", pl.Trainer), ("best", ModelCheckpoint), ("last", ModelCheckpoint):
        parser.add_lightning_class_args(kind, name)
    parser.add_lightning_class_args(look_up(TASKS[task].module), "model")
    parser.add_lightning_class_args(look_up(TASKS[task].data), "data")
    config = parser.parse_args(argv)
    trainer = config.pop("trainer")
    built = parser.instantiate_classes(config)
    clip = 1.0 if trainer["gradient_clip_val"] is None else trainer["gradient_clip_val"]
    options = {"precision": trainer["precision"] or "32-true", "accelerator": trainer["accelerator"]}
    return built["model"], built["data"], options | {"gradient_clip_val": clip}


def make_plan(args: argparse.Namespace, argv: list[str]) -> Plan:
    base, data, options = parse_settings(args.task, argv)
    if base.trained_whole and args.encoder:
        raise ConfigError(f"compare: {args.task} trains an encoder in every row; leave --encoder out")
    encoder = None if base.trained_whole else find_encoder(args, base)
    data.setup("fit")
    shared = WholeModels(base, data) if encoder is None else FrozenEncoder(base, data, encoder, args.features)
    per_epoch = len(shared.batches())
    n_steps = args.steps or args.epochs * per_epoch
    n_epochs = math.ceil(n_steps / per_epoch)
    base.schedule = replace(
        base.schedule,
        frozen_epochs=0 if base.trained_whole else n_epochs,
        self_critical_epochs=0,
        warmup_steps=max(1, min(base.schedule.warmup_steps, n_steps // 10)),
    )
    base.search = replace(base.search, ctc=0.0, lm=0.0)  # the decoder alone is compared
    base.loss = replace(base.loss, ctc=0.0)
    out = args.out or RUNS / "compare" / args.task
    plan = Plan(args.task, base, data, shared, options, n_epochs, n_steps, out)
    check_budget(out / "budget.json", plan.budget, args.features.resolve())
    return plan


def find_encoder(args: argparse.Namespace, base: SequenceModule) -> nn.Module:
    if args.encoder is None and base.ready:
        return build_encoder(base.encoder_config)
    path = args.encoder or TRAINED[args.task]
    if not path.exists():
        raise CheckpointError(f"compare: no checkpoint {path}; name one with --encoder, whose encoder is to be used")
    return load_encoder(path)


def check_budget(path: Path, budget: dict[str, Any], features: Path) -> None:
    """Raises ConfigError where the folder holds results of another budget, which could not be compared, or anything
    else but features, which results would replace."""
    folder = path.parent
    if path.exists():
        found = read_budget(path)
        if other := [name for name in budget if found.get(name) != budget[name]]:
            raise ConfigError(f"{folder} holds results of another budget ({', '.join(other)}); name another --out")
    elif folder.exists() and (not folder.is_dir() or any(other.resolve() != features for other in folder.iterdir())):
        raise ConfigError(f"--out {folder} holds something else than a comparison; name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(budget, indent=2) + "\n")


def read_budget(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or "n_steps" not in found:
        raise ConfigError(f"{path} was not written by compare, and is left as it is; name another --out")
    return found
