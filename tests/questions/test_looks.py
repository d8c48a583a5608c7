"""Self-attention in a trace: the weights that the encoder looks with, only where they are asked for."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from multimodal_attn.checkpoint import save_checkpoint
from multimodal_attn.decoders import DecoderConfig
from multimodal_attn.errors import ConfigError
from multimodal_attn.figures import render_figure
from multimodal_attn.layers.blocks import SelfAttention as Block
from multimodal_attn.model import build_model
from multimodal_attn.predictor import Predictor, load
from multimodal_attn.questions.self_attention import Looks, looks_of
from multimodal_attn.search import SearchConfig
from multimodal_attn.senses import build_encoder
from multimodal_attn.senses.picture.encoder import ImageEncoderConfig
from multimodal_attn.senses.sound.encoder import AudioEncoderConfig
from multimodal_attn.senses.sound.geometry import SoundGeometry
from multimodal_attn.senses.sound.logmel import SoundBatch
from multimodal_attn.senses.sound.whisper import WhisperEncoder, WhisperEncoderConfig
from multimodal_attn.senses.text.encoder import TextEncoder, TextEncoderConfig
from multimodal_attn.senses.text.media import Text
from multimodal_attn.tokens import build_text_tokenizer
from multimodal_attn.trace import AttentionTrace, SelfWeights, join_traces
from tasks.cli import main

SENTENCE = "the law is not perfect but its use is just"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A translator whose encoder has three layers of two heads."""
    torch.manual_seed(3)
    encoder = TextEncoderConfig("transformer", dim=12, layers=3, heads=2)
    model = build_model(encoder, DecoderConfig(dim=8), build_text_tokenizer([SENTENCE] * 2, 320))
    out = tmp_path_factory.mktemp("reader") / "reader"
    save_checkpoint(out, model, SearchConfig(beam=1, max_length=5), "translation", {}, "# reader\n")
    return out


@pytest.fixture(scope="module")
def reader(folder: Path) -> Predictor:
    return load(folder)


def expected(encoder: nn.Module, sentence: torch.Tensor) -> torch.Tensor:
    """softmax(Q K^T / sqrt(A)) of every layer and head, written out. (L, N, S, S)"""
    x, found = encoder.reader.positions(encoder.embedding(sentence)), []
    for layer in encoder.reader.layers:
        block = layer.places
        queries, keys, _ = block.project(block.norm(x)).chunk(3, -1)
        heads = zip(queries.chunk(block.heads, -1), keys.chunk(block.heads, -1), strict=True)
        found.append(torch.stack([(q @ k.T / q.shape[-1] ** 0.5).softmax(-1) for q, k in heads]))
        x = layer(x[None], None)[0]
    return torch.stack(found)


def test_a_trace_holds_the_weights_that_the_layers_look_with(reader: Predictor) -> None:
    [look] = reader(SENTENCE, self_attention=True).self_attention
    ids = torch.tensor(reader.model.tokenizer.encode(SENTENCE).ids)
    truth = expected(reader.model.encoder, ids).detach().flatten(0, 1).numpy()
    assert look.heads == tuple((layer, head) for layer in range(3) for head in range(2))
    np.testing.assert_allclose(look.weights, truth, atol=1e-5)


def test_one_layer_or_one_head_can_be_asked_for(reader: Predictor) -> None:
    [every] = reader(SENTENCE, self_attention=True).self_attention
    [layer] = reader(SENTENCE, self_attention=1).self_attention
    [head] = reader(SENTENCE, self_attention="2.1").self_attention
    assert layer.heads == ((1, 0), (1, 1)) and head.heads == ((2, 1),)
    np.testing.assert_array_equal(layer.weights, every.weights[2:4])
    np.testing.assert_array_equal(head.weights, every.weights[5:])


