"""The textbook that speed is measured against computes the same function, so that only its cost differs."""

import pytest
import torch
from torch import Tensor

from benchmarks import timing
from benchmarks.beam_search import search_ours, search_textbook
from benchmarks.plausible import behave_as_trained, random_features
from benchmarks.speech import mixed_batch
from benchmarks.textbook import TextbookDecoder, TextbookTrainer
from benchmarks.textbook_speech import TextbookListener, our_loss, textbook_loss
from benchmarks.training_step import n_operations, our_step, textbook_step
from benchmarks.transcription import SEARCH, random_sounds, random_tokenizer, speak_as_trained
from multimodal_attn.decoders import Decoder, DecoderConfig, build_decoder
from multimodal_attn.errors import ConfigError
from multimodal_attn.memory import Memory
from multimodal_attn.model import Model, build_model
from multimodal_attn.search import SearchConfig, beam_search
from multimodal_attn.search.ctc import CTCHead
from multimodal_attn.senses.sound.encoder import AudioEncoder, AudioEncoderConfig
from multimodal_attn.senses.sound.logmel import N_MELS, SoundBatch, lengths_to_mask
from multimodal_attn.senses.sound.media import RATE
from multimodal_attn.tokens import END, PAD, UNKNOWN

N_PICTURES, N_PLACES, MEMORY_DIM, DIM, N_TOKENS = 7, 5, 11, 13, 23
ATTENTIONS = [
    {"score": "additive"},
    {"score": "dot"},
    {"score": "scaled_dot", "temperature": 0.7},
    {"score": "dot", "project": False},
]


def small_decoder(form: str, attention: dict, gate: bool = True) -> Decoder:
    torch.manual_seed(3)
    config = DecoderConfig(form=form, attention=attention, dim=DIM, gate=gate)
    return build_decoder(config, MEMORY_DIM, N_TOKENS).double().eval()


def small_features() -> Tensor:
    torch.manual_seed(5)
    return random_features(N_PICTURES, N_PLACES, MEMORY_DIM).double()


@pytest.mark.parametrize("gate", [True, False])
@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("form", ["between", "before"])
@torch.no_grad()
def test_textbook_step_is_the_decoders_step(form: str, attention: dict, gate: bool) -> None:
    decoder, features, k = small_decoder(form, attention, gate), small_features(), 3
    source, textbook = decoder.read(Memory(features)), TextbookDecoder(decoder)
    state, starts = decoder.start(source, k), [textbook.start(picture, k) for picture in features]
    memories, states = [memory for memory, _ in starts], [first for _, first in starts]
    for tokens in torch.randint(N_TOKENS, (4, N_PICTURES, k)):
        logits, _, state = decoder.step(tokens, source, state)
        for row in range(N_PICTURES):
            logp, states[row] = textbook.step(tokens[row], memories[row], states[row])
            torch.testing.assert_close(logp, logits[row].log_softmax(-1), rtol=0, atol=1e-10)


@pytest.mark.parametrize("no_repeat", [0, 2])
@pytest.mark.parametrize("beam", [1, 3, 5])
@pytest.mark.parametrize("form", ["between", "before"])
@torch.no_grad()
def test_textbook_search_finds_the_sentences_of_ours(form: str, beam: int, no_repeat: int) -> None:
    decoder, features = small_decoder(form, {"score": "additive"}), small_features()
    behave_as_trained(decoder, features)
    config = SearchConfig(beam=beam, no_repeat=no_repeat, min_length=2, max_length=17)
    found = search_ours(decoder, features, config)
    assert found == search_textbook(decoder, features, config)
    assert len({tuple(ids) for ids in found}) > 1, "one sentence for all pictures would prove little"


def test_textbook_training_reads_the_tokens_before_and_the_places() -> None:
    torch.manual_seed(3)
    model = TextbookTrainer(MEMORY_DIM, DIM, N_TOKENS).double()
    features, tokens = small_features(), torch.randint(N_TOKENS, (N_PICTURES, 3))
    logits = model(tokens, features)
    assert logits.shape == (N_PICTURES, 3, N_TOKENS)
    changed = tokens.clone()
    changed[:, 1] = (changed[:, 1] + 1) % N_TOKENS
    moved = (model(changed, features) - logits).abs().amax((0, 2))
    assert moved[0] == 0 and (moved[1:] > 0).all()
    # attention has no order of its own: the same places in another order are the same memory
    torch.testing.assert_close(model(tokens, features.flip(1)), logits)


@torch.no_grad()
def test_random_decoder_made_plausible_ends_its_sentences() -> None:
    torch.manual_seed(3)
    features = random_features(31, N_PLACES, MEMORY_DIM)
    decoder = build_decoder(DecoderConfig(dim=67), MEMORY_DIM, 101).eval()
    behave_as_trained(decoder, features)
    lengths = [len(ids) for ids in search_ours(decoder, features, SearchConfig(beam=3))]
    assert 8 < sum(lengths) / len(lengths) < 16
    assert len(set(lengths)) > 3


