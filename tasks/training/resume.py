"""Checkpoints that survive a kill: atomic saves, and `--ckpt_path last` that brings everything back by itself."""

import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from tokenizers import Tokenizer
from torch import Tensor, nn

from multimodal_attn.checkpoint import check_words, load_checkpoint, model_from_dict, search_from_dict
from multimodal_attn.errors import CheckpointError, TrainingError
from multimodal_attn.model import Model
from multimodal_attn.parameters import fill_from_state
from multimodal_attn.search import SearchConfig
from multimodal_attn.untrusted import check_file, parse_tokenizer

RUNS = Path("runs")
MAX_BYTES = 16 << 30
PART = ".part"
WHERE = "the training checkpoint"


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, flushes to the disk, then renames: a kill leaves the old checkpoint or the new one.

    Raises TrainingError, and leaves the old one alone, for parameters that are not finite and for a full disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        path = Path(path)
        if name := not_finite(checkpoint.get("state_dict", {})):
            raise TrainingError(f"{name} holds NaN or infinity, so {path} was not saved; lower the learning rate")
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}{PART}")  # one name for all saves, so that kills never leave two
        try:
            write_through(checkpoint, part)
            os.replace(part, path)
        except (OSError, RuntimeError) as error:  # torch calls a full disk a RuntimeError
            reason = getattr(error, "strerror", None) or "it could not be written whole"
            kept = "; the one before is whole" if path.exists() else ""
            raise TrainingError(f"{path} was not saved: {reason}; make room on the disk{kept}") from error
        finally:
            part.unlink(missing_ok=True)
        flush_folder(path.parent)


def write_through(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a file as far as the disk itself."""
    with path.open("wb") as file:
        torch.save(checkpoint, file)
        file.flush()
        os.fsync(file.fileno())


def flush_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def remove_left_overs(run: Path) -> None:
    """What kills left of saves in a run's folder."""
    for path in run.rglob(".*.ckpt.*"):
        path.unlink(missing_ok=True)


def not_finite(state: dict[str, Any]) -> str | None:
    """The first tensor of a state dict that holds NaN or infinity, if one does."""
    tensors = ((name, tensor) for name, tensor in state.items() if isinstance(tensor, torch.Tensor))
    return next((name for name, tensor in tensors if not tensor.isfinite().all()), None)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A training checkpoint of ours, read without pickle's powers. Raises CheckpointError when it is not whole, or when
    its parameters are not finite.

    torch writes a checksum of every part and does not look at it again; zipfile does.
    """
    if not path.exists():
        raise CheckpointError(f"no checkpoint {path}; give a .ckpt file, or `last` for the newest one")
    check_file(path, MAX_BYTES)
    try:
        with zipfile.ZipFile(path) as archive:
            check_members(archive, path)
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except CheckpointError:
        raise
    except Exception as error:  # whatever a damaged archive makes the readers raise
        raise CheckpointError(f"{path} cannot be read; resume from another checkpoint") from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(f"{path} is no checkpoint of ours; resume from another")
    if name := not_finite(parameters_in(checkpoint, path)):
        raise CheckpointError(f"{path} is of no use: {name} holds NaN or infinity; resume from another checkpoint")
    return checkpoint


def check_members(archive: zipfile.ZipFile, path: Path) -> None:
    """Raises CheckpointError for parts that unpack to more than the file itself, and for damaged ones."""
    parts = archive.infolist()
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
        raise CheckpointError(f"{path} is compressed, as no checkpoint of ours is; resume from another checkpoint")
    if sum(part.file_size for part in parts) > path.stat().st_size:
        raise CheckpointError(f"{path} claims to hold more than it has; resume from another checkpoint")
    if broken := archive.testzip():
        raise CheckpointError(f"{path} is damaged (in {broken!r:.99}); resume from another checkpoint")


def parameters_in(checkpoint: dict[str, Any], where: object = WHERE) -> dict[str, Tensor]:
    """The model's part of the state dict. Raises CheckpointError for what is none, also for one that would grow in
    memory: a tensor may claim to repeat a single number for ever."""
    state = checkpoint.get("state_dict", {})
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise CheckpointError(f"{where} holds no parameters; resume from another checkpoint")
    if any(tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes() for tensor in state.values()):
        raise CheckpointError(f"{where} claims to hold more than it has; resume from another checkpoint")
    return {str(name).removeprefix("model."): tensor for name, tensor in state.items()}


def described_model(checkpoint: dict[str, Any]) -> tuple[dict[str, Any], Tokenizer, Tokenizer | None]:
    """What a training checkpoint says of its model, the tokenizer, and that of the source if it is another. Raises
    CheckpointError for one without."""
    described, text = checkpoint.get("model_config"), checkpoint.get("tokenizer")
    source = checkpoint.get("source_tokenizer")
    if not isinstance(described, dict) or not isinstance(text, str) or not isinstance(source, str | None):
        raise CheckpointError(f"{WHERE} does not say what its model is; name one that `fit` wrote")
    parsed = None if source is None else parse_tokenizer(source, f"{WHERE}'s tokenizer of the source")
    return described, parse_tokenizer(text, f"{WHERE}'s tokenizer"), parsed


def find_checkpoint(name: str, runs: Path) -> tuple[Path, dict[str, Any]]:
    """The file and content of a checkpoint: a path, or `last` for the newest whole one of the runs below `runs`."""
    if name != "last":
        return Path(name), read_checkpoint(Path(name))
    newest = sorted(runs.rglob("*.ckpt"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in newest:
        try:
            return path, read_checkpoint(path)
        except CheckpointError as error:
            print(f"{error}; trying the one before", file=sys.stderr)
    raise CheckpointError(
        f"no {'usable ' if newest else ''}checkpoint of an earlier run in {runs}; start one with --config"
    )


def restore_model(checkpoint: dict[str, Any]) -> tuple[Model, SearchConfig]:
    """The model inside a training checkpoint, which carries its own architecture and tokenizer.

    Raises CheckpointError for one that carries others, or parameters that do not fit them.
    """
    described, tokenizer, source_tokenizer = described_model(checkpoint)
    model = model_from_dict(described, tokenizer, WHERE, source_tokenizer)
    search = search_from_dict(described.get("search"), WHERE)
    fill_from_state(model, parameters_in(checkpoint), WHERE)
    check_words(model, WHERE)
    return model.eval(), search


def load_encoder(path: Path) -> nn.Module:
    """The encoder of a checkpoint folder or of a training checkpoint. Raises CheckpointError."""
    return load_checkpoint(path)[0].encoder if path.is_dir() else restore_model(read_checkpoint(path))[0].encoder


def start_encoder(encoder: nn.Module, path: Path) -> None:
    """Give an encoder the parameters of the one in a checkpoint; layers that only the former has stay fresh.

    Raises CheckpointError where the two are built otherwise.
    """
    own, known = encoder.state_dict(), load_encoder(path).state_dict()
    if any(name not in own or own[name].shape != tensor.shape for name, tensor in known.items()):
        raise CheckpointError(
            f"encoder_from: the encoder in {path} is built otherwise than `model.encoder` says; make them alike"
        )
    encoder.load_state_dict(known, strict=False)
