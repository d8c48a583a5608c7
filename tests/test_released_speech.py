"""The released speech models on real recordings, on the app's examples, and on what is no speech."""

import numpy as np
import pytest
import soundfile

from multimodal_attn.predictor import Predictor, load
from multimodal_attn.senses.sound.media import RATE
from multimodal_attn.senses.sound.page import PAGE
from multimodal_attn.trace import AttentionTrace
from tasks.speech.datasets import load_utterances
from tasks.speech.metrics import speech_scores
from tasks.training.run import released_config
from tests.conftest import ROOT, SHARED, needs_shared


@pytest.fixture(scope="module", params=["speech-digits", "speech-english", "whisper-tiny.en"])
def predictor(request: pytest.FixtureRequest) -> Predictor:
    return load(ROOT / "checkpoints" / request.param)


digits = pytest.mark.parametrize("predictor", ["speech-digits"], indirect=True)
english = pytest.mark.parametrize("predictor", ["speech-english"], indirect=True)


whisper = pytest.mark.parametrize("predictor", ["whisper-tiny.en"], indirect=True)


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(3).normal(0, 0.1, int(seconds * RATE)).astype(np.float32)


def music(seconds: float) -> np.ndarray:
    """Chords that change every half second."""
    t = np.arange(int(seconds * RATE)) / RATE
    roots = 220 * 2 ** (np.random.default_rng(5).integers(0, 12, 1 + int(2 * seconds)) / 12)[(2 * t).astype(int)]
    return sum(0.1 * np.sin(2 * np.pi * np.cumsum(roots * ratio) / RATE) for ratio in (1, 1.26, 1.5)).astype(np.float32)


@pytest.mark.parametrize("name", ["speech-digits", "speech-english"])
def test_a_released_model_is_scored_on_data_that_people_have(name: str) -> None:
    data = released_config(ROOT / "checkpoints" / name, "speech")["data"]
    roots = data["root"] if isinstance(data["root"], list) else [data["root"]]
    paths = [*roots, *filter(None, [data["alignments"]])]
    assert [path for path in paths if not path.startswith("../shared/data/speech/")] == []


@needs_shared
@digits
def test_digits_of_the_test_set_are_understood(predictor: Predictor) -> None:
    examples = [e for e in load_utterances(SHARED / "data" / "speech" / "manifest.tsv", "test") if e.set == "fsdd"]
    results = dict(predictor.stream([e.path for e in examples], 64))
    traces = [results[e.path] for e in examples]
    assert len(traces) == 300
    assert speech_scores([t.text for t in traces], [e.text for e in examples], ["fsdd"] * 300)["wer"] <= 0.01
    for trace in traces:
        assert trace.words and all(0 <= w.start < w.end <= trace.geometry.seconds for w in trace.words)
        assert trace.weights.shape == (len(trace.tokens), 1, trace.geometry.n_places)


@needs_shared
@digits
def test_a_digit_is_heard_where_it_is(predictor: Predictor) -> None:
    """A digit after a second of near silence: its word, its attention and its CTC all lie in the second second."""
    path = SHARED / "data" / "speech" / "fsdd" / "7_jackson_3.opus"
    samples, _ = soundfile.read(path, dtype="float32")
    quiet = noise(1.0) * 1e-3
    trace = predictor((np.concatenate([quiet, samples, quiet]), RATE))
    word = next(word for word in trace.words if word.text == "seven")
    assert 0.9 < word.start < word.end < 1.1 + len(samples) / RATE
    assert 0.9 < word.ctc[0] < word.ctc[1] < 1.1 + len(samples) / RATE


@needs_shared
@english
def test_most_words_of_new_readers_are_understood_and_heard_in_order(predictor: Predictor) -> None:
    examples = [e for e in load_utterances(SHARED / "data" / "speech" / "manifest.tsv", "val") if e.seconds < 9][:29]
    results = dict(predictor.stream([e.path for e in examples], 29, beam=4))
    traces = [results[e.path] for e in examples]
    assert speech_scores([t.text for t in traces], [e.text for e in examples], ["ls"] * 29)["wer"] < 0.5
    for trace, example in zip(traces, examples, strict=True):
        starts = [word.start for word in trace.words]
        assert starts == sorted(starts) and len(starts) > len(example.text.split()) / 2


