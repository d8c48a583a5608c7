"""The checkpoint folder: config.json, model.safetensors, tokenizer.json and README.md, without pickle, with hashes."""

import hashlib
import json
import math
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer

from multimodal_attn.decoders import DecoderConfig
from multimodal_attn.encoders import SENSES, encoder_to_dict
from multimodal_attn.errors import CheckpointError, ConfigError
from multimodal_attn.language_model import LanguageModelConfig
from multimodal_attn.model import Model, build_model
from multimodal_attn.search import SearchConfig
from multimodal_attn.untrusted import check_file, read_json, read_tokenizer
from multimodal_attn.word_model import WordModelConfig

FORMAT = "multimodal-attn/checkpoint/1"
PARAMETERS, TOKENIZER, CONFIG, CARD = "model.safetensors", "tokenizer.json", "config.json", "README.md"
MAX_BYTES = {CONFIG: 4 << 20, TOKENIZER: 64 << 20, PARAMETERS: 8 << 30}


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
    (folder / TOKENIZER).write_text(model.tokenizer.to_str(pretty=True), encoding="utf-8")
    config = {
        "format": FORMAT,
        "task": task,
        **describe(model),
        "search": asdict(search),
        "sha256": {name: sha256(folder / name) for name in (PARAMETERS, TOKENIZER)},
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
    tokenizer = read_tokenizer(folder / TOKENIZER, MAX_BYTES[TOKENIZER])
    model = model_from_dict(config, tokenizer, folder / CONFIG)
    _fill(model, folder / PARAMETERS)
    return model.eval(), _from_dict(SearchConfig, config["search"], folder / CONFIG), config


def describe(model: Model) -> dict[str, Any]:
    """The architecture, JSON-ready and enough to build the model again; the encoder's parameters are in the state."""
    return {
        "encoder": encoder_to_dict(model.encoder.config),
        "decoder": asdict(model.decoder.config),
        "ctc": model.ctc is not None,
        "language": asdict(model.language.config) if model.language else None,
        "words": asdict(model.words.config) if model.words else None,
    }


def model_from_dict(data: dict[str, Any], tokenizer: Tokenizer, where: object) -> Model:
    """Inverse of `describe`, with fresh parameters. Raises CheckpointError that begins with `where`."""
    for part in ("encoder", "decoder", "language", "words"):
        if not isinstance(data.get(part), dict | None):
            raise CheckpointError(f"{where}: {part} must be an object; get the checkpoint again")
    encoder = dict(data["encoder"] or {})
    sense = encoder.pop("sense", "picture")
    if not isinstance(sense, str) or sense not in SENSES:
        raise CheckpointError(f"{where}: no sense {sense!r}; update multimodal-attn")
    parts = _from_dict(SENSES[sense][0], encoder, where), _from_dict(DecoderConfig, data["decoder"], where)
    language = _from_dict(LanguageModelConfig, data["language"], where) if data.get("language") else None
    words = _from_dict(WordModelConfig, data["words"], where) if data.get("words") else None
    try:
        return build_model(*parts, tokenizer, data.get("ctc", False), language, words)
    except ConfigError as error:
        raise CheckpointError(f"{where}: {error}") from error


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
    if not folder.is_dir():
        others = sorted(path.parent.name for path in folder.parent.glob(f"*/{CONFIG}"))
        there = f"in {folder.parent} there is {', '.join(others) or 'none'}"
        raise CheckpointError(f"no checkpoint folder {folder}; {there}")
    config = read_json(folder / CONFIG, MAX_BYTES[CONFIG])
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        raise CheckpointError(f"{folder / CONFIG} is not of format {FORMAT}; update multimodal-attn or the checkpoint")
    missing = {"encoder", "decoder", "search", "sha256"} - set(config)
    if missing or not isinstance(config["sha256"], dict) or set(config["sha256"]) != {PARAMETERS, TOKENIZER}:
        raise CheckpointError(f"{folder / CONFIG} is incomplete; get the checkpoint again")
    return config


def _from_dict(kind: type, data: dict[str, Any], where: object) -> Any:
    known = {field.name for field in fields(kind)}
    try:
        if unknown := sorted(set(data) - known):
            raise CheckpointError(f"{where}: {kind.__name__} knows no {unknown[0]!r}; update multimodal-attn")
        return kind(**data)
    except (TypeError, ConfigError) as error:
        raise CheckpointError(f"{where}: {error}") from error


def _fill(model: Model, path: Path) -> None:
    """Copy the parameters in, after comparing every name and shape with the model's own, before any tensor is read."""
    state = model.state_dict()
    try:
        with safe_open(path, "pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            if shapes != {name: tuple(tensor.shape) for name, tensor in state.items()}:
                raise CheckpointError(f"{path} does not fit the architecture in {CONFIG}; get the checkpoint again")
            with torch.no_grad():
                for name, tensor in state.items():
                    tensor.copy_(file.get_tensor(name))
                    if not tensor.isfinite().all():
                        raise CheckpointError(f"{path}: {name} holds NaN or infinity; get the checkpoint again")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error


def _halve(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.half() if tensor.is_floating_point() else tensor


def count_parameters(module: torch.nn.Module) -> int:
    return sum(math.prod(parameter.shape) for parameter in module.parameters())
