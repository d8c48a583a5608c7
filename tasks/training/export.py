"""Released models: how a training checkpoint becomes a checkpoint folder."""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from tokenizers import Tokenizer
from torch import Tensor

from multimodal_attn.checkpoint import (
    CARD,
    CONFIG,
    PARAMETERS,
    SOURCE_TOKENIZER,
    TOKENIZER,
    count_parameters,
    read_config,
    save_checkpoint,
)
from multimodal_attn.errors import CheckpointError, UserError
from multimodal_attn.predictor import search_with
from multimodal_attn.search.word_model import WordModel, build_word_model
from tasks.captioning.mirrors import calibrate
from tasks.language.datamodule import read_sentences
from tasks.language.module import load_language_model
from tasks.training.resume import RUNS, find_checkpoint, restore_model


def build_parser(task: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        f"multimodal-attn {task} export",
        description="Turn a training checkpoint into a checkpoint folder, the form in which models are released.",
    )
    parser.add_argument(
        "--ckpt_path",
        nargs="+",
        default=["last"],
        help="a .ckpt file, or `last` for the newest one (default); the parameters of several of one run are averaged, "
        "one named twice weighs double",
    )
    parser.add_argument(
        "--search", type=yaml.safe_load, default={}, help="search defaults to release, such as '{beam: 8, lm: 0.3}'"
    )
    parser.add_argument("--language", type=Path, help="a checkpoint of `language fit`, to be part of the model")
    parser.add_argument(
        "--words",
        type=yaml.safe_load,
        help="text whose words and their order become part of the model, such as '{files: [text.txt], manifests: "
        "[manifest.tsv], sets: [ls]}', see `language fit`",
    )
    parser.add_argument(
        "--calibrate",
        nargs="+",
        type=Path,
        metavar="PICTURES",
        help="files and folders of photographs with which to measure where the maps of a captioner lie",
    )
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--overwrite", action="store_true", help="replace a checkpoint that is there")
    parser.add_argument("--card", type=Path, help="text of the model card, Markdown")
    parser.add_argument("--scores", type=Path, help="JSON file of scores, as `test` writes it")
    parser.add_argument("--commit", default="", help="the commit that the model was trained at")
    return parser


def export_main(task: str, argv: list[str]) -> int:
    args = build_parser(task).parse_args(argv)
    check_folder(args.out, args.overwrite)
    paths, checkpoints = zip(*(find_checkpoint(path, RUNS / task) for path in args.ckpt_path), strict=True)
    checkpoint = checkpoints[0] | {"state_dict": average([each["state_dict"] for each in checkpoints])}
    model, search = restore_model(checkpoint)
    search = search_with(search, args.search)
    if args.language:
        model.language = load_language_model(args.language, model.tokenizer)
    if args.words:
        model.words = count_words(args.words, model.tokenizer)
    if args.calibrate:
        calibrate(model, search, args.calibrate)
    about = {
        "metrics": _read_json(args.scores) if args.scores else {},
        "provenance": {
            "commit": args.commit,
            "epochs": [each["epoch"] for each in checkpoints],
            "steps": [each["global_step"] for each in checkpoints],
            "training": _portable(yaml.safe_load(checkpoint["config"]) | {"ckpt_path": None}),
        },
        "n_parameters": {"encoder": count_parameters(model.encoder), "decoder": count_parameters(model.decoder)},
    }
    card = args.card.read_text(encoding="utf-8") if args.card else f"# {args.out.name}\n"
    save_checkpoint(args.out, model, search, task, about, card)
    print(f"{', '.join(map(str, paths))} -> {args.out}")
    return 0


def check_folder(out: Path, overwrite: bool) -> None:
    """Raises UserError for a folder that holds anything but a checkpoint that may be replaced."""
    if out.is_dir() and not (names := set(os.listdir(out))) or not os.path.lexists(out):
        return
    if not out.is_dir() or names - {CARD, CONFIG, PARAMETERS, TOKENIZER, SOURCE_TOKENIZER} or not is_checkpoint(out):
        raise UserError(f"--out {out} holds something else than a checkpoint, and is left as it is; name a new folder")
    if not overwrite:
        raise UserError(f"--out {out} holds a checkpoint already; name a new folder, or replace it with --overwrite")


def is_checkpoint(folder: Path) -> bool:
    try:
        read_config(folder)
    except CheckpointError:
        return False
    return True


def count_words(text: Any, tokenizer: Tokenizer) -> WordModel:
    """The word model of files, manifests and sets, as `read_sentences` takes them. Raises UserError for others."""
    known = {"files", "manifests", "sets"}
    if not isinstance(text, dict) or set(text) - known or not all(isinstance(each, list) for each in text.values()):
        raise UserError(f"--words takes lists of files, manifests and sets, such as '{{files: [a.txt]}}', not {text!r}")
    texts = [sentence.text for sentence in read_sentences(**({"files": []} | text))]
    if not texts:
        raise UserError("--words: there is no sentence in the text; name files or manifests")
    return build_word_model(texts, tokenizer)


def average(states: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Mean of the parameters of several checkpoints. Raises UserError when they are of different models."""
    shapes = [{name: tensor.shape for name, tensor in state.items()} for state in states]
    if any(other != shapes[0] for other in shapes):
        raise UserError("the checkpoints are of different models and cannot be averaged; name those of one run")
    means = {name: torch.stack([state[name].double() for state in states]).mean(0) for name in states[0]}
    return {name: mean.to(states[0][name].dtype) for name, mean in means.items()}  # counts of batches stay whole


def _portable(config: dict[str, Any]) -> dict[str, Any]:
    """Without the name of the folder that the model was trained in."""
    return json.loads(json.dumps(config).replace(f"{Path.cwd()}/", ""))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"--scores {path} cannot be read: {error}") from error