@english
@pytest.mark.parametrize("text", ["what time is it now", "my mother has two sisters and one brother"])
def test_the_examples_of_the_app_are_understood(text: str, predictor: Predictor) -> None:
    (path,) = (path for name, path in PAGE.examples.items() if text in name)
    assert predictor(path).text == text


@whisper
@pytest.mark.parametrize(
    "text",
    [
        "What time is it now?",
        "My mother has two sisters and one brother.",
        "I have a doctorate, it's not the same thing.",
    ],
)
def test_the_examples_of_the_app_are_written_with_capitals_and_signs(text: str, predictor: Predictor) -> None:
    (path,) = (path for name, path in PAGE.examples.items() if text[:-1].lower() in name)
    trace = predictor(path)
    assert trace.text == text and all(word.probability > 0.5 for word in trace.words)
    assert [(word.start < word.end) for word in trace.words] == [True] * len(text.split())


def hum(seconds: float) -> np.ndarray:
    """Of a power line, with overtones."""
    t = np.arange(int(seconds * RATE)) / RATE
    return sum(0.05 / n * np.sin(2 * np.pi * 50 * n * t) for n in range(1, 6)).astype(np.float32)


def coloured(seconds: float, exponent: float, level: float) -> np.ndarray:
    """Noise whose power falls with frequency: pink for exponent 1, brown for 2."""
    spectrum = np.fft.rfft(np.random.default_rng(7).normal(size=int(seconds * RATE)))
    wave = np.fft.irfft(spectrum / np.arange(1, len(spectrum) + 1) ** (exponent / 2))
    return (level * wave / np.abs(wave).max()).astype(np.float32)


NO_SPEECH = {
    "white": noise(3.0),
    "pink": coloured(12.0, 1, 0.003),
    "brown": coloured(5.0, 2, 0.3),
    "hum": hum(8.0),
    "chords": music(6.0),
    "a moment": coloured(0.4, 1, 0.01),
}


@whisper
@pytest.mark.parametrize("kind", NO_SPEECH)
def test_what_is_no_speech_has_no_words_and_says_why(predictor: Predictor, kind: str) -> None:
    trace = predictor((NO_SPEECH[kind], RATE))
    assert (trace.text, trace.words, trace.note) == ("", (), "no speech in it")


@pytest.mark.parametrize("sound", [noise(2.0), noise(30.0), music(3.0), music(30.0), noise(0.05)])
def test_what_is_no_speech_ends(predictor: Predictor, sound: np.ndarray) -> None:
    trace = predictor((sound, RATE))
    assert isinstance(trace, AttentionTrace)
    n_pieces = 1 + len(sound) // (8 * RATE)
    assert len(trace.tokens) <= predictor.search.max_length * n_pieces
    assert np.isfinite(trace.weights).all()


@pytest.mark.parametrize("n_samples", [0, 1, 399, 16_000, 30 * RATE])
def test_silence_has_no_words_and_says_why(predictor: Predictor, n_samples: int) -> None:
    trace = predictor((np.zeros(n_samples, np.float32), RATE))
    assert (trace.text, trace.tokens, trace.words) == ("", (), ())
    assert trace.note in ("silent", "shorter than 25 ms")


def test_a_clip_is_understood_alike_alone_and_in_company(predictor: Predictor) -> None:
    sounds = [(part, RATE) for part in (noise(0.4), music(1.1), noise(2.3), music(0.2), noise(0.9))]
    together = predictor.batch([predictor.read(sound) for sound in sounds])
    for sound, one in zip(sounds, together, strict=True):
        alone = predictor(sound)
        assert alone.text == one.text
        assert alone.score == pytest.approx(one.score, abs=1e-4)
        assert np.abs(alone.weights - one.weights).max(initial=0) < 1e-4
