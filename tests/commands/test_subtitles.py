"""Subtitles, read again by parsers of their own: the same words, in order, within what a screen holds."""

import html
import re

import numpy as np
import pytest

from tasks.commands.subtitles import LINE, SECONDS, Cue, to_cues, to_srt, to_tsv, to_vtt

TIME = r"(\d\d+):([0-5]\d):([0-5]\d)[,.](\d{3})"


def timed(*words: tuple[str, float, float]) -> list[dict]:
    return [{"text": text, "start": start, "end": end} for text, start, end in words]


def speech(n_words: int, seed: int, pause: float = 0.2) -> list[dict]:
    """Random words of 1 to 9 letters with random gaps; gaps below 0 are overlaps, as times by attention may have."""
    rng = np.random.default_rng(seed)
    now, words = 0.0, []
    for _ in range(n_words):
        now += rng.normal(pause, 0.3)
        start = max(now, 0.0)
        now = start + rng.exponential(0.3)
        words.append(("x" * int(rng.integers(1, 10)), start, now))
    return timed(*words)


def to_milliseconds(hours: str, minutes: str, seconds: str, rest: str) -> int:
    return ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + int(rest)


def parse_cue(block: str, mark: str) -> Cue:
    times, *lines = block.split("\n")
    match = re.fullmatch(f"{TIME} --> {TIME}", times)
    assert match and times.count(mark) == 2
    return Cue(to_milliseconds(*match.groups()[:4]), to_milliseconds(*match.groups()[4:]), tuple(lines))


def parse_srt(text: str) -> list[Cue]:
    blocks = text.rstrip("\n").split("\n\n") if text else []
    for n, block in enumerate(blocks, start=1):
        assert block.startswith(f"{n}\n")
    return [parse_cue(block.split("\n", 1)[1], ",") for block in blocks]


def parse_vtt(text: str) -> list[Cue]:
    head, *blocks = text.rstrip("\n").split("\n\n")
    assert head == "WEBVTT"
    assert all("<" not in block and block.count("-->") == 1 for block in blocks)
    cues = [parse_cue(block, ".") for block in blocks]
    return [Cue(cue.start, cue.end, tuple(map(html.unescape, cue.lines))) for cue in cues]


@pytest.mark.parametrize(("seed", "pause"), [(1, 0.2), (2, 0.0), (3, 1.0), (4, -0.3)])
@pytest.mark.parametrize(("write", "parse"), [(to_srt, parse_srt), (to_vtt, parse_vtt)])
def test_subtitles_parse_again_with_every_word_once_and_times_that_never_go_back(write, parse, seed, pause) -> None:
    words = speech(211, seed, pause)
    cues = parse(write(words))
    assert [word for cue in cues for line in cue.lines for word in line.split()] == [word["text"] for word in words]
    assert len(cues) > 7
    for cue in cues:
        assert 1 <= len(cue.lines) <= 2 and max(map(len, cue.lines)) <= LINE
        assert 0 < cue.end - cue.start <= SECONDS * 1000
    for before, after in zip(cues, cues[1:], strict=False):
        assert before.end <= after.start


def test_a_cue_ends_at_a_pause() -> None:
    words = timed(("one", 0, 0.3), ("two", 0.4, 0.8), ("three", 1.6, 2.0), ("four", 2.1, 2.5))
    assert [cue.lines for cue in to_cues(words)] == [("one two",), ("three four",)]


def test_what_does_not_fit_is_cut_at_the_longest_pause_of_its_second_half() -> None:
    spans = [(0.5 * i, 0.5 * i + 0.45) for i in range(20)]
    spans[8] = (4.0, 4.2)  # a short word, and so 0.3 s of silence before the ninth; six seconds take twelve words
    cues = to_cues(timed(*((f"w{i}", *span) for i, span in enumerate(spans))))
    assert cues[0].lines[-1].split()[-1] == "w8"
    assert (cues[0].start, cues[0].end) == (0, 4200)


def test_two_lines_are_about_as_long() -> None:
    (cue,) = to_cues(timed(*(("seven77", 0.1 * i, 0.1 * i + 0.1) for i in range(8))))
    assert [len(line) for line in cue.lines] == [31, 31]


def test_a_short_cue_stays_until_it_can_be_read_or_the_next_comes() -> None:
    cues = to_cues(timed(("a", 0, 0.1), ("b", 0.9, 1.0), ("c", 5, 5.1)))
    assert [(cue.start, cue.end) for cue in cues] == [(0, 900), (900, 1900), (5000, 6000)]


def test_a_word_longer_than_the_screen_stands_alone_and_whole() -> None:
    long = "x" * 57
    assert [cue.lines for cue in to_cues(timed(("a", 0, 0.1), (long, 0.1, 9), ("b", 9, 9.1)))] == [
        ("a",),
        (long,),
        ("b",),
    ]


def test_times_beyond_an_hour_and_markup_are_written_as_the_formats_want() -> None:
    words = timed(("<i>&", 3661.0015, 3661.9), ("-->", 3662, 3663))
    assert "01:01:01.002 --> " in to_vtt(words) and "01:01:01,002 --> " in to_srt(words)
    assert parse_vtt(to_vtt(words))[0].lines == ("<i>& -->",)
    assert to_srt([]) == "" and parse_vtt(to_vtt([])) == []


def test_a_table_has_a_line_for_every_word_in_milliseconds() -> None:
    header, *rows = to_tsv(timed(("one", 0.1, 0.25), ("t\two", 0.2, 0.2), ("six", 1, 1.5))).splitlines()
    assert header == "start\tend\ttext"
    assert rows == ["100\t200\tone", "200\t201\tt wo", "1000\t1500\tsix"]
