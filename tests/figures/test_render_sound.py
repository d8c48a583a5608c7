"""The figure of a sound: a planted weight must blacken its own pixels, and a tone must show where it was played."""

from pathlib import Path

import numpy as np
import pytest
import torchaudio
from PIL import Image

from multimodal_attn.figures import FigureOptions, render_figure, save_figure, spectrogram
from multimodal_attn.figures.alignment import Axis, draw_pitches, draw_rows, draw_words, ticks
from multimodal_attn.figures.spectrogram import BLOCK, frame_seconds, mel_filters
from multimodal_attn.senses.sound.geometry import SoundGeometry
from multimodal_attn.senses.sound.media import RATE, Sound
from multimodal_attn.trace import AttentionTrace, Token, Word
from tests.fake_listener import PLACES, SECONDS, heard_trace, tone

CELLS = FigureOptions(smooth=False)


def axis_of(sound: Sound, width: int = 700) -> Axis:
    return Axis(sound.start, sound.seconds, 0, width)


def inked(rows: Image.Image) -> list[tuple[int, int]]:
    """(first, last + 1) column of full ink in every row; anything else must be paper."""
    pixels = np.asarray(rows)
    assert set(np.unique(pixels)) == {0x1B, 255}
    columns = [np.nonzero(row == 0x1B)[0] for row in pixels]
    assert all(len(found) == found[-1] + 1 - found[0] for found in columns)
    return [(int(found[0]), int(found[-1]) + 1) for found in columns]


def test_full_weight_blackens_its_own_time_and_no_other() -> None:
    rows = draw_rows(heard_trace(), axis_of(Sound(tone())), 1, smooth=False)
    # 500 pixels a second: place s lies from 25 + 50 s on
    assert inked(rows) == [(25 + 50 * place, 75 + 50 * place) for place in PLACES]


def test_a_piece_of_a_recording_is_drawn_from_its_own_start() -> None:
    sound = Sound(tone(0.7), start=0.35)
    assert inked(draw_rows(heard_trace(("a", "b")), axis_of(sound), 1, smooth=False).crop((0, 1, 700, 2))) == [(0, 100)]


def test_smooth_rows_are_darkest_at_the_middle_of_the_planted_place() -> None:
    pixels = np.asarray(draw_rows(heard_trace(), axis_of(Sound(tone())), 1, smooth=True))
    for row, place in zip(pixels, PLACES, strict=True):
        darkest = np.nonzero(row == row.min())[0]
        assert abs(darkest.mean() + 0.5 - (50 + 50 * place)) <= 1


def test_no_weight_is_lost_where_places_are_narrower_than_pixels() -> None:
    weights = np.zeros((97, 1, 9700), np.float32)
    weights[np.arange(97), 0, np.arange(97) * 100 + 37] = 1
    trace = AttentionTrace("", 0, (Token("a", 1),) * 97, weights, SoundGeometry(97, 0, 0.01, 9700))
    pixels = np.asarray(draw_rows(trace, Axis(0, 97, 0, 700), 1, smooth=False))
    assert (pixels.min(1) == 0x1B).all()
    middles = [np.nonzero(row == 0x1B)[0].mean() for row in pixels]
    np.testing.assert_allclose(middles, (np.arange(97) + 0.375) * 700 / 97, atol=1.5)


def test_the_figure_holds_spectrogram_rows_and_words_on_one_axis(tmp_path: Path) -> None:
    sound = Sound(tone())
    figure = render_figure(heard_trace(), sound, CELLS)
    assert figure.mode == "RGB" and np.ptp(np.asarray(figure, int), axis=2).max() < 10  # grey: it prints
    save_figure(heard_trace(), sound, tmp_path / "sound.png", CELLS)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "sound.png")), np.asarray(figure))


def test_without_attention_there_are_no_rows() -> None:
    plain = heard_trace(weights=np.zeros((4, 0, 13), np.float32))
    with_rows, without = (render_figure(trace, Sound(tone())) for trace in (heard_trace(), plain))
    assert without.height < with_rows.height - 4 * 20


@pytest.mark.parametrize("seconds", [0.0, 0.01, 3.3, 400.0])
@pytest.mark.parametrize("pieces", [(), ("\x1b[2J", "\ud800", "一", "x" * 300), tuple("abcdefghijk" * 120)])
def test_odd_sounds_and_texts_give_a_figure_of_sane_size(seconds: float, pieces: tuple[str, ...]) -> None:
    weights = np.full((len(pieces), 2, 13), 1 / 13, np.float32)
    figure = render_figure(heard_trace(pieces, weights), Sound(np.zeros(round(seconds * RATE), np.float32)))
    assert 600 < figure.width < 2_000 and 150 < figure.height < 5_000