def test_unless_it_is_asked_for_nothing_is_computed(reader: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, name in (Block, "weights"), (TextEncoder, "looks"):
        monkeypatch.setattr(kind, name, lambda *args: pytest.fail("computed"))
    trace = reader(SENTENCE)
    assert trace.self_attention == () and "self_attention" not in trace.to_dict()


def test_what_else_is_in_the_batch_changes_nothing(reader: Predictor) -> None:
    items = [Text("its use"), Text(SENTENCE)]
    short, long = reader.batch(items, self_attention=True)
    for trace, item in (short, items[0]), (long, items[1]):
        np.testing.assert_allclose(
            trace.self_attention[0].weights, reader(item, self_attention=True).self_attention[0].weights, atol=1e-6
        )


@pytest.mark.parametrize("wanted", ["3", "0.2", "x", "1.x", ".1", ""])
def test_a_layer_that_is_not_there_is_told_in_one_line(reader: Predictor, wanted: str) -> None:
    with pytest.raises(ConfigError, match="self-attention: ") as told:
        reader.looks(wanted)
    assert "\n" not in str(told.value)


def test_a_model_without_self_attention_says_so(tiny_checkpoint: Path) -> None:
    predictor = load(tiny_checkpoint)
    assert not predictor.self_attends
    with pytest.raises(ConfigError, match="has none"):
        predictor.looks(True)


def test_what_is_too_large_is_the_last_heads_or_refused() -> None:
    every = Looks.of("all")
    assert every.choose(4, 6, 100) == [(layer, head) for layer in range(4) for head in range(6)]
    assert every.choose(4, 6, 1500) == [(3, 5)]
    assert Looks.of("2.0").choose(4, 6, 1500) == [(2, 0)]
    with pytest.raises(ConfigError, match=r"6 maps of 1500 x 1500 places .* name one head, such as 2\.0"):
        Looks.of(2).choose(4, 6, 1500)


# in the trace


def test_it_comes_back_from_json_and_older_traces_have_none(reader: Predictor) -> None:
    trace = reader(SENTENCE, self_attention="0")
    again = AttentionTrace.from_json(trace.to_json())
    assert again.self_attention[0].heads == ((0, 0), (0, 1))
    np.testing.assert_allclose(again.self_attention[0].weights, trace.self_attention[0].weights, atol=1e-3)
    data = trace.to_dict()
    del data["self_attention"]
    assert AttentionTrace.from_dict(data).self_attention == ()
    data["self_attention"] = [SelfWeights(((0, 0),), np.ones((1, 99, 99), np.float32)).to_dict()]
    with pytest.raises(ValueError, match="does not fit"):
        AttentionTrace.from_dict(data)


def test_pieces_of_a_sound_keep_their_own_places() -> None:
    def piece(start: float, n_places: int) -> AttentionTrace:
        look = SelfWeights(((0, 0),), np.full((1, n_places, n_places), start, np.float32))
        geometry = SoundGeometry(start + n_places / 10, start, 0.1, n_places)
        return AttentionTrace("", 0.0, (), np.zeros((0, 1, n_places), np.float32), geometry, self_attention=(look,))

    whole = join_traces([piece(0.0, 5), piece(0.5, 3)])
    assert [(look.first, look.weights.shape[1]) for look in whole.self_attention] == [(0, 5), (5, 3)]
    AttentionTrace.from_dict(whole.to_dict())


# of the other senses


@pytest.mark.parametrize("name", ["conformer", "transformer"])
def test_of_a_sound_the_padding_gets_no_look(name: str) -> None:
    torch.manual_seed(2)
    encoder = build_encoder(AudioEncoderConfig(name, dim=8, layers=2, heads=2, channels=2)).eval()
    sounds = SoundBatch(torch.randn(2, 16_000), torch.tensor([16_000, 9_000]))
    places = [encoder.geometry(int(n)) for n in sounds.lengths]
    alone = looks_of(encoder, SoundBatch(sounds.samples[1:, :9_000], sounds.lengths[1:]), places[1:], Looks())[0]
    padded = looks_of(encoder, sounds, places, Looks())[1]
    assert padded.weights.shape == (4, places[1].n_places, places[1].n_places)
    np.testing.assert_allclose(padded.weights.sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(padded.weights, alone.weights, atol=1e-5)


def test_of_whisper_what_is_behind_the_sound_is_a_look_elsewhere() -> None:
    torch.manual_seed(2)
    encoder = WhisperEncoder(WhisperEncoderConfig(dim=64, layers=1, stride=4)).eval()
    sounds = SoundBatch(torch.randn(1, 8_000), torch.tensor([8_000]))
    geometry = encoder.geometry(8_000)
    fine = next(WhisperEncoder.looks(_same(encoder, 2), sounds))[0, 0].detach().numpy()  # (1500, 1500)
    [look] = looks_of(encoder, sounds, [geometry], Looks())
    pairs = fine.reshape(750, 2, 750, 2).mean(1).sum(-1)[: geometry.n_places, : geometry.n_places]
    np.testing.assert_allclose(look.weights[0], pairs, atol=1e-5)
    assert 0 < look.weights[0].sum(-1).max() < 0.5


def _same(encoder: WhisperEncoder, stride: int) -> WhisperEncoder:
    other = WhisperEncoder(replace(encoder.config, stride=stride)).eval()
    other.load_state_dict(encoder.state_dict())
    return other


def test_of_a_picture_every_cell_looks_at_the_grid() -> None:
    torch.manual_seed(2)
    encoder = build_encoder(ImageEncoderConfig("mobilenet_v3_small", size=64, self_attention=1, dim=64)).eval()
    [look] = looks_of(encoder, torch.zeros(1, 3, 64, 64, dtype=torch.uint8), [encoder.geometry(90, 60)], Looks())
    assert look.weights.shape == (1, 4, 4)
    np.testing.assert_allclose(look.weights.sum(-1), 1, atol=1e-5)


# in the commands


def test_rows_and_figures_hold_it_on_request(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"{SENTENCE}\n")
    out, figures = tmp_path / "rows.jsonl", tmp_path / "figures"
    common = ["translate", str(tmp_path / "a.txt"), "--checkpoint", str(folder), "--out", str(out)]
    assert main([*common, "--self-attention", "1.0", "--pictures", str(figures)]) == 0
    trace = AttentionTrace.from_dict(json.loads(out.read_text()))
    assert trace.self_attention[0].heads == ((1, 0),)
    assert main([*common, "--attention", "--overwrite"]) == 0
    assert "self_attention" not in json.loads(out.read_text())
    with_one, without = (render_figure(each, Text(SENTENCE)) for each in (trace, replace(trace, self_attention=())))
    assert with_one.height > without.height + 10 * 26 and list(figures.glob("*.png"))


def test_a_wrong_layer_is_told_before_anything_is_written(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text(f"{SENTENCE}\n")
    out = tmp_path / "rows.jsonl"
    command = ["translate", str(tmp_path / "a.txt"), "--checkpoint", str(folder), "--self-attention", "9"]
    assert main([*command, "--out", str(out)]) == 2
    assert "layers 0 to 2" in capsys.readouterr().err.splitlines()[-1] and not out.exists()
    assert main([*command, "--format", "txt"]) == 2
    assert "go with jsonl" in capsys.readouterr().err
