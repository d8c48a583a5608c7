"""Which of many sentences is said: planted lists, and the definition of the risk written out."""

import math

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from multimodal_attn.decoders import DecoderConfig
from multimodal_attn.errors import ConfigError
from multimodal_attn.model import build_model, decode, search, trace_sentences
from multimodal_attn.search import Hypotheses, SearchConfig
from multimodal_attn.search.consensus import agree, word_errors
from multimodal_attn.search.scorers import NEVER
from multimodal_attn.senses.picture.encoder import ImageEncoderConfig
from multimodal_attn.senses.picture.framing import at_look
from multimodal_attn.senses.sound.encoder import AudioEncoderConfig
from multimodal_attn.senses.sound.logmel import SoundBatch, at_speed
from multimodal_attn.senses.sound.media import RATE
from multimodal_attn.tokens import PAD, build_piece_tokenizer, ids_to_text, text_to_ids
from multimodal_attn.trace import Origin

WORDS = "the a cat mat sat on dog"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return build_piece_tokenizer([WORDS], 0)


def hypotheses(tokenizer: Tokenizer, *inputs: list[tuple[str, float]]) -> Hypotheses:
    rows = [[text_to_ids(tokenizer, text) for text, _ in each] for each in inputs]
    longest = max(len(row) for each in rows for row in each)
    tokens = torch.tensor([[row + [PAD] * (longest - len(row)) for row in each] for each in rows])
    return Hypotheses(tokens, torch.tensor([[score for _, score in each] for each in inputs]))


def said(tokenizer: Tokenizer, best: Hypotheses) -> list[str]:
    assert best.tokens.shape[1] == best.scores.shape[1] == 1
    return [ids_to_text(tokenizer, row) for row in best.tokens[:, 0].tolist()]


ALONE = [("dog on dog", -1.0), ("the cat sat", -1.2), ("the cat", -1.3), ("the mat sat", -1.4)]
CLEAR = [("a cat", -1.0), ("a dog", -9.0), ("a mat", -9.1), ("the mat sat", NEVER)]


def test_the_nearest_to_all_wins_over_the_most_probable(tokenizer: Tokenizer) -> None:
    found = hypotheses(tokenizer, ALONE, CLEAR)
    assert said(tokenizer, agree([found], tokenizer, 0.0)) == ["dog on dog", "a cat"]
    best = agree([found], tokenizer, 1.0)
    assert said(tokenizer, best) == ["the cat sat", "a cat"]
    assert best.scores[:, 0].tolist() == pytest.approx([-1.2, -1.0])
    assert said(tokenizer, agree([found], tokenizer, 50.0)) == ["dog on dog", "a cat"]  # sharp: the best alone


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 3.0])
def test_it_is_the_one_of_least_risk_by_the_definition(tokenizer: Tokenizer, sharpness: float) -> None:
    rng, words = np.random.default_rng(7), WORDS.split()
    lists = [
        [(" ".join(rng.choice(words, rng.integers(1, 6))), float(score)) for score in sorted(-rng.gamma(2, 2, 5))[::-1]]
        for _ in range(3)
    ]
    shares: dict[str, float] = {}
    for each in lists:
        total = sum(math.exp(sharpness * score) for _, score in each)
        for text, score in each:
            shares[text] = shares.get(text, 0.0) + math.exp(sharpness * score) / total

    def risk(text: str) -> float:
        return sum(share * distance(text.split(), other.split()) for other, share in shares.items())

    best = said(tokenizer, agree([hypotheses(tokenizer, each) for each in lists], tokenizer, sharpness))
    assert risk(best[0]) == pytest.approx(min(map(risk, shares)), rel=1e-5)


def distance(a: list[str], b: list[str]) -> int:
    """Wagner and Fischer 1974."""
    table = np.zeros((len(a) + 1, len(b) + 1), int)
    table[:, 0], table[0] = range(len(a) + 1), range(len(b) + 1)
    for i, x in enumerate(a, 1):
        for j, y in enumerate(b, 1):
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (x != y))
    return int(table[-1, -1])


def test_errors_are_counted_in_words() -> None:
    sentences = [("the", "cat"), ("the", "cat", "sat"), (), ("cat", "the")]
    np.testing.assert_array_equal(word_errors(sentences), [[distance(a, b) for b in sentences] for a in sentences])


def test_searches_of_other_length_join_and_the_best_score_of_all_wins(tokenizer: Tokenizer) -> None:
    short, long = hypotheses(tokenizer, [("a", -2.0), ("the", -3.0)]), hypotheses(tokenizer, [("a cat sat on", -1.0)])
    assert said(tokenizer, agree([short, long], tokenizer, 0.0)) == ["a cat sat on"]
    assert said(tokenizer, agree([long, short], tokenizer, 0.0)) == ["a cat sat on"]
    assert said(tokenizer, agree([short], tokenizer, 0.0)) == ["a"]


# At several speeds


def noise(*lengths: int) -> SoundBatch:
    generator = torch.Generator().manual_seed(3)
    return SoundBatch(torch.randn(len(lengths), max(lengths), generator=generator) * 0.1, torch.tensor(lengths))


def test_a_tone_played_slower_is_longer_and_lower() -> None:
    tone = torch.sin(2 * torch.pi * 1000 * torch.arange(8_000) / RATE).unsqueeze(0)
    slow = at_speed(SoundBatch(tone, torch.tensor([8_000])), 0.8)
    assert slow.lengths.tolist() == [10_000] and slow.samples.shape == (1, 10_000)
    spectrum = torch.fft.rfft(slow.samples[0]).abs()
    assert float(spectrum.argmax()) * RATE / 10_000 == pytest.approx(800, rel=0.01)


