"""The checkpoint folder: config.json, model.safetensors, tokenizer.json and README.md, without pickle, with hashes.

A model that reads text by another vocabulary than it writes has source-tokenizer.json too.
"""

import hashlib
import json
import math
import os
from dataclasses import asdict
from pathlib import Path
from types import NoneType
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from multimodal_attn.configs import checked, config_from_json, json_object, shown
from multimodal_attn.decoders import DecoderConfig
from multimodal_attn.errors import CheckpointError, ConfigError
from multimodal_attn.files import printable
from multimodal_attn.model import Model, build_model
from multimodal_attn.parameters import fill_from_file
from multimodal_attn.search import SearchConfig
from multimodal_attn.search.language_model import LanguageModelConfig
from multimodal_attn.search.word_model import WordModelConfig
from multimodal_attn.senses import FIRST, KINDS, encoder_to_dict, sense_of
from multimodal_attn.untrusted import check_file, parse_tokenizer, read_json, read_text

FORMAT = "multimodal-attn/checkpoint/1"
PARAMETERS, TOKENIZER, CONFIG, CARD = "model.safetensors", "tokenizer.json", "config.json", "README.md"
SOURCE_TOKENIZER = "source-tokenizer.json"
MAX_BYTES = {CONFIG: 4 << 20, TOKENIZER: 8 << 20, SOURCE_TOKENIZER: 8 << 20, PARAMETERS: 512 << 20}


def save_checkpoint(
    folder: Path, model: Model, search: SearchConfig, task: str, about: dict[str, Any], card: str
) -> None:
    """Write a released model. Parameters are stored as half floats, which halves the folder and moves no caption score.

    about: what else config.json should say, such as metrics and provenance. card: the model card, in Markdown.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: _halve(tensor).contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, folder / PARAMETERS)
    (folder / PARAMETERS).chmod(0o644)  # safetensors writes files that only their owner can read
    tokenizers = {TOKENIZER: model.tokenizer, SOURCE_TOKENIZER: model.source_tokenizer}
    tokenizers = {name: tokenizer for name, tokenizer in tokenizers.items() if tokenizer is not None}
    for name, tokenizer in tokenizers.items():
        (folder / name).write_text(tokenizer.to_str(pretty=True), encoding="utf-8")
    if SOURCE_TOKENIZER not in tokenizers:
        (folder / SOURCE_TOKENIZER).unlink(missing_ok=True)  # of a model that was here before
    config = {
        "format": FORMAT,
        "task": task,
        **describe(model),
        "search": asdict(search),
        "sha256": {name: sha256(folder / name) for name in (PARAMETERS, *tokenizers)},
        **about,
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / CARD).write_text(card, encoding="utf-8")


def load_checkpoint(folder: Path) -> tuple[Model, SearchConfig, dict[str, Any]]:
    """The model in evaluation mode, its search defaults, and the whole of config.json.

    Raises CheckpointError, in one line, for a folder that is missing, damaged, or of another format.
    """
    config = read_config(folder)
    for name, expected in config["sha256"].items():
        check_file(folder / name, MAX_BYTES[name])
        if sha256(folder / name) != expected:
            raise CheckpointError(
                f"{folder / name} is not the file that was released (its sha256 differs); get it again"
            )
    named = (TOKENIZER, SOURCE_TOKENIZER)
    tokenizer, source = (read_tokenizer(folder / name) if name in config["sha256"] else None for name in named)
    model = model_from_dict(config, tokenizer, folder / CONFIG, source)
    search = search_from_dict(config["search"], folder / CONFIG)
    check_task(model, config["task"], folder / CONFIG)
    check_search(model, search, folder / CONFIG)
    fill_from_file(model, folder / PARAMETERS)
    check_words(model, folder / PARAMETERS)
    return model.eval(), search, config


def read_tokenizer(path: Path) -> Tokenizer:
    return parse_tokenizer(read_text(path, MAX_BYTES[path.name]), path)


def describe(model: Model) -> dict[str, Any]:
    """The architecture, JSON-ready and enough to build the model again; the encoder's parameters are in the state."""
    return {
        "encoder": encoder_to_dict(model.encoder.config),
        "decoder": asdict(model.decoder.config),
        "ctc": model.ctc is not None,
        "language": asdict(model.language.config) if model.language else None,
        "words": asdict(model.words.config) if model.words else None,
    }


