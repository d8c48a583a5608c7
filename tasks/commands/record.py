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
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

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


class Entry(NamedTuple):
    """name: of the source's results here without an ending, "" where the user chose it. source: relative to the folder,
    "" of rows. makers: by the hash of each content that was written, the hash of what made it."""

    name: str
    source: str
    makers: dict[str, str]


class Known(NamedTuple):
    """An Entry in a sixth of its memory: short hashes."""

    source: int
    makers: tuple[tuple[int, int], ...]


class Record:
    """Which files of a folder are ours, by their names. The file is only ever added to, and only while it is held."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, os.path.realpath(folder)
        with suppress(OSError), open_record(folder / RECORD, os.O_RDONLY) as file:
            self._read(file)
            return
        self._read([])

    def _read(self, lines: Iterable[bytes]) -> None:
        self.known: dict[str, Known] = {}  # by the names of files
        self.makers: dict[int, Maker] = {}
        self.taken: dict[int, int] = {}  # names, and the sources that they belong to
        for line in lines:
            match parse_line(line):
                case (str(key), dict(maker)):
                    self.makers[short(key)] = maker
                case (str(file), Entry() as entry):
                    self._learn(file, entry)

    @contextmanager
    def held(self, place: str, maker: Maker) -> Iterator[None]:
        """While a place of the folder, a file's name or "" for all that is named after its sources, is written by this
        process alone, as `maker` makes it. The record is read anew: another process may have written here before.

        Raises UserError when another process has the place, or when the record cannot be written.
        """
        with ExitStack() as stack:
            try:
                flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
                self._file = stack.enter_context(open_record(self.folder / RECORD, flags))
                lock(self._file, place, printable(self.folder / place))
                # the lock goes when any descriptor of the file is closed, so this one stays open too
                self._read(stack.enter_context(os.fdopen(os.dup(self._file.fileno()), "rb")))
                self._begin(maker)
            except OSError as error:
                raise UserError(f"{printable(self.folder / RECORD)} cannot be written: {error.strerror}") from error
            yield

    def _begin(self, maker: Maker) -> None:
        self._hash = digest(json.dumps(maker, sort_keys=True).encode())
        if short(self._hash) not in self.makers:
            self._add({"maker": self._hash, "is": maker})
            self.makers[short(self._hash)] = maker

    def made_otherwise(self, files: Iterable[str]) -> str | None:
        """Which of the files, if any, was written by another model or with other options, and how."""
        now = self.makers[short(self._hash)]
        for file in files:
            before = self._maker_of(file)
            if before != now and (before is None or before.get("sense") == now["sense"]):
                return f"{printable(self.folder / file)} was written {difference(before, now)}"
        return None

    def _maker_of(self, file: str) -> Maker | None:
        """Of the file that is there; the one of this command if there is none."""
        makers = dict(self.known[file].makers) if file in self.known else {}
        mine = short(self._hash)
        if set(makers.values()) <= {mine} or not os.path.lexists(self.folder / file):
            return self.makers[mine]
        if len(set(makers.values())) == 1:
            return self.makers.get(next(iter(makers.values())))
        with suppress(OSError):  # written, or about to be written, in several ways
            key = makers.get(short(digest((self.folder / file).read_bytes())), mine)
            return self.makers.get(key)
        return self.makers[mine]

    def state(self, file: str, source: Path | None) -> State:
        """Of a file of the folder that is to be made from `source`; None is anything."""
        path = self.folder / file
        if not os.path.lexists(path):
            return State.FREE
        if not self.knows(file, source) or not stat.S_ISREG(path.lstat().st_mode):
            return State.FOREIGN
        try:
            content = short(digest(path.read_bytes()))
            return State.OURS if content in dict(self.known[file].makers) else State.CHANGED
        except OSError:
            return State.CHANGED

    def knows(self, file: str, source: Path | None) -> bool:
        """Whether a file that is there was made here from `source`; None is anything."""
        known = self.known.get(file)
        return known is not None and (source is None or known.source == short(self.relative(source)))

    def add(self, file: str, name: str, source: Path, content: bytes) -> None:
        """Before the file is written, so that a kill in between leaves nothing that is ours and unknown."""
        self._add_entry(file, Entry(name, self.relative(source), {digest(content): self._hash}))

    def add_rows(self, file: str) -> None:
        """Before the first row is written to a file that is empty."""
        self.known.pop(file, None)
        self._add_entry(file, Entry("", "", {"": self._hash}))

    def add_table(self, file: str, sha256: str) -> None:
        """Before a table of rows, whose content has this hash, takes its place."""
        self._add_entry(file, Entry("", "", {sha256: self._hash}))

    def _add_entry(self, file: str, entry: Entry) -> None:
        [(content, maker)] = entry.makers.items()
        self._add({"file": file, "name": entry.name, "source": entry.source, "sha256": content, "by": maker})
        self._learn(file, entry)

    def _add(self, line: dict[str, Any]) -> None:
        # ASCII carries names that are not UTF-8; the newline before ends what a full disk cut short
        self._file.write(b"\n" + json.dumps(line).encode() + b"\n")

    def name(self, source: Path, wanted: str) -> str:
        """Of the results of a source: the name that is wanted, with a number where another source has that."""
        me, base, n = short(self.relative(source)), shorten(wanted), 1
        name = base
        while self.taken.setdefault(short(fold(name)), me) != me:
            n += 1
            name = f"{base}-{n}"
        return name

    def relative(self, source: Path) -> str:
        """Relative, so that a folder that is moved with its results knows them."""
        return os.path.join(relative_folder(source.parent, self.root), source.name)

    def _learn(self, file: str, entry: Entry) -> None:
        source = short(entry.source)
        makers = {short(content): short(maker) for content, maker in entry.makers.items()}
        before = dict(self.known[file].makers) if file in self.known else {}
        self.known[file] = Known(source, tuple((before | makers).items()))
        if entry.name:
            self.taken[short(fold(entry.name))] = source


@lru_cache(1_000)
def relative_folder(folder: Path, root: str) -> str:
    place = os.path.realpath(folder)
    try:
        return os.path.relpath(place, root)
    except ValueError:  # another drive
        return place


def open_record(path: Path, flags: int) -> BinaryIO:
    """Never what a link leads to."""
    number = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o666)
    return os.fdopen(number, "rb") if flags == os.O_RDONLY else os.fdopen(number, "r+b", buffering=0)


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


def short(text: str) -> int:
    """A hash that takes little memory, and does not tell what strangers could make equal."""
    return hash(text)


def shorten(name: str) -> str:
    """A name whose last part leaves room for a number and an ending."""
    folder, _, base = name.rpartition("/")
    while len(os.fsencode(base)) > LONGEST - ROOM:
        base = base[:-1]
    return f"{folder}/{base}" if folder else base


def fold(name: str) -> str:
    """Equal for names that some file systems take for one."""
    return unicodedata.normalize("NFC", name).casefold()
