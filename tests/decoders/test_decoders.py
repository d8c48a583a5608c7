"""What all decoders keep: a step is a part of unroll, padding, gradients, ties, dropout; the equations of the LSTMs."""

from itertools import product

import pytest
import torch
from torch import Tensor, nn

from multimodal_attn.attention import Attention
from multimodal_attn.decoders import FORMS, Decoder, DecoderConfig, build_decoder
from multimodal_attn.decoders.base import SequenceDropout
from multimodal_attn.errors import ConfigError
from multimodal_attn.memory import Memory

B, S, M, T = 2, 7, 3, 5  # inputs, places, sentences per input, tokens
D, H, V = 11, 9, 13  # widths of memory and decoder, vocabulary

MECHANISMS = (
    {"score": "scaled_dot"},
    {"score": "additive", "heads": 3, "dim": 15},
    {"score": "general", "align": "static"},
    {"align": "uniform"},
    {"align": "none"},
)
ALL = list(product(FORMS, MECHANISMS))


def build(form: str, attention: dict, dtype: torch.dtype = torch.float64, **options) -> Decoder:
    torch.manual_seed(2)
    return build_decoder(DecoderConfig(form, attention, dim=H, **options), D, V).to(dtype).eval()


def inputs(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Memory]:
    """Tokens (B, M, T), and a memory with 7 and 4 real places."""
    torch.manual_seed(3)
    mask = torch.arange(S) < torch.tensor([[S], [4]])
    return torch.randint(V, (B, M, T)), Memory(torch.randn(B, S, D, dtype=dtype), mask)