def test_what_pads_a_sound_is_not_played() -> None:
    both = noise(7_919, 5_003)
    both.samples[1, 5_003:] = torch.nan
    alone = at_speed(SoundBatch(both.samples[1:, :5_003], both.lengths[1:]), 0.9)
    slow = at_speed(both, 0.9)
    n = int(alone.lengths)
    assert slow.lengths.tolist()[1] == n and torch.allclose(slow.samples[1, :n], alone.samples[0, :n], atol=1e-6)


def test_hearing_at_several_speeds_traces_the_sound_as_it_is(tokenizer: Tokenizer) -> None:
    torch.manual_seed(5)
    encoder = AudioEncoderConfig(name="blstm", dim=22, heads=1, layers=1, channels=3)
    model = build_model(encoder, DecoderConfig(dim=14), tokenizer, ctc=True).eval()
    sounds = noise(7_919, 5_003)
    geometries = [model.encoder.geometry(int(n)) for n in sounds.lengths]
    plain = SearchConfig(beam=3, no_repeat=0, max_length=7, ctc=0.3)
    alone, at_one = (
        decode(model, sounds, geometries, config, Origin())
        for config in (plain, SearchConfig(**{**vars(plain), "speeds": (1.0, 1.0), "consensus": 0.0}))
    )
    assert [trace.text for trace in alone] == [trace.text for trace in at_one]
    several = SearchConfig(**{**vars(plain), "speeds": [0.8, 1.25], "consensus": 0.5})
    assert several.speeds == (0.8, 1.25)  # a list is what a file has
    for trace, geometry in zip(decode(model, sounds, geometries, several, Origin()), geometries, strict=True):
        assert trace.geometry == geometry
        assert trace.weights.shape == (len(trace.tokens), 1, geometry.n_places)


# At several looks


def test_a_look_is_the_middle_of_the_frame_and_below_zero_its_mirror_image() -> None:
    frames = torch.randint(256, (2, 3, 30, 30), dtype=torch.uint8)
    assert torch.equal(at_look(frames, 1.0), frames) and torch.equal(at_look(frames, -1.0), frames.flip(-1))
    ramp = torch.arange(0, 240, 8, dtype=torch.uint8).expand(1, 3, 30, 30)  # 8 a pixel, from 0 at the left
    near = at_look(ramp, 0.6)  # 18 of 30 pixels
    assert near.shape == ramp.shape and near.dtype == torch.uint8
    steps = near[0, 0, 7].float().diff()[2:-2]
    assert (steps - 0.6 * 8).abs().max() <= 1  # whole numbers
    assert abs(float(near[0, 0, 7].float().mean()) - float(ramp.float().mean())) < 1
    assert torch.equal(at_look(ramp, -0.6), near.flip(-1))


def test_looking_several_times_joins_the_searches_and_traces_the_picture_as_it_is(tokenizer: Tokenizer) -> None:
    torch.manual_seed(5)
    model = build_model(ImageEncoderConfig("mobilenet_v3_small", size=32), DecoderConfig(dim=14), tokenizer).eval()
    frames = torch.randint(256, (3, 3, 32, 32), dtype=torch.uint8)
    geometries = [model.encoder.geometry(90, 60)] * 3
    once = SearchConfig(beam=3, no_repeat=0, max_length=7)
    several = SearchConfig(**{**vars(once), "looks": [1.0, -1.0, 0.75], "consensus": 2.0})
    views = [frames, frames.flip(-1), at_look(frames, 0.75)]
    found = [search(model, model.read(view), once) for view in views]
    expected = agree(found, tokenizer, 2.0)
    traces = decode(model, frames, geometries, several, Origin())
    assert [trace.text for trace in traces] == [ids_to_text(tokenizer, ids[0].tolist()) for ids in expected.tokens]
    again = trace_sentences(model, model.read(frames), expected, geometries, Origin())
    for trace, plain in zip(traces, again, strict=True):
        assert trace.geometry == geometries[0]
        assert np.allclose(trace.weights, plain.weights, atol=1e-6)


def test_sounds_have_no_look(tokenizer: Tokenizer) -> None:
    encoder = AudioEncoderConfig(name="blstm", dim=22, heads=1, layers=1, channels=3)
    model = build_model(encoder, DecoderConfig(dim=14), tokenizer).eval()
    with pytest.raises(ConfigError, match="sounds have no look"):
        decode(model, noise(5_003), [], SearchConfig(looks=(0.9,)), Origin())


@pytest.mark.parametrize("looks", [(), (0.0,), (1.0, 0.4), (-1.1,)])
def test_what_is_no_look_is_refused(looks: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="looks, one or more"):
        SearchConfig(looks=looks)


def test_pictures_have_no_speed() -> None:
    encoder = ImageEncoderConfig("mobilenet_v3_small", size=32)
    model = build_model(encoder, DecoderConfig(dim=6), build_piece_tokenizer([WORDS], 0)).eval()
    with pytest.raises(ConfigError, match="pictures have no speed"):
        decode(model, torch.zeros(1, 3, 32, 32), [], SearchConfig(speeds=(0.9,)), Origin())


@pytest.mark.parametrize("change", [{"speeds": ()}, {"speeds": (0.0,)}, {"speeds": (1.0, 3.0)}, {"consensus": -1.0}])
def test_what_is_no_speed_is_refused(change: dict) -> None:
    with pytest.raises(ConfigError, match="speeds, one or more"):
        SearchConfig(**change)
