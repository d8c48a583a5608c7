"""Which files of a folder are results of ours: a hidden file beside them that says what was written, of what, and by
which model with which options.

Documents and figures cannot all say themselves what they are. RECORD has a line for each, with the hash of its content:
a subtitle that somebody corrected is thereby no longer ours, and two recordings of one name keep their results apart.
A file of rows has one line. Locks on it keep two processes from writing one place.
"""

import errno
import fcntl
import hashlib
import json
import os
import stat
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, BinaryIO

from multimodal_attn.errors import UserError
from multimodal_attn.files import printable

RECORD = ".multimodal-attn.jsonl"
LONGEST = 255  # bytes of a file's name, on all usual file systems
ROOM = 24  # bytes of it for a number and an extension
BUSY = {errno.EAGAIN, errno.EACCES}  # of a lock that another process has

Maker = dict[str, Any]  # sense, checkpoint, sha256, options, attention: what results follow from, beside their sources


class State(Enum):
    """What stands in the place of a result."""

    FREE = "nothing"
    OURS = "holds results already"
    CHANGED = "was changed after it was written"
    FOREIGN = "was not written by this command"


@dataclass(frozen=True)
class Entry:
    """name: of the source's results here without extension, "" where the user chose it. source: relative to the folder,
    "" of rows. makers: by the hash of each content that was written, the hash of what made it."""

    name: str
    source: str
    makers: dict[str, str]


