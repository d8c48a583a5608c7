"""Reading text: what is to be translated, a sentence on each line. Every failure is one MediaError."""

import sys
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from multimodal_attn.errors import MediaError
from multimodal_attn.files import media_files, open_file, path_text, printable

Source = str | Path

MAX_LETTERS = 1_000  # of a sentence: whoever wrote more forgot to break the lines
MAX_BYTES = 50_000_000  # of a file that is one sentence
MAX_LINE = 1 << 20  # bytes
EXTENSIONS = frozenset([".txt"])
STANDARD_INPUT = Path("-")


@dataclass(frozen=True)
class Text:
    """A sentence on one line, its spaces single. name: of the file and the line, for messages and rows."""

    text: str
    name: str = "text"

    def __str__(self) -> str:
        return self.name

    @property
    def problem(self) -> str | None:
        """Why there is nothing to read in it, if so."""
        return None if self.text else "empty"


def text_files(paths: Sequence[str | Path]) -> Iterator[Path]:
    """Files as given and the texts inside folders; see `media_files`."""
    return media_files(paths, EXTENSIONS)


def read_text(source: Source | Text) -> Text:
    """One sentence: a str is the sentence itself, a Path the file that holds it. Raises MediaError."""
    if isinstance(source, Text):
        return check_text(source)
    if isinstance(source, Path):
        return check_text(Text(one_line(read_file(source)), printable(source)))
    return check_text(Text(one_line(source)))


def read_lines(path: Path) -> Iterator[Text]:
    """Every line of a file, named `file:line`; of the standard input for `-`. They are read as they are asked for, so a
    file may be of any size. Raises MediaError."""
    name = printable(path)
    with nullcontext(sys.stdin.buffer) if path == STANDARD_INPUT else open_file(path, name, "text") as file:
        for number, line in enumerate(iter(lambda: file.readline(MAX_LINE), b""), start=1):
            if len(line) == MAX_LINE:
                raise MediaError(f"{name}:{number}: longer than {MAX_LINE >> 20} MB; put each sentence on its own line")
            text = decode(line.removeprefix(BOM_UTF8) if number == 1 else line, f"{name}:{number}")
            yield Text(one_line(text), f"{path_text(path)}:{number}")


def check_text(text: Text) -> Text:
    """Raises MediaError for what is longer than a sentence."""
    if (n := len(text.text)) > MAX_LETTERS:
        raise MediaError(f"{text.name}: {n} letters, over the {MAX_LETTERS} of a sentence; put each on its own line")
    return text


def one_line(text: str) -> str:
    return " ".join(text.split())


def read_file(path: Path) -> str:
    """UTF-8, with or without a byte order mark."""
    name = printable(path)
    if path == STANDARD_INPUT:
        data = read_bytes(sys.stdin.buffer, "the standard input")
    else:
        with open_file(path, name, "text") as file:
            data = read_bytes(file, name)
    return decode(data.removeprefix(BOM_UTF8), name)


def decode(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise MediaError(f"{name}: not UTF-8 text; save it as UTF-8") from error


def read_bytes(file: BinaryIO, name: str) -> bytes:
    data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise MediaError(f"{name}: larger than {MAX_BYTES // 10**6} MB; cut it into parts")
    return data