def test_words_stand_where_they_begin_and_never_on_each_other() -> None:
    words = [Word("wide" * 9, 0, 1, 0.0, 0.1), Word("hidden", 1, 2, 0.1, 0.2), Word("late", 2, 3, 1.0, 1.2)]
    alone = [Word("wide" * 9, 0, 1, 0.0, 0.1), Word("", 1, 2, 0.1, 0.2), Word("late", 2, 3, 1.0, 1.2)]
    sheets = [Image.new("RGB", (700, 40), "white") for _ in range(2)]
    for sheet, some in zip(sheets, (words, alone), strict=True):
        draw_words(sheet, some, Axis(0, SECONDS, 0, 700), 0)
    np.testing.assert_array_equal(*map(np.asarray, sheets))
    ink = np.nonzero(np.asarray(sheets[0].convert("L"))[:17].min(0) < 100)[0]
    assert np.diff(ink).max() > 20 and abs(ink[np.diff(ink).argmax() + 1] - 500) < 4


@pytest.mark.parametrize(
    ("start", "seconds", "first", "step"), [(0, 1.4, 0, 0.2), (0.35, 0.7, 0.4, 0.1), (65, 30, 66, 3)]
)
def test_ticks_are_round_seconds_of_the_whole_recording(start, seconds, first, step) -> None:
    marks = ticks(Axis(start, seconds, 0, 620))
    assert marks[0] == pytest.approx(first, abs=step)
    assert all(start - 1e-9 <= mark <= start + seconds + 1e-9 for mark in marks)
    assert 2 < len(marks) <= 12 and np.ptp(np.diff(marks)) < 1e-9


# The spectrogram


def test_mel_filters_are_those_of_torchaudio() -> None:
    expected = torchaudio.functional.melscale_fbanks(513, 0, RATE / 2, 80, RATE).T.numpy()
    np.testing.assert_allclose(mel_filters(RATE, 1024), expected, atol=2e-5)


@pytest.mark.parametrize("pitch", [200, 1000, 5000])
def test_a_tone_is_brightest_at_its_own_pitch_and_time(pitch: int) -> None:
    samples = np.zeros(RATE, np.float32)
    samples[4800:8000] = np.sin(2 * np.pi * pitch * np.arange(3200) / RATE)
    levels = spectrogram(samples, RATE)
    assert levels.shape == (80, 100) and levels.dtype == np.uint8 and levels.max() == 255
    centre = mel_filters(RATE, 1024).argmax(1)[levels[:, 40].argmax()] * RATE / 1024
    assert centre == pytest.approx(pitch, rel=0.1, abs=40)
    loud = np.nonzero(levels.max(0) > 230)[0]
    assert abs(loud[0] - 30) <= 1 and abs(loud[-1] - 49) <= 1
    assert levels[:, :27].max() == levels[:, 53:].max() == 0


def test_silence_and_the_faintest_noise_stay_dark() -> None:
    noise = np.random.default_rng(1).normal(0, 1e-5, RATE).astype(np.float32)
    assert spectrogram(np.zeros(RATE, np.float32), RATE).max() == 0
    assert spectrogram(noise, RATE).max() < 200


def test_blocks_leave_no_seam() -> None:
    samples = np.random.default_rng(2).normal(0, 0.1, 160 * (BLOCK + 3)).astype(np.float32)
    whole, tail = spectrogram(samples, RATE), spectrogram(samples[160 * (BLOCK - 5) :], RATE)
    difference = whole[:, -6:].astype(int) - tail[:, -6:]  # the block of 2048 ends three frames before the end
    assert np.ptp(difference) <= 1  # but for the loudest, which each has of its own


def test_joined_frames_keep_the_loudest_and_the_length() -> None:
    samples = np.zeros(RATE * 7, np.float32)
    samples[RATE * 3] = 1
    levels = spectrogram(samples, RATE, max_frames=101)
    assert levels.shape == (80, 100) and frame_seconds(len(samples), RATE, 101) == pytest.approx(0.07)
    assert levels.max(0).argmax() == 42 and levels.max() == 255


def test_the_drawn_spectrogram_is_as_long_as_the_sound() -> None:
    samples = np.zeros(1610, np.float32)  # 10.06 frames: of the eleventh only a sliver is drawn
    samples[1360] = 1
    pixels = np.asarray(draw_pitches(Sound(samples), 503)).min(0)
    darkest = np.nonzero(pixels == pixels.min())[0]
    assert darkest.mean() == pytest.approx(1360 / 1610 * 503, abs=3)
