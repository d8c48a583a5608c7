"""The one result type: its JSON, and what is read off a model when a sentence was found."""

import json
import struct
from base64 import b64decode
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from multimodal_attn.decoders import DecoderConfig, build_decoder
from multimodal_attn.memory import Memory
from multimodal_attn.model import Model, decode, trace_sentences
from multimodal_attn.search import Hypotheses, SearchConfig, beam_search
from multimodal_attn.senses.picture.geometry import PictureGeometry
from multimodal_attn.tokens import END, NEVER_SAID, PAD, START, build_word_tokenizer, ids_to_text, text_to_ids
from multimodal_attn.trace import AttentionTrace, Origin, Token, encode_weights

GEOMETRY = PictureGeometry(101, 67, (-11.5, -7.0, 93.5, 56.0), rows=3, cols=5)
T, N, S = 2, 3, 15


def planted() -> AttentionTrace:
    weights = np.random.default_rng(1).dirichlet(np.ones(S), (T, N)).astype(np.float32)
    tokens = (Token("le", 0.5, (("le", 0.5), ("un", 0.25))), Token('"chîen" 犬', 0.125))
    return AttentionTrace('le "chîen" 犬', -1.5, tokens, weights, GEOMETRY, Origin("folder", "ab12", {"beam": 3}))


def test_trace_survives_json() -> None:
    trace = planted()
    again = AttentionTrace.from_json(trace.to_json())
    assert replace(again, weights=0) == replace(trace, weights=0)
    assert again.weights.dtype == np.float32 and again.weights.shape == (T, N, S)
    np.testing.assert_allclose(again.weights, trace.weights, rtol=2**-11, atol=2**-25)
    assert AttentionTrace.from_json(again.to_json()).to_dict() == again.to_dict()  # nothing is lost twice


@pytest.mark.parametrize("shape", [(0, 1, S), (T, 0, S), (0, 0, S)])
def test_empty_sentences_and_models_without_attention_survive_json(shape: tuple[int, ...]) -> None:
    trace = replace(planted(), tokens=planted().tokens[: shape[0]], weights=np.zeros(shape, np.float32))
    assert AttentionTrace.from_json(trace.to_json()).weights.shape == shape


def test_weights_are_little_endian_halves_in_rows() -> None:
    data = encode_weights(np.array([[[0.5, 0.25, 0.25]], [[1, 0, 0]]], np.float32))
    assert data["shape"] == [2, 1, 3] and data["dtype"] == "float16"
    assert struct.unpack("<6e", b64decode(data["data"])) == (0.5, 0.25, 0.25, 1, 0, 0)


def test_weights_may_be_left_out() -> None:
    data = planted().to_dict(weights=False)
    assert "weights" not in data and data["text"] == planted().text
    json.dumps(data, allow_nan=False)


@pytest.mark.parametrize(
    "change, named",
    [
        ({"schema": "multimodal-attn/trace/3"}, "trace/3"),
        ({"schema": None}, "None"),
        ({"tokens": []}, "0 tokens"),
        ({"weights": encode_weights(np.zeros((T, N, S + 1)))}, "16"),
        ({"weights": encode_weights(np.zeros((T + 1, N, S)))}, "3, 3, 15"),
        ({"weights": encode_weights(np.zeros((T, S)))}, "2, 15"),
        ({"weights": encode_weights(np.zeros((T, N, 3, 5)))}, "2, 3, 3, 5"),
        ({"weights": encode_weights(np.zeros((T, N, S))) | {"shape": [T, N, S + 1]}}, "shape"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_what_is_not_a_trace_is_refused(change: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        AttentionTrace.from_dict(planted().to_dict() | change)


def test_map_is_the_mean_of_the_heads_on_the_grid() -> None:
    weights = np.zeros((T, N, S), np.float32)
    weights[1, 0, 7], weights[1, 1, 7], weights[1, 2, 14] = 1, 1, 1
    found = replace(planted(), weights=weights).map(1)
    assert found.shape == (3, 5)
    assert found[1, 2] == pytest.approx(2 / 3) and found[2, 4] == pytest.approx(1 / 3)
    assert found.sum() == pytest.approx(1)


# From a model


class Given(nn.Module):
    """An encoder whose batch is the memory already."""

    sense = "picture"

    def forward(self, batch: Tensor) -> Memory:
        return Memory(batch)


def build(attention: dict) -> tuple[Model, Tensor]:
    """A model over 3 x 5 places, and two inputs."""
    torch.manual_seed(2)
    tokenizer = build_word_tokenizer(["a dog and two cats run over the wet grass"], min_count=1)
    decoder = build_decoder(DecoderConfig("between", attention, dim=9), 7, tokenizer.get_vocab_size())
    return Model(Given(), decoder, tokenizer).eval(), 3 * torch.randn(2, S, 7)


@torch.inference_mode()
@pytest.mark.parametrize("attention", [{"heads": 3}, {"align": "none"}], ids=str)
def test_trace_says_how_probable_each_word_was_and_where_the_model_looked(attention: dict) -> None:
    model, batch = build(attention)
    geometries, config = [GEOMETRY, replace(GEOMETRY, width=211)], SearchConfig(beam=3, max_length=7)
    traces = decode(model, batch, geometries, config, Origin("here"))
    found = beam_search(model.decoder, model.read(batch).source, config)
    assert [trace.geometry for trace in traces] == geometries
    for row, trace in enumerate(traces):
        assert trace.text == ids_to_text(model.tokenizer, found.tokens[row, 0].tolist())
        assert trace.text == " ".join(token.text for token in trace.tokens)
        assert trace.score == float(found.scores[row, 0]) and trace.origin.checkpoint == "here"
        assert trace.weights.shape == (len(trace.tokens), attention.get("heads", 0), S)
        source, last = model.read(batch[row : row + 1]).source, START
        state = model.decoder.start(source, 1)
        for token, weights in zip(trace.tokens, trace.weights, strict=True):  # step by step, what each token was given
            logits, looked, state = model.decoder.step(torch.tensor([[last]]), source, state)
            chances, last = logits[0, 0].softmax(-1).tolist(), model.tokenizer.token_to_id(token.text)
            assert token.probability == pytest.approx(chances[last], rel=1e-4)
            np.testing.assert_allclose(weights, looked[0, 0], rtol=1e-4)
            sayable = set(range(len(chances))) - set(NEVER_SAID)
            best = sorted(sayable, key=lambda i: -chances[i])[:5]
            assert [text for text, _ in token.alternatives] == [model.tokenizer.id_to_token(i) for i in best]
            assert [p for _, p in token.alternatives] == pytest.approx([chances[i] for i in best], rel=1e-4)


def test_end_of_a_given_sentence_may_come_at_different_places() -> None:
    model, batch = build({})
    short, long = text_to_ids(model.tokenizer, "dog"), text_to_ids(model.tokenizer, "two wet cats")
    tokens = torch.tensor([[short + [PAD] * 2], [long]])
    traces = trace_sentences(model, model.read(batch), Hypotheses(tokens, torch.zeros(2, 1)), [GEOMETRY] * 2, Origin())
    assert [trace.text for trace in traces] == ["dog", "two wet cats"]
    assert [len(trace.weights) for trace in traces] == [1, 3]
    assert END not in [model.tokenizer.token_to_id(token.text) for trace in traces for token in trace.tokens]
