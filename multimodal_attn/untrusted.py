"""Files of a checkpoint folder that anybody may have made: their kind and size are known before they are opened."""

import json
import stat
from pathlib import Path
from typing import Any, NoReturn

from tokenizers import Tokenizer

from multimodal_attn.errors import CheckpointError
from multimodal_attn.tokens import APART, APOSTROPHE, MARK, SPACES, SPECIALS, UNITS

MAX_HEADER = 4 << 20  # bytes
MAX_DEPTH = 16  # of a tokenizer's parts in each other; ours have 3
PARTS = (
    *("BPE", "ByteFallback", "ByteLevel", "Fuse", "Lowercase", "Metaspace", "NFC", "Sequence", "Strip"),
    *("WhitespaceSplit", "WordLevel"),
)
PATTERNS = {
    "Replace": ({"Regex": APART}, {"String": APOSTROPHE}, {"Regex": SPACES}, {"String": MARK}),
    "Split": ({"Regex": UNITS},),
}


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
    """Raises CheckpointError for what `check_file` refuses and for what is not JSON."""
    return parse_json(read_text(path, max_bytes), path)


def read_text(path: Path, max_bytes: int) -> str:
    check_file(path, max_bytes)
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read as text: {error}") from error


def parse_json(text: str, where: object) -> Any:
    """Raises CheckpointError for what is not JSON, NaN and a name that comes twice included, or is nested too deep."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{where} is not JSON: {str(error)[:200]}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name comes twice in an object")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def check_header(path: Path) -> None:
    """Raises CheckpointError for a .safetensors file whose list of tensors is longer than any model's."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > MAX_HEADER:
        raise CheckpointError(f"{path} cannot be read: its header claims {length} bytes; get the checkpoint again")


def parse_tokenizer(text: str, where: object) -> Tokenizer:
    """A tokenizer built of the parts that tokens.py uses, with ids 0, 1, 2, ... Raises CheckpointError for any other.

    Others are refused before the library sees them: a pattern can make it work for ever, and ids may not be ours.
    """
    data = parse_json(text, where)
    if not isinstance(data, dict) or not isinstance(data.get("model"), dict):
        raise CheckpointError(f"{where} is no tokenizer; get the checkpoint again")
    vocabulary, model = data["model"].get("vocab"), {**data["model"], "vocab": None, "merges": None}
    parts = [data.get(name) for name in ("normalizer", "pre_tokenizer", "decoder")]
    if any(data.get(name) for name in ("truncation", "padding", "post_processor")) or not _known([model, *parts]):
        raise CheckpointError(f"{where} is a tokenizer of another kind; get the checkpoint again")
    if not _numbered(vocabulary):
        raise CheckpointError(f"{where}: its ids must be 0, 1, 2, ... from {' '.join(SPECIALS)} on")
    tokenizer = _build(text, where)
    if tokenizer.get_vocab() != vocabulary:
        raise CheckpointError(f"{where} adds tokens to its vocabulary; get the checkpoint again")
    return tokenizer


def _build(text: str, where: object) -> Tokenizer:
    try:
        return Tokenizer.from_str(text)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library raises no narrower type, and a panic is not even an Exception
        reason = (str(error).splitlines() or ["no reason given"])[0][:200]
        raise CheckpointError(f"{where} is no tokenizer: {reason}") from error


def _known(part: Any, depth: int = 0) -> bool:
    """Whether all that a part consists of is something that we use."""
    if not isinstance(part, list | dict):
        return True
    if depth > MAX_DEPTH:
        return False
    if isinstance(part, list):
        return all(_known(each, depth + 1) for each in part)
    if part.get("type") in PATTERNS:
        return part.get("pattern") in PATTERNS[part["type"]]
    return part.get("type") in PARTS and all(_known(each, depth + 1) for each in part.values())


def _numbered(vocabulary: Any) -> bool:
    if not isinstance(vocabulary, dict) or not all(type(number) is int for number in vocabulary.values()):
        return False
    first = [vocabulary.get(token) for token in SPECIALS]
    return first == [0, 1, 2, 3] and sorted(vocabulary.values()) == list(range(len(vocabulary)))
