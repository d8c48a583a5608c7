"""Which files of a folder are results of ours: a hidden file beside them that says what was written, and of what.

Documents and figures cannot all say themselves what they are. RECORD has a line for each, with the hash of its content:
a subtitle that somebody corrected is thereby no longer ours, and two recordings of one name keep their results apart.
"""

import hashlib
import json
import os
import stat
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

RECORD = ".multimodal-attn.jsonl"
LONGEST = 255  # bytes of a file's name, on all usual file systems
ROOM = 24  # bytes of it for a number and an extension


class State(Enum):
    """What stands in the place of a result."""

    FREE = "nothing"
    OURS = "holds results already"
    CHANGED = "was changed after it was written"
    FOREIGN = "was not written by this command"


@dataclass(frozen=True)
class Entry:
    """name: of the source's results here without extension, "" where the user chose it. source: relative to the folder.
    hashes: of all that was written."""

    name: str
    source: str
    hashes: frozenset[str]


class Record:
    """Which files of a folder are ours, by their names. The file is only ever added to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries: dict[str, Entry] = {}
        for file, entry in read_entries(folder / RECORD):
            if os.path.lexists(folder / file):
                self._learn(file, entry)

    def state(self, file: str, source: Path | None) -> State:
        """Of a file of the folder that is to be made from `source`; None is anything."""
        path = self.folder / file
        if not os.path.lexists(path):
            return State.FREE
        if not self.knows(file, source) or not stat.S_ISREG(path.lstat().st_mode):
            return State.FOREIGN
        try:
            return State.OURS if digest(path.read_bytes()) in self.entries[file].hashes else State.CHANGED
        except OSError:
            return State.CHANGED

    def knows(self, file: str, source: Path | None) -> bool:
        """Whether a file that is there was made here from `source`; None is anything."""
        entry = self.entries.get(file)
        return entry is not None and (source is None or entry.source == self.relative(source))

    def add(self, file: str, name: str, source: Path, content: bytes) -> None:
        """Before the file is written, so that a kill in between leaves nothing that is ours and unknown."""
        entry = Entry(name, self.relative(source), frozenset([digest(content)]))
        line = {"file": file, "name": name, "source": entry.source, "sha256": digest(content)}
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        number = os.open(self.folder / RECORD, flags, 0o666)
        with os.fdopen(number, "ab", buffering=0) as record:
            # ASCII carries names that are not UTF-8; the newline before ends what a full disk cut short
            record.write(b"\n" + json.dumps(line).encode() + b"\n")
        self._learn(file, entry)

    def names(self, files: Sequence[Path]) -> dict[Path, str]:
        """A name for the results of each file: the one that it has here already, or else its own, with a number where
        another file has that."""
        known = {entry.source: entry.name for entry in self.entries.values() if entry.name}
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
        hashes = entry.hashes | (before.hashes if before else frozenset())
        self.entries[file] = Entry(entry.name, entry.source, hashes)


def read_entries(path: Path) -> Iterator[tuple[str, Entry]]:
    """Lines that cannot be read, of a full disk or by a stranger, tell nothing."""
    try:
        lines = path.read_bytes().splitlines() if path.is_file() and not path.is_symlink() else []
    except OSError:
        return
    for line in lines:
        try:
            row = json.loads(line)
            fields = [row[key] for key in ("file", "name", "source", "sha256")]
        except (ValueError, TypeError, LookupError):
            continue
        if all(isinstance(value, str) for value in fields):
            yield fields[0], Entry(fields[1], fields[2], frozenset(fields[3:]))


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def free_name(stem: str, taken: Collection[str]) -> str:
    """The stem, short enough for every extension, with the first number that makes it one of its own."""
    base = stem
    while len(os.fsencode(base)) > LONGEST - ROOM:
        base = base[:-1]
    name, n = base, 1
    while fold(name) in taken:
        n += 1
        name = f"{base}-{n}"
    return name


def fold(name: str) -> str:
    """Equal for names that some file systems take for one."""
    return unicodedata.normalize("NFC", name).casefold()
