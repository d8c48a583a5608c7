"""From words with their times to what players and editors read: SubRip, WebVTT and tab-separated times."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

LINE = 42  # letters
SECONDS = 6.0  # of one cue at most
PAUSE = 0.7  # seconds of silence that end a cue
SHORTEST = 1.0  # seconds that a cue stays, if the next one lets it

TimedWord = dict[str, Any]  # text, and start and end in seconds


@dataclass(frozen=True)
class Cue:
    """What is on the screen from `start` to `end`, milliseconds: one or two lines."""

    start: int
    end: int
    lines: tuple[str, ...]


def to_srt(words: Sequence[TimedWord]) -> str:
    """SubRip: numbered cues, times with a comma."""
    cues = (
        f"{n}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n" + "\n".join(cue.lines) + "\n"
        for n, cue in enumerate(to_cues(words), start=1)
    )
    return "\n".join(cues)


def to_vtt(words: Sequence[TimedWord]) -> str:
    """WebVTT; what would be markup is escaped."""
    cues = (
        f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n" + escape("\n".join(cue.lines), quote=False) + "\n"
        for cue in to_cues(words)
    )
    return "\n".join(["WEBVTT\n", *cues])


def to_tsv(words: Sequence[TimedWord]) -> str:
    """A line for each word: start and end in milliseconds, and the word; with a header."""
    spans = _in_order([(word["start"], word["end"]) for word in words])
    rows = [f"{start}\t{end}\t{_one_line(word['text'])}" for (start, end), word in zip(spans, words, strict=True)]
    return "\n".join(["start\tend\ttext", *rows]) + "\n"


def to_cues(words: Sequence[TimedWord]) -> list[Cue]:
    """Cues of whole words, two lines of LINE letters and SECONDS at most, that do not overlap.

    They end at pauses: at each longer than PAUSE, and otherwise at the longest one in the second half of what fits.
    A word that is longer than a cue may be stands alone.
    """
    groups: list[Sequence[TimedWord]] = []
    first = 0
    while first < len(words):
        n_words = _count_fitting(words[first:])
        groups.append(words[first : first + n_words])
        first += n_words
    spans = [(group[0]["start"], min(group[-1]["end"], group[0]["start"] + SECONDS)) for group in groups]
    lines = (_to_lines([_one_line(word["text"]) for word in group]) for group in groups)
    return [Cue(*span, text) for span, text in zip(_in_order(spans, SHORTEST), lines, strict=True)]


def _count_fitting(words: Sequence[TimedWord]) -> int:
    """How many of the words the next cue takes; at least one."""
    n_words = 1
    while n_words < len(words) and _gap(words, n_words) < PAUSE and _fits(words[: n_words + 1]):
        n_words += 1
    if n_words == len(words) or _gap(words, n_words) >= PAUSE:
        return n_words
    return max(range((n_words + 1) // 2, n_words + 1), key=lambda n: (_gap(words, n), n))


def _gap(words: Sequence[TimedWord], n: int) -> float:
    """Seconds of silence before word n."""
    return words[n]["start"] - words[n - 1]["end"]


def _fits(words: Sequence[TimedWord]) -> bool:
    lines = _to_lines([_one_line(word["text"]) for word in words])
    return words[-1]["end"] - words[0]["start"] <= SECONDS and max(map(len, lines)) <= LINE


def _to_lines(words: Sequence[str]) -> tuple[str, ...]:
    """One line, or two of about the same length."""
    line = " ".join(words)
    if len(line) <= LINE or len(words) == 1:
        return (line,)
    pairs = ((" ".join(words[:n]), " ".join(words[n:])) for n in range(1, len(words)))
    return min(pairs, key=lambda pair: max(map(len, pair)))


def _in_order(spans: Iterable[tuple[float, float]], shortest: float = 0.0) -> list[tuple[int, int]]:
    """Spans of seconds as milliseconds that never go back or overlap; each lasts a millisecond at least, and as long as
    `shortest` seconds where the next leaves room. Times by attention may contradict each other a little."""
    starts: list[int] = []
    ends: list[int] = []
    for start, end in spans:
        first = round(start * 1000)
        starts.append(max(first, starts[-1] + 1 if starts else 0))
        last = first + round((end - start) * 1000)  # so that rounding makes nothing longer than it may be
        ends.append(max(last, starts[-1] + max(1, round(shortest * 1000))))
    limits = [*starts, float("inf")][1:]
    return [(start, min(end, limit)) for start, end, limit in zip(starts, ends, limits, strict=True)]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _clock(milliseconds: int, mark: str) -> str:
    """HH:MM:SS,mmm, hours in at least two digits."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{mark}{rest:03}"
