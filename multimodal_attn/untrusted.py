"""Files of a checkpoint folder that anybody may have made: their kind and size are known before they are opened."""

import json
import stat
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from multimodal_attn.errors import CheckpointError


def check_file(path: Path, max_bytes: int) -> None:
    """Raises CheckpointError for a folder, a pipe, a device (also behind a link) and for more than max_bytes."""
    try:
        found = path.stat()
    except OSError as error:
        raise CheckpointError(f"{path} is missing or closed ({error.strerror}); get the checkpoint again") from error
    if not stat.S_ISREG(found.st_mode):
        raise CheckpointError(f"{path} is not a regular file; get the checkpoint again")
    if found.st_size > max_bytes:
        raise CheckpointError(
            f"{path} has {found.st_size} bytes, over the {max_bytes} allowed; get the checkpoint again"
        )


def read_json(path: Path, max_bytes: int) -> Any:
    """Raises CheckpointError for what `check_file` refuses and for what is not JSON or is nested too deep."""
    check_file(path, max_bytes)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not JSON: {error}") from error


def read_tokenizer(path: Path, max_bytes: int) -> Tokenizer:
    """Raises CheckpointError for what `check_file` refuses and for every file that is no tokenizer."""
    check_file(path, max_bytes)
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises no narrower type
        reason = (str(error).splitlines() or ["no reason given"])[0]
        raise CheckpointError(f"{path} is no tokenizer: {reason}") from error
