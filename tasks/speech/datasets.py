"""People's own recordings and transcripts, read and checked in full before training starts.

    load_utterances("speech/manifest.tsv", "train")          the format is found by the names of the files
    load_utterances(["LibriSpeech", "cv-corpus/en"], "val")  several data sets at once
    load_utterances("mine.csv", "test")                      path, text; perhaps split, speaker, id, set, seconds

Where nothing says which split an utterance belongs to, the hash of its speaker does (of its file, if there is no
speaker): 80 % train, 10 % val, 10 % test.
"""

import csv
import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from multimodal_attn.errors import DataError
from tasks.speech.formats import FORMATS, Row, normalize_text
from tasks.tables import Source, check_files, find_texts, known_split

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Utterance:
    """A recording that exists and its text, which is not empty.

    id: unique within its set. speaker: empty where unknown. set: the part of the data that it is scored with.
    seconds: its length, where the data says it. row: file and line, for messages.
    """

    path: Path
    text: str
    id: str
    speaker: str
    set: str
    seconds: float | None
    row: str


def load_utterances(
    root: str | Path | Sequence[str | Path],
    split: str,
    format: str = "auto",
    transcripts: str | None = None,
    clips: str | None = None,
    normalize: bool = True,
) -> list[Utterance]:
    """The utterances of one split, in the order of the files.

    root: the data set's folder, or its file of transcripts; or several of them.
    split: train, val or test. A set without that split has none of it.
    format: manifest, common_voice, table, librispeech, or auto: by the names of the files.
    transcripts, clips: the file of transcripts and the folder of sounds, relative to `root`, where they are not where
        the format usually has them; `{split}` in them stands for the split.
    normalize: texts as `normalize_text` makes them, rather than as they are written.

    Raises DataError, naming file and row, for a sound that is missing, an empty text, an id that is there twice, an
    unknown split or column, seconds that are no length, a line that cannot be parsed, or no utterance at all;
    ConfigError for an unknown format or `split`. Speakers of val or test who are in train too are logged as a warning.
    """
    roots = [Path(root)] if isinstance(root, str | Path) else [Path(each) for each in root]
    pairs: list[tuple[Row, Utterance]] = []
    for each in roots:
        found = find_texts(each, split, FORMATS, format, transcripts, "transcripts")
        usual = next((found.root / name for name in found.format.folders if (found.root / name).is_dir()), None)
        default = found.root if found.format.many else found.file.parent
        folder = found.root / clips.replace("{split}", split) if clips else usual or default
        rows = found.format.read(Source(found.file, folder, found.split))
        pairs += [(row, _to_utterance(row, folder, normalize)) for row in rows]
    return _choose(pairs, split, ", ".join(map(str, roots)))


def _choose(pairs: list[tuple[Row, Utterance]], split: str, roots: str) -> list[Utterance]:
    """The utterances of one split, after a look at all of them."""
    _check_ids(utterance for _, utterance in pairs)
    splits = [known_split(row.split, row.where) for row, _ in pairs]
    chosen = [utterance for (_, utterance), each in zip(pairs, splits, strict=True) if each == split]
    if not chosen:
        raise DataError(f"{roots}: no utterance of the split {split}; add rows for it or name another file")
    check_files(((utterance.path, utterance.row) for utterance in chosen), "sound")
    if split != "train":
        train = (utterance for (_, utterance), each in zip(pairs, splits, strict=True) if each == "train")
        _warn_of_shared_speakers(train, chosen, split)
    return chosen


def _to_utterance(row: Row, folder: Path, normalize: bool) -> Utterance:
    if not row.name:
        raise DataError(f"{row.where}: the sound's name is empty; fill it in or remove the row")
    text = normalize_text(row.text) if normalize else " ".join(row.text.split())
    if not text:
        raise DataError(f"{row.where}: the text of {row.name} is empty; fill it in or remove the row")
    return Utterance(folder / row.name, text, row.id, row.speaker, row.set, _to_seconds(row), row.where)


def _to_seconds(row: Row) -> float | None:
    if not row.seconds:
        return None
    try:
        seconds = float(row.seconds)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise DataError(f"{row.where}: seconds is {row.seconds!r}; write the length as a number above 0, or nothing")
    return seconds


def _check_ids(utterances: Iterable[Utterance]) -> None:
    rows: dict[tuple[str, str], str] = {}
    for utterance in utterances:
        key = utterance.set, utterance.id
        if key in rows:
            raise DataError(f"{utterance.row}: {utterance.id} is there already ({rows[key]}); remove one of the two")
        rows[key] = utterance.row


def _warn_of_shared_speakers(train: Iterable[Utterance], chosen: Iterable[Utterance], split: str) -> None:
    trained = {(utterance.set, utterance.speaker) for utterance in train if utterance.speaker}
    shared = {(u.set, u.speaker): u for u in reversed(list(chosen)) if (u.set, u.speaker) in trained}
    if shared:
        first = list(shared.values())[-1]
        LOG.warning(
            "%s: %d speakers of the split %s are in train too, %s first; scores on them say nothing of new speakers",
            *(first.row, len(shared), split, first.speaker),
        )


def load_word_times(path: Path) -> dict[str, list[tuple[str, float, float]]]:
    """Words with their true (start, end) in seconds by the id of the utterance, from a table `id, word, start, end`.

    Raises DataError, naming the line, for a file that cannot be read or a row that is not one.
    """
    times: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for n, row in enumerate(csv.DictReader(file, delimiter="\t"), 2):
                try:
                    times[row["id"]].append((row["word"], float(row["start"]), float(row["end"])))
                except (KeyError, TypeError, ValueError) as error:
                    raise DataError(f"{path}, line {n}: not id, word, start, end ({error}); mend the row") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}; name the table of word times") from error
    return times
