"""Whisper: encoder and decoder follow its equations, its files and its vocabulary become ours, and it transcribes."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from multimodal_attn import load
from multimodal_attn.checkpoint import save_checkpoint
from multimodal_attn.decoders import build_decoder
from multimodal_attn.errors import CheckpointError, ConfigError
from multimodal_attn.memory import Memory
from multimodal_attn.model import Model, hush
from multimodal_attn.search import SearchConfig, beam_search
from multimodal_attn.senses import build_encoder
from multimodal_attn.senses.sound import whisper_files
from multimodal_attn.senses.sound.geometry import SoundGeometry
from multimodal_attn.senses.sound.logmel import SoundBatch
from multimodal_attn.senses.sound.media import RATE
from multimodal_attn.senses.sound.whisper import WhisperEncoderConfig
from multimodal_attn.senses.sound.whisper_files import encoder_parameters, read_published
from multimodal_attn.tokens import END, PAD, SPECIALS, START, ids_to_text, spelled, text_to_ids
from multimodal_attn.trace import AttentionTrace, Token, Word
from tasks.cli import main
from tasks.speech.whisper import build_whisper
from tasks.speech.whisper_tokens import build_vocabulary, read_pieces
from tests import whisper_files as small

CONFIG = {"dim": small.D, "layers": small.LAYERS, "bands": small.BANDS}


def sounds(*n_samples: int) -> SoundBatch:
    torch.manual_seed(5)
    return SoundBatch(torch.randn(len(n_samples), max(n_samples)) / 9, torch.tensor(n_samples))


def encoder(tmp_path: Path, **options):
    path = small.write_whisper(tmp_path)
    return build_encoder(WhisperEncoderConfig(weights=str(path), **CONFIG, **options)).double().eval()


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Model:
    folder = small.write_whisper(tmp_path_factory.mktemp("whisper")).parent
    return build_whisper(small.published(), folder / "tokenizer.json", [(0, 1), (1, 0), (1, 1)]).double()


def doubled() -> dict[str, Tensor]:
    return {name: tensor.double() for name, tensor in small.published().items()}


def published_ids(model: Model, ids: list[int]) -> list[int]:
    """What Whisper would call START and these of our ids, with what stands before."""
    return [small.BEGIN, small.NO_STAMPS, *(i - len(SPECIALS) for i in ids)]


# Encoder


def test_the_encoder_follows_the_equations_with_a_place_for_every_20_ms(tmp_path: Path) -> None:
    heard = encoder(tmp_path)
    batch = sounds(3217)
    features = heard.features(batch)
    memory = heard.encode(features._replace(values=features.values.double()))
    expected = small.encode(doubled(), features.values[0].double())
    assert memory.values.shape == (1, 11, small.D) and memory.mask.all()  # 3217 / 320 rounded up
    torch.testing.assert_close(memory.values[0], expected[:11], atol=1e-5, rtol=1e-5)


def test_log_mel_frames_are_centred_scaled_and_padded_to_30_seconds() -> None:
    n, rate = 3217, RATE
    wave = torch.sin(torch.arange(n) * 2 * torch.pi * 1000 / rate)
    frames, mask = build_encoder(WhisperEncoderConfig(layers=0)).features(SoundBatch(wave[None], torch.tensor([n])))
    assert frames.shape == (1, 3000, 80) and mask.sum() == 21  # frames 0, 160, ... 3200
    windowed = wave[800 - 200 : 800 + 200] * torch.hann_window(400)
    power = torch.fft.rfft(windowed).abs().square()  # bin 25 is 1 kHz
    assert power.argmax() == 25
    assert frames[0, 5].argmax() == 26  # of Slaney's mels band 26 is centred on 15.08, and 1 kHz is 15
    assert frames.amax() - frames.amin() == pytest.approx(2.0)  # eight decades / 4
    assert torch.equal(frames[0, 24:], frames.amin().expand(2976, 80))


def test_neither_padding_nor_company_changes_what_is_heard(tmp_path: Path) -> None:
    heard = encoder(tmp_path).float()
    together = sounds(4321, 1700)
    noisy = together._replace(samples=together.samples.masked_fill(~together.mask, torch.nan))
    memory = heard(noisy)
    alone = heard(SoundBatch(together.samples[1:, :1700], torch.tensor([1700])))
    n = int(memory.mask[1].sum())
    assert n == alone.values.shape[1] == 6
    torch.testing.assert_close(memory.values[1, :n], alone.values[0], atol=1e-5, rtol=1e-5)


def test_places_joined_to_40_ms_are_the_means_of_neighbours(tmp_path: Path) -> None:
    fine, coarse = encoder(tmp_path).float()(sounds(3217)), encoder(tmp_path, stride=4).float()(sounds(3217))
    assert coarse.values.shape[1] == 6
    torch.testing.assert_close(coarse.values[0, 1], fine.values[0, 2:4].mean(0))
    torch.testing.assert_close(coarse.values[0, 5], fine.values[0, 10])  # alone


@pytest.mark.parametrize("stride", [2, 4])
def test_a_click_is_where_the_geometry_says(stride: int) -> None:
    heard = build_encoder(WhisperEncoderConfig(dim=6, layers=0, stride=stride))
    torch.nn.init.zeros_(heard.listener.positions.codes)
    for conv in (heard.first, heard.second):  # symmetric ones
        torch.nn.init.ones_(conv.weight)
        torch.nn.init.zeros_(conv.bias)
    heard.listener.norm = torch.nn.Identity()
    n, click = 20 * RATE // 10, 20 * 640 + 160 * (stride == 4)
    wave = torch.zeros(1, n)
    wave[0, click] = 1.0
    loud = heard(SoundBatch(wave, torch.tensor([n]))).values[0, :, 0]
    geometry = heard.geometry(n, start=3.0)
    assert geometry.n_places == len(loud) and geometry.step == stride / 100
    weights = (loud - loud.amin()).detach().numpy()
    assert geometry.start + (
        weights @ (np.arange(len(weights)) + 0.5) / weights.sum()
    ) * geometry.step == pytest.approx(3.0 + click / RATE, abs=1e-4)


def test_more_than_30_seconds_are_refused() -> None:
    heard = build_encoder(WhisperEncoderConfig(dim=6, layers=0))
    assert heard.max_seconds == 30
    with pytest.raises(ConfigError, match="30 s at once, not 30.1"):
        heard(sounds(int(30.1 * RATE)))


def test_what_is_trained_begins_at_a_layer() -> None:
    heard = build_encoder(WhisperEncoderConfig(trainable_from=1, **CONFIG))
    heard.set_trainable(True)
    trained = {name for name, parameter in heard.named_parameters() if parameter.requires_grad}
    assert trained and all(name.startswith(("listener.layers.1.", "listener.norm.")) for name in trained)
    heard.set_trainable(False)
    assert not any(parameter.requires_grad for parameter in heard.parameters())


# Files


@pytest.mark.parametrize("kind", ["openai.safetensors", "encoder.safetensors", "whisper.pt", "folder"])
def test_every_form_of_the_file_gives_the_same_parameters(kind: str, tmp_path: Path) -> None:
    state, path = small.published(), tmp_path / kind
    if kind == "whisper.pt":
        torch.save({"dims": {}, "model_state_dict": state}, path)
    elif kind == "folder":
        path.mkdir()
        save_file(small.hugging_face(state), path / "model.safetensors")
    elif kind == "encoder.safetensors":
        names = {name: name.removeprefix("encoder.") for name in state if name.startswith("encoder.")}
        save_file({short: state[name] for name, short in names.items()}, path)
    else:
        save_file(state, path)
    read, expected = encoder_parameters(read_published(str(path))), encoder_parameters(state)
    assert set(read) == set(expected) and all(torch.equal(read[name], expected[name]) for name in read)


def test_what_is_no_whisper_is_one_line(tmp_path: Path) -> None:
    path = small.write_whisper(tmp_path)
    save_file({"conv1.weight": torch.ones(1)}, tmp_path / "other.safetensors")
    (tmp_path / "text.pt").write_text("no weights")
    for weights, sizes, message in (
        (tmp_path / "none.pt", CONFIG, "no file"),
        (tmp_path / "text.pt", CONFIG, "holds no Whisper"),
        (tmp_path / "other.safetensors", CONFIG, "no encoder.conv1.bias"),
        (path, CONFIG | {"layers": 1}, "has dim 128, layers 2, bands 7"),
        ("DEFAULT", CONFIG, "published none of this size"),
    ):
        with pytest.raises(ConfigError, match=message) as failed:
            build_encoder(WhisperEncoderConfig(weights=str(weights), **sizes))
        assert "\n" not in str(failed.value)


def test_default_is_fetched_and_where_it_cannot_be_the_line_says_what_to_do(tmp_path: Path, monkeypatch) -> None:
    save_file(small.published(), tmp_path / "fetched.safetensors")
    monkeypatch.setattr(whisper_files, "hf_hub_download", lambda *names: str(tmp_path / "fetched.safetensors"))
    monkeypatch.setitem(whisper_files.PUBLISHED, (small.D, small.LAYERS, small.BANDS), "small")
    build_encoder(WhisperEncoderConfig(weights="DEFAULT", **CONFIG))

    def offline(*names: str) -> str:
        raise OSError("no\nnetwork")

    monkeypatch.setattr(whisper_files, "hf_hub_download", offline)
    with pytest.raises(ConfigError, match=r"whisper small cannot be downloaded \(no network\); give a file"):
        build_encoder(WhisperEncoderConfig(weights="DEFAULT", **CONFIG))


# Decoder


def test_the_decoder_follows_the_equations(model: Model) -> None:
    torch.manual_seed(6)
    memory = torch.randn(1, 17, small.D, dtype=torch.float64)
    ids = [9, 104, 37, 260]
    source = model.decoder.read(
        model.encoder.encode(model.encoder.features(sounds(320)))._replace(values=memory, mask=None)
    )
    features, weights = model.decoder.unroll(torch.tensor([[[START, *ids]]]), source)
    logits = (model.decoder.logits(features) - model.decoder.bias)[0, 0]
    expected = small.decode(doubled(), published_ids(model, ids), memory[0])[1:]
    torch.testing.assert_close(logits[:, END], expected[:, small.END], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logits[:, 4:-2], expected[:, : len(small.PIECES)], atol=1e-5, rtol=1e-5)
    assert weights.shape == (1, 1, 5, 3, 17)
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 1, 5, 3, dtype=torch.float64))


def test_maps_are_the_weights_of_the_named_heads_and_a_step_gives_what_all_steps_give(model: Model) -> None:
    torch.manual_seed(7)
    mask = torch.arange(17) < torch.tensor([[17], [9]])
    source = model.decoder.read(Memory(torch.randn(2, 17, small.D, dtype=torch.float64), mask))
    tokens = torch.tensor([[[START, 9, 104], [START, 200, 33]], [[START, 5, 6], [START, 7, 7]]])
    features, weights = model.decoder.unroll(tokens, source)
    state = model.decoder.start(source, 2)
    for t in range(3):
        step = model.decoder.step(tokens[..., t], source, state)
        state = step.state
        torch.testing.assert_close(step.logits, model.decoder.logits(features)[:, :, t])
        torch.testing.assert_close(step.weights, weights[:, :, t])
    all_heads = build_maps(model, [(layer, head) for layer in range(2) for head in range(2)])
    every = all_heads.unroll(tokens, source)[1]
    torch.testing.assert_close(weights, every[..., [1, 2, 3], :])
    torch.testing.assert_close(build_maps(model, []).unroll(tokens, source)[1], every[..., 2:, :])


def build_maps(model: Model, maps: list) -> torch.nn.Module:
    decoder = build_decoder(replace(model.decoder.config, maps=maps), small.D, model.tokenizer.get_vocab_size())
    decoder.load_state_dict(model.decoder.state_dict())
    return decoder.double().eval()


def test_the_chance_of_no_speech_is_read_after_the_first_token_of_the_prefix(model: Model) -> None:
    memory = torch.randn(2, 17, small.D, dtype=torch.float64)
    chance = model.silence(model.decoder.read(Memory(memory))).detach()
    for places, found in zip(memory, chance, strict=True):
        logits = small.decode(doubled(), [small.BEGIN], places)[0]
        ours = logits[[small.NO_STAMPS, small.END, *range(len(small.PIECES)), small.BEGIN, small.NO_SPEECH]]
        total = ours.exp().sum() + 2  # <pad> and <unk> are zeros
        assert float(found) == pytest.approx(float(logits[small.NO_SPEECH].exp() / total), rel=1e-4)


@pytest.mark.parametrize(
    "chance, seconds, stays", [(0.39, 2.0, True), (0.41, 2.0, False), (0.6, 0.5, True), (0.65, 0.5, False)]
)
def test_a_sound_without_speech_has_no_words_and_a_note(chance: float, seconds: float, stays: bool) -> None:
    geometry = SoundGeometry(seconds, -0.01, 0.02, round(seconds / 0.02))
    weights = np.full((1, 2, geometry.n_places), 0.01, np.float32)
    words = (Word("You", 0, 1, 0.1, 0.2),)
    trace = AttentionTrace("You", -1.0, (Token("You", 0.1),), weights, geometry, words=words)
    hushed = hush(trace, chance, 0.4)
    assert (hushed == trace) if stays else (hushed.text, hushed.tokens, hushed.words) == ("", (), ())
    assert hushed.weights.shape == (stays, 2, geometry.n_places) and hushed.note == ("" if stays else "no speech in it")


# Vocabulary


def test_both_forms_of_the_vocabulary_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(small.tokenizer_json())
    letters = {letter: byte for byte, letter in small.byte_letters().items()}
    lines = [
        base64.b64encode(bytes(map(letters.get, piece))).decode() + f" {n}" for n, piece in enumerate(small.PIECES)
    ]
    (tmp_path / "own.tiktoken").write_text("\n".join(lines))
    assert read_pieces(tmp_path / "own.tiktoken") == read_pieces(tmp_path / "tokenizer.json")


def test_text_keeps_capitals_signs_and_letters_of_several_bytes(model: Model) -> None:
    text = "The caf\u00e9, they \u201csaid\u201d \u2014 10th!"
    ids = text_to_ids(model.tokenizer, text)
    assert ids_to_text(model.tokenizer, ids) == text
    assert [spelled(model.tokenizer, i) for i in ids[:3]] == ["\u2581", "T", "h"]
    assert spelled(model.tokenizer, model.tokenizer.token_to_id("\u0120the")) == "\u2581the"
    assert spelled(model.tokenizer, END) == "<end>"


def test_signs_that_nobody_says_are_never_written(model: Model) -> None:
    ids = {model.tokenizer.id_to_token(i): i for i in range(model.tokenizer.get_vocab_size())}
    bias = model.decoder.bias
    assert all(bias[ids[piece]] < -9_000 for piece in ("#", "[", "\u0120", "<|nospeech|>", "<|startoftranscript|>"))
    assert all(bias[ids[piece]] == 0 for piece in ("a", ".", "-", "'", "$", "%", "<end>"))


def test_a_vocabulary_of_another_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(small.tokenizer_json())
    with pytest.raises(ConfigError, match="another size"):
        build_vocabulary(tmp_path / "tokenizer.json", 51864)
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"a": 1}, "merges": []}}))
    with pytest.raises(ConfigError, match="ids are not 0, 1, 2"):
        build_vocabulary(tmp_path / "tokenizer.json", 51864)


# The folder


def test_import_writes_a_folder_that_transcribes(tmp_path: Path, capsys) -> None:
    weights, out = small.write_whisper(tmp_path / "published"), tmp_path / "own"
    command = ["import", "whisper", "small.en", "--weights", str(weights), "--out", str(out)]
    assert main([*command, "--maps", "[[1, 0]]", "--search", "{max_length: 7}"]) == 0
    predictor = load(out)
    trace = predictor((np.random.default_rng(1).normal(0, 0.1, 5000).astype(np.float32), RATE))
    assert len(trace.tokens) <= 7 and trace.weights.shape == (len(trace.tokens), 1, 16)
    for word in trace.words:
        said = [token for token in trace.tokens[word.first : word.last] if any(map(str.isalnum, token.text))]
        expected = np.prod([token.probability for token in said or trace.tokens[word.first : word.last]])
        assert word.probability == pytest.approx(expected)
    assert trace.geometry.step == 0.02 and (trace.weights.sum(-1) < 1).all()  # the silence behind has the rest
    assert main(command) == 2 and "--overwrite" in capsys.readouterr().err
    assert (
        main(["import", "whisper", "small.en", "--weights", str(tmp_path / "none"), "--out", str(tmp_path / "b")]) == 2
    )
    assert "no file" in capsys.readouterr().err and not (tmp_path / "b").exists()


def test_greedy_search_finds_the_most_probable_tokens_of_the_equations(model: Model) -> None:
    batch = sounds(4000)
    features = model.encoder.features(batch)
    memory = model.encoder.encode(features._replace(values=features.values.double()))
    source = model.decoder.read(memory)
    found = beam_search(model.decoder, source, SearchConfig(beam=1, no_repeat=0, max_length=9)).tokens[0, 0].tolist()
    state, ids = doubled(), []
    places = small.encode(state, features.values[0].double())
    for _ in range(9):
        logits = small.decode(state, published_ids(model, ids), places)[-1]
        sayable = (model.decoder.bias[4 : 4 + len(small.PIECES)] == 0).nonzero().squeeze(1)
        best = int(sayable[logits[sayable].argmax()])
        if ids and logits[small.END] > logits[best]:
            break
        ids.append(best + len(SPECIALS))
    assert [i for i in found if i not in (END, PAD)] == ids


@pytest.mark.parametrize(
    "change, message",
    [
        ({"maps": [[9, 0]]}, "maps are pairs of a layer below 2"),
        ({"maps": [[1]]}, "maps are pairs"),
        ({"prefix": [10**6]}, "prefix holds tokens below"),
        ({"dim": 64}, "does not fit the architecture"),
        ({"form": "before"}, "maps and prefix are a Transformer's"),
    ],
)
def test_a_folder_that_asks_for_what_is_not_there_is_refused(model: Model, tmp_path: Path, change, message) -> None:
    save_checkpoint(tmp_path / "own", model, SearchConfig(), "speech", {}, "")
    config = json.loads((tmp_path / "own/config.json").read_text())
    config["decoder"] |= change
    (tmp_path / "own/config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path / "own")