def unroll(decoder: Decoder, tokens: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
    """logits (B, M, T, V) and weights (B, M, T, N, S) under teacher forcing."""
    features, weights = decoder.unroll(tokens, decoder.read(memory))
    return decoder.logits(features), weights


def repeat_steps(decoder: Decoder, tokens: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
    source = decoder.read(memory)
    state, steps = decoder.start(source, tokens.shape[1]), []
    for column in tokens.unbind(2):
        logits, weights, state = decoder.step(column, source, state)
        steps.append((logits, weights))
    logits, weights = (torch.stack(parts, 2) for parts in zip(*steps, strict=True))
    return logits, weights


@torch.no_grad()
@pytest.mark.parametrize("form, attention", ALL)
def test_unroll_is_the_step_repeated(form: str, attention: dict) -> None:
    decoder = build(form, attention)
    for found, expected in zip(unroll(decoder, *inputs()), repeat_steps(decoder, *inputs()), strict=True):
        torch.testing.assert_close(found, expected)


# The equations, for one input and one sentence


def look(attention: Attention, query: Tensor, places: Tensor) -> Tensor:
    """Scaled dot attention with one head."""
    queries, keys = attention.score.query_map(query), attention.score.key_map(places)
    return (keys @ queries / H**0.5).softmax(0) @ places


def lstm_cell(x: Tensor, hidden: Tensor, cell: Tensor, w: Tensor, u: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Hochreiter and Schmidhuber 1997 with a forget gate; rows in the order i, f, g, o."""
    i, f, g, o = (w @ x + u @ hidden + b).view(4, H)
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


def weights_of(lstm: nn.LSTM) -> tuple[Tensor, Tensor, Tensor]:
    return lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0 + lstm.bias_hh_l0


def by_the_equations(decoder: Decoder, tokens: Tensor, values: Tensor) -> Tensor:
    """Logits (T, V) of one sentence (T,) over the real places (S, D)."""
    places = decoder.bridge(values)
    first = decoder.first(places.mean(0)).tanh().view(-1, H)
    logits = []
    if decoder.config.form == "between":
        (h1, c1, h2, c2), second = first, weights_of(decoder.sentence)
    else:
        (h2, c2), into = first, decoder.from_state.weight
    for token in tokens:
        word = decoder.embedding.weight[token] * H**0.5
        if decoder.config.form == "between":  # word -> LSTM 1 -> attention -> LSTM 2
            h1, c1 = lstm_cell(word, h1, c1, *weights_of(decoder.words))
            context = decoder.gate(h1).sigmoid() * look(decoder.attention, h1, places)
            h2, c2 = lstm_cell(torch.cat([h1, context]), h2, c2, *second)
        else:  # attention with the state before the step, context fed beside the word
            context = decoder.gate(h2).sigmoid() * look(decoder.attention, h2, places)
            x, w = torch.cat([word, context]), torch.cat([decoder.from_word.weight, into[:, H:]], 1)
            h2, c2 = lstm_cell(x, h2, c2, w, into[:, :H], decoder.from_word.bias)
        logits.append(decoder.embedding.weight @ decoder.head(torch.cat([h2, context])) + decoder.bias)
    return torch.stack(logits)


@torch.no_grad()
@pytest.mark.parametrize("form", ["between", "before"])
def test_logits_of_lstms_follow_the_equations(form: str) -> None:
    decoder, (tokens, memory) = build(form, {"score": "scaled_dot"}), inputs()
    found, _ = unroll(decoder, tokens, memory)
    for b, m in product(range(B), range(M)):
        values = memory.values[b, memory.mask[b]]
        torch.testing.assert_close(found[b, m], by_the_equations(decoder, tokens[b, m], values))


# Memory


@torch.no_grad()
@pytest.mark.parametrize("padding", [0.0, 1e3, float("nan")])
@pytest.mark.parametrize("form, attention", ALL)
def test_padding_of_the_memory_changes_nothing(form: str, attention: dict, padding: float) -> None:
    decoder, (tokens, memory) = build(form, attention), inputs()
    values = memory.values.masked_fill(~memory.mask.unsqueeze(-1), padding)
    logits, weights = unroll(decoder, tokens, Memory(values, memory.mask))
    for b in range(B):
        real = memory.values[b : b + 1, memory.mask[b]]
        alone, looked = unroll(decoder, tokens[b : b + 1], Memory(real))
        torch.testing.assert_close(logits[b], alone[0])
        torch.testing.assert_close(weights[b, ..., : real.shape[1]], looked[0])
        assert torch.all(weights[b, ..., real.shape[1] :] == 0)


@torch.no_grad()
@pytest.mark.parametrize("form, attention", ALL)
def test_weights_move_with_the_places_and_the_sentence_stays(form: str, attention: dict) -> None:
    decoder, (tokens, memory) = build(form, attention), inputs()
    order = torch.randperm(S)
    logits, weights = unroll(decoder, tokens, Memory(memory.values))
    moved, looked = unroll(decoder, tokens, Memory(memory.values[:, order]))
    torch.testing.assert_close(moved, logits)
    torch.testing.assert_close(looked, weights[..., order])


@pytest.mark.parametrize("form, attention", ALL)
def test_input_without_a_real_place_is_decoded_with_finite_gradients(form: str, attention: dict) -> None:
    decoder, (tokens, memory) = build(form, attention), inputs()
    logits, _ = unroll(decoder, tokens, Memory(memory.values * float("nan"), torch.zeros(B, S, dtype=torch.bool)))
    logits.sum().backward()
    assert logits.isfinite().all()
    assert all(p.grad.isfinite().all() for p in decoder.parameters() if p.grad is not None)


@torch.no_grad()
@pytest.mark.parametrize("form", FORMS)
def test_decoder_without_attention_has_no_weights(form: str) -> None:
    logits, weights = unroll(build(form, {"align": "none"}), *inputs())
    assert logits.shape == (B, M, T, V) and weights.shape == (B, M, T, 0, S)


# Parameters


@pytest.mark.parametrize("gate", [True, False])
@pytest.mark.parametrize("form, attention", ALL)
def test_every_parameter_learns(form: str, attention: dict, gate: bool) -> None:
    decoder, (tokens, memory) = build(form, attention, gate=gate), inputs()
    nn.functional.cross_entropy(unroll(decoder, tokens, memory)[0].flatten(0, 2), tokens.flatten()).backward()
    idle = {name for name, p in decoder.named_parameters() if p.grad is None or not p.grad.any()}
    deaf = form == "whisper" and attention.get("align") == "none"  # it has no other way to the memory
    assert idle == ({name for name in decoder.state_dict() if name.startswith("bridge.")} if deaf else set())


@pytest.mark.parametrize("form", FORMS)
def test_words_are_read_and_written_with_one_tensor(form: str) -> None:
    decoder, (tokens, memory) = build(form, {}), inputs()
    assert [name for name, p in decoder.named_parameters() if p.ndim == 2 and V in p.shape] == ["embedding.weight"]
    source = decoder.read(memory)
    features = decoder.unroll(tokens, source)[0].detach()
    before = decoder.logits(features), decoder.embed(tokens)
    for use in before:
        assert torch.autograd.grad(use.sum(), decoder.embedding.weight, retain_graph=True)[0].any()
    decoder.embedding.weight.data[7] += 1
    assert torch.nonzero((decoder.logits(features) != before[0]).any((0, 1, 2))).tolist() == [[7]]
    assert torch.equal((decoder.embed(tokens) != before[1]).any(-1), tokens == 7)


# Dropout


def test_dropout_drops_the_same_features_along_a_sequence() -> None:
    torch.manual_seed(4)
    dropped = SequenceDropout(0.4).train()(torch.ones(1009, T, H))
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert torch.all((dropped == 0) | torch.isclose(dropped, torch.tensor(1 / 0.6)))
    assert (dropped[:, 0] == 0).float().mean() == pytest.approx(0.4, abs=0.03)  # sequences and features differ


@pytest.mark.parametrize("form", FORMS)
def test_words_of_a_sentence_lose_the_same_features(form: str) -> None:
    dropped = build(form, {}, dropout=0.5).train().embed(inputs()[0]) == 0  # (B, M, T, H)
    assert torch.equal(dropped, dropped[:, :, :1].expand_as(dropped))
    assert not torch.equal(dropped, dropped[:, :1].expand_as(dropped))


@torch.no_grad()
@pytest.mark.parametrize("form", FORMS)
def test_dropout_changes_training_only(form: str) -> None:
    decoder, (tokens, memory) = build(form, {}, dropout=0.5), inputs()
    evaluated = unroll(decoder, tokens, memory)[0]
    torch.testing.assert_close(evaluated, unroll(build(form, {}, dropout=0.0).train(), tokens, memory)[0])
    decoder.train()
    assert not torch.allclose(evaluated, unroll(decoder, tokens, memory)[0])
    assert torch.equal(decoder.eval() and unroll(decoder, tokens, memory)[0], evaluated)


@torch.no_grad()
@pytest.mark.parametrize("form", FORMS)
def test_dropout_is_switched_alone(form: str) -> None:
    decoder, (tokens, memory) = build(form, {}, dropout=0.5), inputs()
    evaluated = unroll(decoder, tokens, memory)[0]
    decoder.train().set_dropout(False)
    torch.testing.assert_close(unroll(decoder, tokens, memory)[0], evaluated)
    assert decoder.training and all(part.training for part in decoder.modules() if isinstance(part, nn.LSTM))
    decoder.set_dropout(True)
    assert not torch.allclose(unroll(decoder, tokens, memory)[0], evaluated)


def test_unknown_form_is_refused_in_one_line_with_those_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        build("betwen", {})
    assert "between" in str(caught.value) and "before" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("form", ["between", "before", "transformer"])
def test_what_hard_attention_drew_comes_out_of_every_decoder(form: str) -> None:
    torch.manual_seed(4)
    attention = {"score": "scaled_dot", "align": "hard", "soft": 0.0}
    decoder = build_decoder(DecoderConfig(form, attention, dim=12, layers=2), 5, 11)
    tokens, source = torch.randint(4, 11, (2, 3, 5)), decoder.read(Memory(torch.randn(2, 7, 5)))
    _, weights, choice = decoder.unroll_choices(tokens, source)
    n_layers = 2 if form == "transformer" else 1
    assert choice.log_prob.shape == choice.entropy.shape == (2, 3, 5, n_layers)
    assert (weights.max(-1).values == 1).all() and (choice.log_prob < 0).all()
    assert decoder.eval().unroll_choices(tokens, source)[2] is None
