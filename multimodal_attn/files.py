"""What all files share: names for messages, files inside folders, opening one safely, and writing one whole."""

import os
import re
import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from multimodal_attn.errors import MediaError

LeftOut = Callable[[Path], None]


def in_hand(source: Any, max_bytes: int) -> Any:
    """What people hold instead of a file, as one of few types: bytes of everything that has bytes or can be read, one
    byte more than `max_bytes` at most, and arrays of tensors. Anything else as it is."""
    if isinstance(source, bytearray | memoryview):
        return bytes(source)
    if hasattr(source, "read") and not isinstance(source, str | Path):
        data = source.read(max_bytes + 1)
        return Member(data, printable(getattr(source, "name", "file"))) if isinstance(data, bytes) else data
    if hasattr(source, "detach"):  # a tensor of torch, whose bfloat16 numpy does not have
        tensor = source.detach().cpu()
        return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()
    return source


def path_text(path: object) -> str:
    """A path as text that every encoding takes: bytes that are not UTF-8, of old disks and archives, as \\xe9."""
    return re.sub("[\ud800-\udfff]", lambda found: escape_surrogate(ord(found[0])), str(path))


def escape_surrogate(code: int) -> str:
    """Python reads a byte that is no UTF-8 as one of U+DC80 to U+DCFF."""
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def printable(path: object) -> str:
    """A path as messages show it: on one line, without control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in path_text(path))


class Member(bytes):
    """The content of a file that has no path of its own, as in an archive; `name` is for messages."""

    name: str

    def __new__(cls, content: bytes, name: str) -> "Member":
        made = super().__new__(cls, content)
        made.name = name
        return made


def media_files(paths: Sequence[str | Path], extensions: Collection[str]) -> Iterator[Path]:
    """Files as given, whatever their extension, and those inside folders, see `files_in`."""
    for path in map(Path, paths):
        if path.is_dir():
            yield from files_in(path, extensions)
        else:
            yield path


def files_in(folder: Path, extensions: Collection[str], left_out: LeftOut = lambda path: None) -> Iterator[Path]:
    """The files inside a folder that have one of `extensions` (lower case), sorted, one folder at a time; `left_out` is
    called with each of the others. Hidden entries do not count.

    Links are followed, and every folder is read once, by whatever names it can be reached; a loop of links is therefore
    harmless. Folders that cannot be listed come out too, so that reading reports them.
    """
    failed: list[OSError] = []
    seen = {identity(folder)}
    for root, folders, files in os.walk(folder, onerror=failed.append, followlinks=True):
        folders[:] = [name for name in sorted(folders) if name[0] != "." and is_new(Path(root, name), seen)]
        for name in sorted(files):
            if not name.startswith("."):
                if os.path.splitext(name)[1].lower() in extensions:
                    yield Path(root, name)
                else:
                    left_out(Path(root, name))
    yield from (Path(error.filename) for error in failed)


def is_new(folder: Path, seen: set[tuple[int, int] | None]) -> bool:
    """Whether a folder was not seen before; one that cannot be looked at is new, since listing it will tell."""
    found = identity(folder)
    if found in seen and found is not None:
        return False
    seen.add(found)
    return True


def identity(path: Path) -> tuple[int, int] | None:
    """What a file is under each of its names: links, other spellings, other cases. None where there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def open_file(path: Path, name: str, kind: str) -> BinaryIO:
    """An open regular file. Raises MediaError, calling the wanted thing `kind` ("picture"), for everything else."""
    try:
        if not path.exists():
            raise MediaError(f"{name}: no such file; check the path")
        if path.is_dir():
            os.listdir(path)  # says so if the folder is closed to us
            raise MediaError(f"{name}: a folder, not a {kind}; name a file in it")
        if not path.is_file():
            raise MediaError(f"{name}: not a regular file; copy the {kind} to one first")
        # opened by number, so that no decoder can guess the format from the file's name
        return os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)), "rb")
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise MediaError(f"{name}: {getattr(error, 'strerror', None) or error}; check the path") from error


@contextmanager
def whole_file(path: str | Path) -> Iterator[BinaryIO]:
    """A new file to be written in the block, which then takes the place of `path`; after any error, and a kill, `path`
    is what it was before.

    Nothing is left over but after a kill: a hidden file in the same folder, whose short name ends in .part and does not
    grow with that of `path`. Errors of the system come through as they are, OSError: what to say is the caller's.
    """
    path = Path(path)
    part = path.with_name(f".{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # a name must not reach the disk before what it names
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):  # of the two errors the first one tells
            part.unlink()
        raise
    flush_folder(path.parent)


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Write bytes, or a text as UTF-8 with its line ends as they are, see `whole_file`."""
    with whole_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def flush_folder(folder: Path) -> None:
    """Bring a folder's new names to the disk, where the system can."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
