"""The textbook that speed is measured against computes the same function, so that only its cost differs."""

import pytest
import torch
from torch import Tensor

from benchmarks import timing
from benchmarks.beam_search import search_ours, search_textbook
from benchmarks.plausible import behave_as_trained, random_features
from benchmarks.textbook import TextbookDecoder, TextbookTrainer
from benchmarks.training_step import n_operations, our_step, textbook_step
from multimodal_attn.decoders import Decoder, DecoderConfig, build_decoder
from multimodal_attn.errors import ConfigError
from multimodal_attn.memory import Memory
from multimodal_attn.search import SearchConfig

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
