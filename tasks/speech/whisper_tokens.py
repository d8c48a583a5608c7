"""Whisper's vocabulary in ours: SPECIALS first, then its pieces of text, then what it is told before a sentence.

Its time stamps stay behind: words get their times from the attention.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tokenizers import Tokenizer

from multimodal_attn.errors import ConfigError
from multimodal_attn.tokens import NO_SPEECH, SPECIALS, build_byte_tokenizer

N_STAMPS = 1501  # a time stamp for every 20 ms
START_OF_TRANSCRIPT = "<|startoftranscript|>"
SIGNS = frozenset('"#()*+/:;<=>@[\\]^_`{|}~\u300c\u300d\u300e\u300f')
NOTES = "\u2669\u266a\u266b\u266c\u266d\u266e\u266f"  # of music; several pieces each, of which the first are left out
DASHES = ("--", "---", "-(", "-[", "('", '("')  # that open a remark or a change of speaker
HYPHENS = (" -", " '")  # the same, after a space


@dataclass(frozen=True)
class Vocabulary:
    """tokenizer: of our ids. rows: Whisper's id for each of ours, None for what it has not. prefix: what stands before
    START. unsaid: ids that are never written."""

    tokenizer: Tokenizer
    rows: tuple[int | None, ...]
    prefix: tuple[int, ...]
    unsaid: tuple[int, ...]


def build_vocabulary(tokens: Path, n_published: int) -> Vocabulary:
    """Of a tokenizer's file, see `read_pieces`, and the size of the published embedding."""
    pieces, merges = read_pieces(tokens)
    end, first = len(pieces), n_published - N_STAMPS  # of Whisper's ids: the end of a text, the first time stamp
    if not len(pieces) + 2 <= first < len(pieces) + 300:
        raise ConfigError(f"--tokenizer {tokens} is of another size than the model; get the one that belongs to it")
    names = [*SPECIALS, *pieces, START_OF_TRANSCRIPT, NO_SPEECH]
    no_stamps = first - 1  # says that no time stamps follow, the last word before a text, so our START
    rows = (None, no_stamps, end, None, *range(len(pieces)), end + 1, first - 2)
    tokenizer = build_byte_tokenizer(names, merges)
    start = names.index(START_OF_TRANSCRIPT)
    return Vocabulary(tokenizer, rows, (start,), (0, 1, 3, start, start + 1, *unsaid(tokenizer, len(pieces))))


def unsaid(tokenizer: Tokenizer, n_pieces: int) -> list[int]:
    """Pieces that are no speech: a space alone, brackets, notes of music, and dashes before a remark."""
    texts = {i: tokenizer.id_to_token(i).replace("\u0120", " ") for i in range(len(SPECIALS), len(SPECIALS) + n_pieces)}
    letters = byte_letters()
    notes = ["".join(letters[byte] for byte in note.encode()) for note in NOTES]

    def is_sign(text: str) -> bool:
        bare = text.strip()
        begins_note = len(bare) > 1 and any(note.startswith(bare) for note in notes)
        return bare in DASHES or text in HYPHENS or set(bare) <= SIGNS or begins_note

    return [i for i, text in texts.items() if is_sign(text)]


def find_tokens(weights: Path, tokens: Path | None, size: str) -> Path:
    """The tokenizer's file: as given, or beside the weights, or that of the package openai-whisper."""
    folder = weights if weights.is_dir() else weights.parent
    beside = [folder / "tokenizer.json", folder / f"{weights.stem}-tokenizer.json"]
    package = find_spec("whisper")
    name = "gpt2" if size.endswith(".en") else "multilingual"
    assets = (
        [Path(place) / "assets" / f"{name}.tiktoken" for place in package.submodule_search_locations] if package else []
    )
    found = [path for path in ([tokens] if tokens else [*beside, *assets]) if path.is_file()]
    if not found:
        raise ConfigError("no tokenizer beside the weights; name one with --tokenizer, or install openai-whisper")
    return found[0]


def read_pieces(path: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """Pieces by Whisper's ids, and merges, of a tokenizer.json or of openai-whisper's .tiktoken file."""
    try:
        text = path.read_text(encoding="utf-8")
        return from_ranks(text) if path.suffix == ".tiktoken" else from_json(json.loads(text))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"--tokenizer {path} cannot be read: {' '.join(str(error).split())[:200]}") from error


def from_json(data: dict) -> tuple[list[str], list[tuple[str, str]]]:
    model = data["model"]
    added = {token["content"] for token in data.get("added_tokens", [])}
    pieces = sorted((piece for piece in model["vocab"] if piece not in added), key=model["vocab"].get)
    if [model["vocab"][piece] for piece in pieces] != list(range(len(pieces))):
        raise ValueError("its ids are not 0, 1, 2, ...")
    return pieces, [tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in model["merges"]]


def from_ranks(text: str) -> tuple[list[str], list[tuple[str, str]]]:
    """A line for each piece: its bytes in base64 and its rank. A piece of several bytes is the merge of the two that
    the pieces before it make of them."""
    ranks = {base64.b64decode(piece): int(rank) for piece, rank in map(str.split, text.splitlines())}
    letters = byte_letters()
    spelled = {piece: "".join(letters[byte] for byte in piece) for piece in ranks}
    pairs = [split_piece(piece, ranks) for piece in sorted(ranks, key=ranks.get) if len(piece) > 1]
    merges = [(spelled[left], spelled[right]) for left, right in pairs]
    return [spelled[piece] for piece in sorted(ranks, key=ranks.get)], merges


def split_piece(piece: bytes, ranks: dict[bytes, int]) -> Sequence[bytes]:
    parts = [bytes([byte]) for byte in piece]
    while len(parts) > 2:
        pairs = [ranks.get(left + right, len(ranks)) for left, right in zip(parts, parts[1:], strict=False)]
        first = min(range(len(pairs)), key=pairs.__getitem__)
        parts[first : first + 2] = [parts[first] + parts[first + 1]]
    return parts


def byte_letters() -> dict[int, str]:
    """The letter for each byte: its own where it is visible, else one from 256 on (Radford et al. 2019)."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(byte) for byte in visible} | {byte: chr(256 + n) for n, byte in enumerate(others)}
