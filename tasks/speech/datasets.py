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
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from multimodal_attn.errors import DataError
from multimodal_attn.senses.sound.media import EXTENSIONS
from tasks.speech.formats import FORMATS, normalize_text
from tasks.training.collection import Item, Kind, Place, Roots, as_paths, check_not_empty, collect
from tasks.training.damage import check_sound
from tasks.training.faults import Fault, settle

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

    @property
    def input(self) -> Path:
        return self.path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.text,)


def load_utterances(
    root: Roots,
    split: str,
    format: str = "auto",
    transcripts: str | None = None,
    clips: str | None = None,
    normalize: bool = True,
    skip_bad: bool = False,
) -> list[Utterance]:
    """The utterances of one split, see `load_splits`; DataError where there is none."""
    splits = load_splits(root, [split], format, transcripts, clips, normalize, skip_bad)
    check_not_empty(splits, ", ".join(map(str, as_paths(root))), SOUNDS)
    return splits[split]


def load_splits(
    root: Roots,
    splits: Collection[str],
    format: str = "auto",
    transcripts: str | None = None,
    clips: str | None = None,
    normalize: bool = True,
    skip_bad: bool = False,
    opened: bool = False,
) -> dict[str, list[Utterance]]:
    """The utterances of splits, in the order of the files; of a split that is not there, none.

    root: the data set's folder, or its file of transcripts; or several of them.
    splits: of train, val and test. A set without that split has none of it.
    format: a key of FORMATS, or auto: by the files' names and first lines.
    transcripts, clips: the file of transcripts and the folder of sounds, relative to `root`, where they are not where
        the format usually has them; `{split}` in them stands for the split.
    normalize: texts as `normalize_text` makes them, rather than as they are written.
    skip_bad: leave out, with a warning, what cannot be used. opened: every file is opened, to see whether it is whole.

    Raises DataError that names file and row of sounds that are missing or damaged, empty texts, ids that are there
    twice, unknown splits, seconds that are no length and lines that cannot be parsed, all of them at once; or says that
    a column is not there. Raises ConfigError for an unknown format or split. Speakers of val or test who are in train
    too are logged as a warning.
    """
    place = Place(as_paths(root), format, transcripts, clips)
    kind = SOUNDS if normalize else replace(SOUNDS, clean=lambda text: " ".join(text.split()))
    found = collect(place, splits, kind, opened)
    read = {split: [_to_utterance(item) for item in items] for split, items in found.items.items()}
    settle([*found.faults, *(each for some in read.values() for each in some if isinstance(each, Fault))], skip_bad)
    utterances = {split: [each for each in some if isinstance(each, Utterance)] for split, some in read.items()}
    for split in utterances.keys() - {"train"}:
        _warn_of_shared_speakers(utterances[split], found.heard, split)
    return utterances


def _to_utterance(item: Item) -> Utterance | Fault:
    row = item.row
    try:
        seconds = float(row.seconds.replace(",", ".")) if row.seconds else None
    except ValueError:
        seconds = math.nan
    if seconds is not None and not 0 < seconds < math.inf:
        problem = f"seconds is {row.seconds!r}; write the length as a number above 0, or nothing"
        return Fault("unclear", row.where, problem)
    return Utterance(item.path, row.text, row.id, row.speaker, row.set, seconds, row.where)


def _warn_of_shared_speakers(
    chosen: Collection[Utterance], heard: Mapping[tuple[str, str], Collection[str]], split: str
) -> None:
    shared: dict[tuple[str, str], Utterance] = {}
    for utterance in chosen:
        if "train" in heard.get((utterance.set, utterance.speaker), ()):
            shared.setdefault((utterance.set, utterance.speaker), utterance)
    if shared:
        first = next(iter(shared.values()))
        LOG.warning(
            "%s: %d speakers of the split %s are in train too, %s first; scores on them say nothing of new speakers",
            *(first.row, len(shared), split, first.speaker),
        )


def _clash(first: Item, item: Item) -> str | None:
    return None if first is item else f"{item.row.id} is there already ({first.row.where}); remove one of the two"


SOUNDS = Kind(
    FORMATS,
    item="utterance",
    file="sound",
    text="text",
    option="transcripts",
    extensions=EXTENSIONS,
    clean=normalize_text,
    key=lambda item: (item.row.set, item.row.id),
    clash=_clash,
    check=check_sound,
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