class Record:
    """Which files of a folder are ours, by their names. The file is only ever added to, and only while it is held."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read(read_lines(folder / RECORD))

    def _read(self, lines: Iterable[bytes]) -> None:
        self.entries: dict[str, Entry] = {}
        self.makers: dict[str, Maker] = {}
        for line in lines:
            match parse_line(line):
                case (str(key), dict(maker)):
                    self.makers[key] = maker
                case (str(file), Entry() as entry) if os.path.lexists(self.folder / file):
                    self._learn(file, entry)

    @contextmanager
    def held(self, place: str, maker: Maker) -> Iterator[None]:
        """While a place of the folder, a file's name or "" for all that is named after its sources, is written by this
        process alone, as `maker` makes it. The record is read anew: another process may have written here before.

        Raises UserError when another process has the place, or when the record cannot be written.
        """
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        with ExitStack() as stack:
            try:
                number = os.open(self.folder / RECORD, flags, 0o666)
                self._file = stack.enter_context(os.fdopen(number, "r+b", buffering=0))
                lock(self._file, place, printable(self.folder / place))
                self._read(self._file.read().splitlines())
                self._begin(maker)
            except OSError as error:
                raise UserError(f"{printable(self.folder / RECORD)} cannot be written: {error.strerror}") from error
            yield

    def _begin(self, maker: Maker) -> None:
        self._maker = digest(json.dumps(maker, sort_keys=True).encode())
        if self._maker not in self.makers:
            self._add({"maker": self._maker, "is": maker})
            self.makers[self._maker] = maker

    def made_otherwise(self, files: Iterable[str]) -> str | None:
        """Which of the files, if any, was written by another model or with other options, and how."""
        for file in files:
            if (key := self._maker_of(file)) not in (None, self._maker):
                before, now = self.makers.get(key), self.makers[self._maker]
                if before is None or before.get("sense") == now["sense"]:
                    return f"{printable(self.folder / file)} was written {difference(before, now)}"
        return None

    def _maker_of(self, file: str) -> str | None:
        makers = self.entries[file].makers if file in self.entries else {}
        if len(set(makers.values())) < 2:
            return next(iter(makers.values()), None)
        with suppress(OSError):  # written, or about to be written, in several ways
            return makers.get(digest((self.folder / file).read_bytes()))
        return None

    def state(self, file: str, source: Path | None) -> State:
        """Of a file of the folder that is to be made from `source`; None is anything."""
        path = self.folder / file
        if not os.path.lexists(path):
            return State.FREE
        if not self.knows(file, source) or not stat.S_ISREG(path.lstat().st_mode):
            return State.FOREIGN
        try:
            return State.OURS if digest(path.read_bytes()) in self.entries[file].makers else State.CHANGED
        except OSError:
            return State.CHANGED

    def knows(self, file: str, source: Path | None) -> bool:
        """Whether a file that is there was made here from `source`; None is anything."""
        entry = self.entries.get(file)
        return entry is not None and (source is None or entry.source == self.relative(source))

    def add(self, file: str, name: str, source: Path, content: bytes) -> None:
        """Before the file is written, so that a kill in between leaves nothing that is ours and unknown."""
        self._add_entry(file, Entry(name, self.relative(source), {digest(content): self._maker}))

    def add_rows(self, file: str) -> None:
        """Before the first row is written to a file that is empty."""
        self.entries.pop(file, None)
        self._add_entry(file, Entry("", "", {"": self._maker}))

    def _add_entry(self, file: str, entry: Entry) -> None:
        [(content, maker)] = entry.makers.items()
        self._add({"file": file, "name": entry.name, "source": entry.source, "sha256": content, "by": maker})
        self._learn(file, entry)

    def _add(self, line: dict[str, Any]) -> None:
        # ASCII carries names that are not UTF-8; the newline before ends what a full disk cut short
        self._file.write(b"\n" + json.dumps(line).encode() + b"\n")

    def names(self, files: Sequence[Path]) -> dict[Path, str]:
        """A name for the results of each file: the one that it has here already, or else its own, with a number where
        another file has that."""
        known = {entry.source: entry.name for entry in self.entries.values() if is_name(entry.name, entry.source)}
        names = {path: known[source] for path in files if (source := self.relative(path)) in known}
        taken = {fold(name) for name in known.values()}
        for path in files:
            if path not in names:
                names[path] = free_name(path.stem, taken)
                taken.add(fold(names[path]))
        return names

    def relative(self, source: Path) -> str:
        """Relative, so that a folder that is moved with its results knows them."""
        place, folder = os.path.realpath(source.parent), os.path.realpath(self.folder)
        try:
            return os.path.join(os.path.relpath(place, folder), source.name)
        except ValueError:  # another drive
            return os.path.join(place, source.name)

    def _learn(self, file: str, entry: Entry) -> None:
        before = self.entries.get(file)
        self.entries[file] = replace(entry, makers=(before.makers if before else {}) | entry.makers)


def read_lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().splitlines() if path.is_file() and not path.is_symlink() else []
    except OSError:
        return []


def parse_line(line: bytes) -> tuple[str, Entry | Maker] | None:
    """A file and what is known of it, or a hash and the maker that has it. None for what cannot be read, of a full disk
    or by a stranger."""
    try:
        row = json.loads(line)
        if "maker" in row:
            is_maker = isinstance(row["maker"], str) and isinstance(row["is"], dict)
            return (row["maker"], row["is"]) if is_maker else None
        fields = [row[key] for key in ("file", "name", "source", "sha256")] + [row.get("by", "")]
    except (ValueError, TypeError, LookupError, RecursionError, AttributeError):
        return None
    if not all(isinstance(value, str) for value in fields):
        return None
    file, name, source, content, maker = fields
    return file, Entry(name, source, {content: maker})


def lock(file: BinaryIO, place: str, name: str) -> None:
    """Until the file is closed. A byte of the file's address space stands for each place in its folder; where the file
    system knows no locks, nothing is locked."""
    byte = int(digest(os.fsencode(place))[:15], 16)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
    except OSError as error:
        if error.errno in BUSY:
            told = "wait for it to end, or name another place"
            raise UserError(f"{name} is being written by another process; {told}") from error


def difference(before: Maker | None, now: Maker) -> str:
    """What is not as it was, in words."""
    if before is None:
        return "nobody knows by which model"
    if before.get("sha256") != now["sha256"]:
        return f"by another model ({printable(before.get('checkpoint', 'unnamed'))})"
    old = before.get("options") if isinstance(before.get("options"), dict) else {}
    old, new = old | {"attention": before.get("attention")}, now["options"] | {"attention": now["attention"]}
    changed = next((key for key in new if old.get(key) != new[key]), "")
    return f"with {changed} {printable(old.get(changed))}, not {new.get(changed)}"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def free_name(stem: str, taken: Collection[str]) -> str:
    """The stem, short enough for every extension, with the first number that makes it one of its own."""
    name, n = shortened(stem), 1
    while fold(name) in taken:
        n += 1
        name = f"{shortened(stem)}-{n}"
    return name


def shortened(stem: str) -> str:
    while len(os.fsencode(stem)) > LONGEST - ROOM:
        stem = stem[:-1]
    return stem


def is_name(name: str, source: str) -> bool:
    """Whether a source's results can have this name. A record may be a stranger's, who would rather name a place
    outside the folder."""
    try:
        base = shortened(Path(source).stem)
    except ValueError:  # no file can be called so
        return False
    return name == base or name.removeprefix(f"{base}-").isdecimal()


def fold(name: str) -> str:
    """Equal for names that some file systems take for one."""
    return unicodedata.normalize("NFC", name).casefold()