def model_from_dict(
    data: dict[str, Any], tokenizer: Tokenizer, where: object, source_tokenizer: Tokenizer | None = None
) -> Model:
    """Inverse of `describe`, on the meta device: without memory until parameters.py fills it.

    Raises CheckpointError that begins with `where`.
    """
    try:
        encoder = dict(json_object(data.get("encoder"), "encoder"))
        sense = sense_of(checked(Literal[tuple(KINDS)], encoder.pop("sense", FIRST), "encoder.sense"))
        checked(NoneType, encoder.get("weights"), "encoder.weights")  # a file, which is not a stranger's to choose
        config = config_from_json(sense.config_of(encoder.get("name")), encoder, "encoder")
        parts = config, _part(DecoderConfig, data, "decoder")
        optional = _part(LanguageModelConfig, data, "language"), _part(WordModelConfig, data, "words")
        ctc = checked(bool, data.get("ctc", False), "ctc")
        with torch.device("meta"):
            return build_model(*parts, tokenizer, ctc, *optional, source_tokenizer)
    except (ConfigError, RuntimeError, ArithmeticError, ValueError) as error:  # others: what torch says of odd sizes
        raise CheckpointError(f"{where}: {' '.join(str(error).split())[:300]}; get the checkpoint again") from error


def search_from_dict(data: Any, where: object) -> SearchConfig:
    """Raises CheckpointError that begins with `where`."""
    try:
        return config_from_json(SearchConfig, data, "search")
    except ConfigError as error:
        raise CheckpointError(f"{where}: {error}; get the checkpoint again") from error


def _part(kind: type, data: dict[str, Any], name: str) -> Any:
    """A part of the model; the decoder is always there, others may be null."""
    return None if data.get(name) is None and name != "decoder" else config_from_json(kind, data.get(name), name)


def sha256(path: Path) -> str:
    """Hex digest of a file. Raises CheckpointError when it is missing."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(
            f"{path} is missing; a checkpoint needs {CONFIG}, {PARAMETERS} and {TOKENIZER}"
        ) from error


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a checkpoint folder. Raises CheckpointError for anything else."""
    if not os.path.isdir(folder):  # False too for a name that no system takes
        others = sorted(path.parent.name for path in folder.parent.glob(f"*/{CONFIG}"))
        there = f"in {folder.parent} there is {', '.join(others) or 'none'}"
        raise CheckpointError(printable(f"no checkpoint folder {folder}; {there}"))
    config = read_json(folder / CONFIG, MAX_BYTES[CONFIG])
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise CheckpointError(f"{folder / CONFIG} is not of format {FORMAT}; update multimodal-attn or the checkpoint")
    missing = {"task", "encoder", "decoder", "search", "sha256"} - set(config)
    hashed = config.get("sha256")
    if missing or not isinstance(hashed, dict) or set(hashed) - {SOURCE_TOKENIZER} != {PARAMETERS, TOKENIZER}:
        raise CheckpointError(f"{folder / CONFIG} is incomplete; get the checkpoint again")
    return config


def check_task(model: Model, task: Any, where: object) -> None:
    """Raises CheckpointError for a task that is not the one of the model's sense."""
    sense = model.encoder.sense
    if not isinstance(task, str) or task in set(KINDS.values()) - {KINDS[sense]}:
        raise CheckpointError(f"{where}: task {shown(task)} does not fit a model of the sense {sense}")


def check_words(model: Model, where: object) -> None:
    try:
        if model.words:
            model.words.check()
    except ConfigError as error:
        raise CheckpointError(f"{where}: {error}; get the checkpoint again") from error


def check_search(model: Model, search: SearchConfig, where: object) -> None:
    """Raises CheckpointError for a search that asks for parts which the model lacks."""
    parts = {"ctc": model.ctc, "lm": model.language, "words": model.words}
    if lacking := [name for name, part in parts.items() if part is None and getattr(search, name)]:
        raise CheckpointError(f"{where}: search.{lacking[0]} weighs a part that this model lacks")
    sense = sense_of(model.encoder.sense)
    if search.speeds != (1.0,) and sense.at_speed is None:
        raise CheckpointError(f"{where}: search.speeds: {sense.kind}s have no speed")
    if search.looks != (1.0,) and sense.at_look is None:
        raise CheckpointError(f"{where}: search.looks: {sense.kind}s have no look")


def _halve(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor


def count_parameters(module: torch.nn.Module) -> int:
    return sum(math.prod(parameter.shape) for parameter in module.parameters())
