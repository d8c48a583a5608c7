"""What a command is to read: files, folders, patterns, lists and archives, one input at a time, never all at once."""

import glob
import os
import sys
import tarfile
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from multimodal_attn.errors import MediaError, UserError
from multimodal_attn.files import LeftOut, Member, files_in, path_text, printable

LIST = Path("-")  # the standard input, a path on each line
ARCHIVE = ".tar"
CHUNK = 1 << 16  # bytes of a list that are read at once
MAX_MEMBER = 100_000_000  # bytes of a file in an archive, which is held in memory


@dataclass(frozen=True)
class Input:
    """path: as rows and messages show it; of a member of an archive, that of the archive and its own. name: of what is
    made of it, without an ending, relative to the folder that was given: it follows from the path alone. is_named: one
    by one, not found in a folder. open: gives what a predictor takes, or the MediaError, if that is not the path."""

    path: Path
    name: str
    is_named: bool = True
    open: Callable[[], Any] | None = None

    @property
    def source(self) -> Any:
        return self.open() if self.open else self.path

    @property
    def text(self) -> str:
        return path_text(self.path)


def inputs_of(paths: Sequence[Path], extensions: Collection[str], left_out: LeftOut) -> Iterator[Input]:
    """Each once, in order, those of a folder sorted; `left_out` is called with each file of another kind.

    Raises UserError for a pattern that nothing matches.
    """
    seen: set[int] = set()
    for found in inputs_of_each(paths, extensions, left_out):
        key = hash(str(found.path))  # a million paths would take twice the memory
        if key not in seen:
            seen.add(key)
            yield found


def inputs_of_each(paths: Iterable[Path], extensions: Collection[str], left_out: LeftOut) -> Iterator[Input]:
    for path in paths:
        if path == LIST:
            for listed in read_list(sys.stdin.buffer):
                yield from inputs_at(as_spelled(listed), inner(listed.with_suffix("")), extensions, left_out)
            continue
        for match in matches_of(path):
            yield from inputs_at(match, match.stem, extensions, left_out)


def inputs_at(path: Path, name: str, extensions: Collection[str], left_out: LeftOut) -> Iterator[Input]:
    """What is at one path; `name` is that of a file."""
    if path.suffix.lower() == ARCHIVE and path.is_file():
        yield from members_of(path, extensions, left_out)
    elif path.is_dir():
        for file in files_in(path, extensions, left_out):
            yield Input(file, inner(file.relative_to(path).with_suffix("") if file != path else path), False)
    else:
        yield Input(path, name)


def matches_of(path: Path) -> list[Path]:
    """A path, or all that a pattern means which the shell has left as it is."""
    path = as_spelled(path)
    if os.path.lexists(path) or not glob.has_magic(str(path)):
        return [path]
    matches = sorted(map(Path, glob.iglob(str(path), recursive=True)))
    if not matches:
        raise UserError(f"nothing matches {printable(path)}; check the pattern")
    return matches


def as_spelled(path: Path) -> Path:
    """The path as the disk has it, where that has accents composed or decomposed otherwise."""
    spellings = (path, *(Path(unicodedata.normalize(form, str(path))) for form in ("NFC", "NFD")))
    return next(filter(os.path.lexists, spellings), path)


def inner(path: Path) -> str:
    """A path as one below a folder of results, whatever it begins with."""
    return "/".join(part.replace("\0", "") for part in path.parts if part not in (path.anchor, "..", "."))


def read_list(file: BinaryIO) -> Iterator[Path]:
    """Paths that end in newlines, or in zero bytes as `find -print0` writes them."""
    rest = file.read1(CHUNK)
    end = b"\0" if b"\0" in rest else b"\n"
    while rest:
        *lines, rest = rest.split(end)
        yield from (Path(os.fsdecode(line)) for line in lines if line.strip())
        chunk = file.read1(CHUNK)
        if not chunk and rest.strip():
            yield Path(os.fsdecode(rest))
        rest = rest + chunk if chunk else b""


def members_of(archive: Path, extensions: Collection[str], left_out: LeftOut) -> Iterator[Input]:
    """The files of this sense in a tar archive, as WebDataset keeps them in shards. Nothing is unpacked to the disk. An
    archive that is damaged gives what comes before, and then itself, which cannot be read."""
    try:
        with tarfile.open(archive, "r:") as tar:
            for member in tar:
                tar.members = []  # or they would all be kept
                inside = PurePosixPath(member.name)
                if not member.isreg() or inside.name.startswith("."):
                    continue
                path = archive / inner(Path(inside))
                if inside.suffix.lower() not in extensions:
                    left_out(path)
                    continue
                name = f"{archive.stem}/{inner(Path(inside).with_suffix(''))}"
                yield Input(path, name, False, partial(extract, tar, member, path))
    except (OSError, tarfile.TarError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())[:80]
        damaged = MediaError(f"{printable(archive)}: a damaged archive ({reason}); copy it again")
        yield Input(archive, archive.stem, open=lambda: damaged)


def extract(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> Member | MediaError:
    if member.size > MAX_MEMBER:
        return MediaError(f"{printable(path)}: larger than {MAX_MEMBER // 10**6} MB; take it out of its archive")
    try:
        return Member(tar.extractfile(member).read(), printable(path))
    except (OSError, tarfile.TarError) as error:
        return MediaError(f"{printable(path)}: cut short in its archive ({error}); copy it again")