def test_textbook_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ConfigError, match="one head"):
        TextbookDecoder(build_decoder(DecoderConfig(dim=12, attention={"heads": 2}), MEMORY_DIM, N_TOKENS))


def test_operations_are_those_of_the_products_written_out() -> None:
    b, s, d, h, t, v = 3, 5, 11, 512, 2, 3000
    features, tokens = torch.zeros(b, s, d, device="meta"), torch.zeros(b, t + 1, dtype=torch.long, device="meta")
    # per step: keys, energies, query, gate, LSTM, vocabulary; forward, and backward to input and parameters
    keys, energies, per_step = b * s * d * h, b * s * h, b * (h * h + h * d + 4 * h * (h + d + h) + h * v)
    first = 2 * b * d * h
    # features ask for no gradient: keys and first states are multiplied twice, everything else three times
    expected = 2 * (t * (2 * keys + 3 * energies + 3 * per_step) + 2 * first)
    # neither does the gate's product with the first state, through which the first states are reached
    assert n_operations(textbook_step(features, tokens)) == expected
    assert n_operations(our_step(DecoderConfig(dropout=0.0), features, tokens)) > 0


def test_forms_run_in_turn_and_ratios_are_taken_inside_a_round() -> None:
    order = []
    times = timing.interleave({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=3)
    assert order == ["a", "b"] * 4  # one round to warm up
    assert [len(seconds) for seconds in times.values()] == [3, 3]
    assert timing.ratio({"slow": [6.0, 20.0, 5.0], "fast": [2.0, 5.0, 5.0]}, "slow", "fast") == 3.0


def test_table_is_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    timing.print_table(["form", "s"], [["between", "0.5"]])
    assert capsys.readouterr().out == "| form    | s   |\n| ------- | --- |\n| between | 0.5 |\n"


def small_transcriber(score: str, pyramid: int) -> Model:
    torch.manual_seed(3)
    encoder = AudioEncoder(AudioEncoderConfig("blstm", dim=14, layers=2, heads=1, dropout=0.0, pyramid=pyramid))
    decoder = build_decoder(DecoderConfig(attention={"score": score}, dim=DIM, dropout=0.0), encoder.dim, N_TOKENS)
    return Model(encoder, decoder, None, CTCHead(encoder.dim, N_TOKENS)).double()


@pytest.mark.parametrize("score, pyramid", [("additive", 0), ("scaled_dot", 0), ("scaled_dot", 1)])
def test_textbook_of_speech_has_our_loss_and_our_gradients(score: str, pyramid: int) -> None:
    model = small_transcriber(score, pyramid)
    lengths, tokens = torch.tensor([163, 41, 97]), torch.randint(UNKNOWN + 1, N_TOKENS, (3, 5))
    for row, n in enumerate((4, 1, 3)):
        tokens[row, n], tokens[row, n + 1 :] = END, PAD
    features = Memory(torch.randn(3, 163, N_MELS).double(), lengths_to_mask(lengths, 163))
    losses, gradients = [], []
    for loss in (our_loss, textbook_loss):
        model.zero_grad()
        losses.append(loss(model, features, tokens))
        losses[-1].backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    # the model is in double precision, the losses end in single
    torch.testing.assert_close(*losses, rtol=0, atol=1e-6)
    for ours, textbooks in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, textbooks, rtol=0, atol=1e-7)
    assert all(gradient.abs().max() > 0 for gradient in gradients[0])


def test_textbook_of_speech_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ConfigError, match="blstm"):
        TextbookListener(AudioEncoder(AudioEncoderConfig("conformer", dim=24, layers=1)).listener)


def test_a_mixed_batch_closes_every_sentence_after_its_own_length() -> None:
    features, tokens = mixed_batch(0.5)
    seconds = features.mask.sum(1) / 100
    assert seconds.min() == pytest.approx(5, abs=0.1) and seconds.max() == pytest.approx(10, abs=0.1)
    for row, n in zip(tokens.tolist(), seconds.tolist(), strict=True):
        assert row.index(END) == pytest.approx(4 * n, abs=1)
        assert set(row[row.index(END) + 1 :]) <= {PAD} and not {PAD, END} & set(row[: row.index(END)])


@torch.no_grad()
def test_random_transcriber_made_plausible_says_about_four_tokens_a_second() -> None:
    torch.manual_seed(3)
    encoder = AudioEncoderConfig("blstm", dim=32, layers=1, heads=1)
    model = build_model(encoder, DecoderConfig(dim=67), random_tokenizer(), True).eval()
    samples = torch.stack([torch.from_numpy(sound[: 3 * RATE]) for sound, _ in random_sounds(7)])
    speak_as_trained(model, samples)
    reading = model.read(SoundBatch(samples, torch.full((7,), 3 * RATE)))
    scorers = model.scorers(reading.memory, SEARCH)
    lengths = (beam_search(model.decoder, reading.source, SEARCH, scorers).tokens[:, 0] != PAD).sum(1)
    assert 8 <= lengths.float().mean() <= 16
