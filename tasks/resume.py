"""Checkpoints that survive a kill: atomic saves, and `--ckpt_path last` that brings everything back by itself."""

import os
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from multimodal_attn.errors import CheckpointError

RUNS = Path("runs")


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, flushes to the disk, then renames: a kill leaves the old checkpoint or the new one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            torch.save(checkpoint, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(file.name, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A training checkpoint of ours, read without pickle's powers. Raises CheckpointError when it is not whole.

    torch writes a checksum of every part and does not look at it again; zipfile does.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if broken := archive.testzip():
                raise CheckpointError(f"{path} is damaged (in {broken}); resume from another checkpoint")
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"no checkpoint {path}; give a .ckpt file, or `last` for the newest one") from error
    except CheckpointError:
        raise
    except Exception as error:  # whatever a damaged archive makes the readers raise
        raise CheckpointError(f"{path} cannot be read; resume from another checkpoint") from error


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
    raise CheckpointError(f"no checkpoint of an earlier run in {runs}; start one with --config")
