"""What a command may write where: nothing that exists is replaced unless it is a result of ours, as it was written."""

import argparse
import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from multimodal_attn.errors import UserError
from multimodal_attn.files import identity, printable, write_whole
from tasks.commands.inputs import Input
from tasks.commands.record import Maker, Record, State

FULL = {errno.ENOSPC, errno.EDQUOT}  # after which no other file can be written either


class Choice(Enum):
    """What to do with results that are there already. RETRY goes on, and tries files again that could not be used."""

    GO_ON = "go on"
    RETRY = "--retry"
    OVERWRITE = "--overwrite"


class Action(Enum):
    WRITE = "write"
    LEAVE = "leave"
    REFUSE = "refuse"


def decide(state: State, choice: Choice) -> Action:
    """The one rule. What people made or changed is refused or left, whatever was chosen."""
    if state is State.FREE:
        return Action.WRITE
    if state is State.OURS:
        return Action.LEAVE if choice is Choice.GO_ON else Action.WRITE
    return Action.LEAVE if state is State.CHANGED and choice is not Choice.OVERWRITE else Action.REFUSE


def refusal(name: str, state: State) -> UserError:
    """Why a command does not start, and what to do."""
    return UserError(f"{name} {state.value}, and is left as it is; name another place, or move it away")


def made_otherwise(how: str) -> UserError:
    return UserError(f"{how}; begin anew with --overwrite, or name another place")


def add_choice(parser: argparse.ArgumentParser) -> None:
    chosen = parser.add_mutually_exclusive_group()
    kinds = {"action": "store_const", "dest": "choice", "default": Choice.GO_ON}
    told = "begin anew, replacing results of ours; never what others wrote or changed"
    chosen.add_argument(Choice.OVERWRITE.value, **kinds, const=Choice.OVERWRITE, help=told)
    told = "go on, and try files again whose row holds an error"
    chosen.add_argument(Choice.RETRY.value, **kinds, const=Choice.RETRY, help=told)


def has_ending(path: Path) -> bool:
    """Whether a name ends as names of files do, in a dot and some letters."""
    ending = path.suffix[1:]
    return 0 < len(ending) <= 8 and ending.isascii() and ending.isalnum() and not ending.isdecimal()


def identities(files: Iterable[Path]) -> frozenset[tuple[int, int]]:
    return frozenset(found for found in map(identity, files) if found)


def begins_with(path: Path, text: str) -> bool:
    """Whether a file begins so, as tables of ours do with the names of their columns."""
    content = text.encode()
    with path.open("rb") as file:
        return file.read(len(content)) == content


def check_not_read(option: str, path: Path, files: Iterable[Path]) -> None:
    """Raises UserError for a file to write that is one of the files to read."""
    if identity(path) in identities(files):
        raise UserError(f"{option} {printable(path)} is one of the files to read; name another one")


@dataclass
class Outputs:
    """A folder of documents or figures, some for each input. problems: what could not be written, and why.

    named: the files to read that were named one by one, which are never written. chosen: the name of the results
    without their ending, where the user chose it for the one input; otherwise they are named as their inputs, in
    folders like theirs.
    """

    folder: Path
    named: Sequence[Path]
    choice: Choice
    chosen: str = ""
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.record = Record(self.folder)
        self.read = identities(self.named)

    def file(self, input: Input, suffix: str) -> str:
        """Relative to the folder."""
        return f"{self.chosen or self.record.name(input.path, input.name)}{suffix}"

    def state(self, input: Input, suffix: str) -> State:
        file = self.file(input, suffix)
        if os.path.lexists(self.folder / file) and identity(self.folder / file) in self.read:
            return State.FOREIGN
        return self.record.state(file, None if self.chosen else input.path)

    def has_one(self, input: Input, suffixes: Iterable[str]) -> bool:
        """Whether one of these was made of the input before, and may have been changed since."""
        files = [self.file(input, suffix) for suffix in suffixes]
        return any(self.record.knows(file, input.path) and os.path.lexists(self.folder / file) for file in files)

    def check(self, input: Input, suffix: str) -> None:
        """Before a model is opened. Raises UserError where the one place that the user chose must not be written."""
        state, name = self.state(input, suffix), printable(self.folder / self.file(input, suffix))
        if decide(state, self.choice) is Action.REFUSE:
            raise refusal(name, state)
        if state is not State.FREE and self.choice is not Choice.OVERWRITE and not self.has_one(input, [suffix]):
            raise made_otherwise(f"{name} was written of another file")

    @contextmanager
    def open(self, maker: Maker, suffixes: Sequence[str]) -> Iterator[None]:
        """While results are put, which no other process does. Raises UserError where results are there that another
        model wrote, or this one with other options; `suffixes` are those of all results."""
        with self.record.held(f"{self.chosen}{suffixes[0]}" if self.chosen else "", maker):
            files = [f"{self.chosen}{suffix}" for suffix in suffixes] if self.chosen else self.record.known
            old = (file for file in files if file.endswith(tuple(suffixes)))
            if self.choice is not Choice.OVERWRITE and (how := self.record.made_otherwise(old)):
                raise made_otherwise(how)
            yield

    def put(self, input: Input, suffix: str, content: bytes) -> None:
        """Write a result, or say in `problems` why not. Raises UserError only when nothing more can be written."""
        file, state = self.file(input, suffix), self.state(input, suffix)
        path, action = self.folder / file, decide(state, self.choice)
        if action is Action.REFUSE:
            self.problems.append(f"{printable(path)}: {state.value}, and is left as it is")
        if action is not Action.WRITE:
            return
        try:
            self.record.add(file, "" if self.chosen else file.removesuffix(suffix), input.path, content)
            if path.parent != self.folder:
                path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content)
        except OSError as error:
            if error.errno in FULL:
                advice = "make room, then give the same command again"
                raise UserError(f"{printable(path)} cannot be written: {error.strerror}; {advice}") from error
            self.problems.append(f"{printable(path)}: {error.strerror}")
