"""Spliced recordings: every word is a tone of its own, so what is heard can be read off and held against the text."""

import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from multimodal_attn.errors import ConfigError
from multimodal_attn.senses.sound.media import RATE
from multimodal_attn.tokens import build_piece_tokenizer, ids_to_text
from tasks.speech.datamodule import SpeechData, SpeechDataset
from tasks.speech.datasets import Utterance
from tasks.speech.splice import SLACK, Splicer, quiet_sample
from tasks.speech.transforms import Augmentation

PITCH = {word: 300 + 200 * i for i, word in enumerate("abcdefghijklm")}  # Hz
WORD, PAUSE = 4_001, 797  # samples


def say(words: str) -> tuple[np.ndarray, list[tuple[str, float, float]]]:
    """A tone for each word with a pause after it, and when each is heard, 15 ms too late."""
    parts, times = [], []
    for i, word in enumerate(words.split()):
        tone = np.sin(2 * np.pi * PITCH[word] * np.arange(WORD) / RATE)
        parts += [np.rint(9_000 * tone), np.zeros(PAUSE)]
        start = i * (WORD + PAUSE) / RATE + 0.015
        times.append((word, start, start + WORD / RATE))
    return np.concatenate(parts).astype(np.int16), times


def heard(samples: np.ndarray) -> list[str]:
    """The words of what `say` said, in whatever order they were put together."""
    loud = np.abs(samples) > 0
    loud = np.convolve(loud, np.ones(41), "same") > 0  # a tone's own zeros are no pause
    edges = np.flatnonzero(np.diff(np.concatenate([[0], loud.astype(int), [0]])))
    words = []
    for first, last in edges.reshape(-1, 2):
        spectrum = np.abs(np.fft.rfft(samples[first:last].astype(float), RATE))
        words.append(min(PITCH, key=lambda word: abs(PITCH[word] - int(spectrum.argmax()))))
        assert last - first == pytest.approx(WORD, abs=80)  # no word is cut
    return words


@pytest.fixture
def dataset(tmp_path: Path) -> Callable[..., SpeechDataset]:
    def build(said: list[tuple[str, str]], share: float, times: bool = True) -> SpeechDataset:
        examples, word_times = [], {}
        for n, (speaker, text) in enumerate(said):
            samples, word_times[str(n)] = say(text)
            path = tmp_path / f"{n}.wav"
            with wave.open(str(path), "wb") as file:
                file.setparams((1, 2, RATE, len(samples), "NONE", ""))
                file.writeframes(samples.tobytes())
            examples.append(Utterance(path, text, str(n), speaker, "", len(samples) / RATE, ""))
        tokenizer = build_piece_tokenizer(list(PITCH), 0)
        return SpeechDataset(examples, tokenizer, 0.0, 3, Splicer(examples, word_times if times else {}, share))

    return build


SAID = [("ann", "a b c d e"), ("ann", "f g h i"), ("ann", "j k l"), ("bob", "m a c"), ("bob", "e g i k m")]


def test_what_is_heard_is_what_is_written(dataset: Callable[..., SpeechDataset]) -> None:
    data = dataset(SAID, 1.0)
    texts = set()
    for epoch in range(23):
        for index, (speaker, whole) in enumerate(SAID):
            samples, ids, _ = data[index, epoch]
            text = ids_to_text(data.tokenizer, ids)
            assert heard(samples) == text.split()
            assert text[0] == whole[0]  # begins as its own utterance does
            assert text[-1] in {other[-1] for each, other in SAID if each == speaker}
            assert abs(len(samples) / RATE - data.length(index)) <= SLACK + 0.1
            texts.add(text)
    assert len(texts) > 2 * len(SAID)


@pytest.mark.parametrize(("share", "times"), [(0.0, True), (1.0, False)])
def test_without_share_or_times_all_stay_whole(
    dataset: Callable[..., SpeechDataset], share: float, times: bool
) -> None:
    data = dataset(SAID, share, times)
    for index, (_, text) in enumerate(SAID):
        samples, ids, _ = data[index, 7]
        assert ids_to_text(data.tokenizer, ids) == text and np.array_equal(samples, data.samples(index))


def test_the_same_name_in_two_sets_is_two_speakers() -> None:
    examples = [Utterance(Path("x"), "a b", name, "1", name, 1.0, "") for name in ("books", "calls")]
    times = {example.id: [("a", 0.0, 0.4), ("b", 0.5, 0.9)] for example in examples}
    splicer, rng = Splicer(examples, times, 1.0), np.random.default_rng(2)
    assert all(splicer.draw(index, lambda _: 1.0, rng) is None for index in (0, 1) for _ in range(13))


def test_validation_hears_every_utterance_whole(dataset: Callable[..., SpeechDataset]) -> None:
    data = dataset(SAID, 1.0)
    assert [ids_to_text(data.tokenizer, data[i][1]) for i in range(len(SAID))] == [text for _, text in SAID]


def test_an_epoch_is_the_same_whenever_it_is_asked_for(dataset: Callable[..., SpeechDataset]) -> None:
    data = dataset(SAID, 0.5)
    once, again = ([data[i, 11] for i in range(len(SAID))] for _ in range(2))
    assert all(a[1] == b[1] and np.array_equal(a[0], b[0]) for a, b in zip(once, again, strict=True))


def test_times_of_another_text_are_not_used() -> None:
    example = Utterance(Path("x"), "a b", "7", "ann", "", 1.0, "")
    assert not Splicer([example], {"7": [("a", 0.0, 0.3), ("c", 0.3, 0.6)]}, 1.0).gaps
    assert list(Splicer([example], {"7": [("a", 0.0, 0.3), ("b", 0.5, 0.6)]}, 1.0).gaps[0]) == [0.4]


def test_the_quietest_place_is_found_within_reach() -> None:
    samples = np.full(16_000, 1_000, np.int16)
    samples[8_320:8_480] = 0
    samples[2_000:2_500] = 0  # too far away
    assert quiet_sample(samples, 8_000) == 8_400
    assert quiet_sample(samples[:3], 2) == 2


def test_splicing_without_word_times_is_a_mistake_that_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="--data.alignments"):
        SpeechData(["unread"], augmentation=Augmentation(splice=0.3)).setup("fit")
