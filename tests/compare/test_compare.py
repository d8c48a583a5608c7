"""The comparison end to end on tiny data: the same budget for all, nothing done twice, and a table and a picture."""

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from multimodal_attn.checkpoint import load_checkpoint, save_checkpoint
from multimodal_attn.decoders import DecoderConfig
from multimodal_attn.errors import ConfigError
from multimodal_attn.model import build_model
from multimodal_attn.search import SearchConfig
from multimodal_attn.senses import build_encoder
from multimodal_attn.senses.picture.encoder import ImageEncoderConfig
from multimodal_attn.senses.sound.encoder import AudioEncoderConfig
from multimodal_attn.tokens import build_piece_tokenizer
from tasks.captioning.datamodule import CaptioningData
from tasks.cli import main
from tasks.compare import command as compare
from tasks.compare import features as compare_features
from tasks.compare import plan as compare_plan
from tasks.compare.features import OnFeatures, open_features
from tasks.compare.plan import name_of, parse_mechanism
from tests.speech.test_speech_training import sing

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255), "black": (0, 0, 0)}


def write_table(path: Path, rows: list[tuple]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """11 pictures to train on, 5 to validate on, two captions each."""
    folder = tmp_path_factory.mktemp("colours")
    rows = [("path", "caption", "split")]
    for n in range(16):
        name, colour = list(COLOURS.items())[n % 5]
        Image.new("RGB", (67, 41 + n), colour).save(folder / f"{n}.png")
        split = "train" if n < 11 else "val"
        rows += [(f"{n}.png", f"this is a plain {name} picture", split), (f"{n}.png", f"it is {name}", split)]
    write_table(folder / "table.csv", rows)
    return folder


def arguments(data: Path, out: Path, *attention: str) -> list[str]:
    options = {
        "model.encoder.name": "mobilenet_v3_small",
        "model.encoder.size": 64,
        "model.encoder.stride": 16,
        "model.decoder.dim": 12,
        "model.search.beam": 2,
        "model.search.max_length": 7,
        "data.root": data / "table.csv",
        "data.batch_size": 3,
        "data.min_count": 1,
        "data.n_workers": 0,
    }
    rest = [part for key, value in options.items() for part in (f"--{key}", str(value))]
    places = ["--out", str(out), "--features", str(data / "features")]
    return ["compare", "--task", "captioning", "--steps", "6", *places, "--attention", *attention, *rest]


@pytest.fixture(autouse=True, scope="module")
def same_random_encoder() -> Iterator[None]:
    """There are no trained parameters here, and a comparison goes on only with the encoder that it began with."""

    def build(config: ImageEncoderConfig) -> torch.nn.Module:
        torch.manual_seed(5)
        encoder = build_encoder(config)
        norms = [module for module in encoder.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        for norm in norms:  # measured on noise, or the fresh network's features would vanish
            norm.train().momentum = 1.0
        with torch.no_grad():
            encoder.trunk(torch.randn(7, 3, config.size, config.size))
        return encoder.eval()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(compare_plan, "build_encoder", build)
        yield


def parameters(out: Path, name: str, seed: int = 1) -> dict[str, torch.Tensor]:
    return load_checkpoint(out / name / f"seed-{seed}" / "model")[0].state_dict()


THREE = ("additive/softmax", "none", "{score: dot, heads: 3}")


@pytest.fixture(scope="module")
def out(colours: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a comparison of three mechanisms, two seeds each."""
    folder = tmp_path_factory.mktemp("compared")
    assert main([*arguments(colours, folder, *THREE), "--seeds", "1", "2"]) == 0
    return folder


def test_a_comparison_leaves_a_table_a_picture_and_models_that_open(out: Path) -> None:
    with (out / "comparison.csv").open() as file:
        rows = {row["attention"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"additive/softmax", "none", "dot/softmax heads=3"}
    assert float(rows["none"]["decoder_parameters"]) < float(rows["additive/softmax"]["decoder_parameters"])
    assert rows["none"]["entropy"] == "" and 0 < float(rows["additive/softmax"]["entropy"]) < np.log(16) + 1e-5
    assert all(float(row["seconds_per_step"]) > 0 and row["cider_sd"] for row in rows.values())
    table = (out / "comparison.md").read_text()
    assert "11 pictures" in table and "6 steps of 3" in table and table.count("\n| ") == 1 + 3
    data = json.loads((out / "comparison.json").read_text())
    assert [run["seed"] for run in data["rows"][0]["runs"]] == [1, 2]
    assert [row["attention"] for row in data["rows"]] == list(rows)
    figure = Image.open(out / "comparison.png")
    assert figure.width > 6 * 40 and figure.height > 3 * 40
    model, search, config = load_checkpoint(out / "dot-softmax-heads=3" / "seed-2" / "model")
    assert model.n_heads == 3 and search.beam == 2 and config["task"] == "captioning"


def test_all_can_be_made_to_write_about_a_photograph_of_ones_own(
    colours: Path, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    photo = tmp_path / "mine.png"
    Image.new("RGB", (61, 31), (255, 0, 255)).save(photo)
    again = [*arguments(colours, out, *THREE), "--seeds", "1", "2", "--shown", str(photo)]
    assert main(again) == 2
    assert "--sentence" in capsys.readouterr().err.strip().splitlines()[-1]
    assert main([*again, "--sentence", "red blue red blue"]) == 0
    figure = np.asarray(Image.open(out / "comparison.png"))
    assert (figure == (255, 0, 255)).all(-1).sum() > 40 * 80
    assert main([*arguments(colours, out, *THREE), "--shown", "nowhere.png"]) == 2
    assert "nowhere.png" in capsys.readouterr().err


def test_only_the_mechanism_and_the_seed_differ(out: Path) -> None:
    one, other = parameters(out, "additive-softmax"), parameters(out, "additive-softmax", 2)
    assert all(torch.equal(one[name], other[name]) for name in one if name.startswith("encoder"))
    assert not torch.equal(one["decoder.embedding.weight"], other["decoder.embedding.weight"])


def test_what_is_finished_is_not_done_again(colours: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for where, name in (compare, "train"), (compare, "evaluate"), (compare_features, "write_features"):
        monkeypatch.setattr(where, name, lambda *args: pytest.fail("done again"))
    (out / "comparison.md").unlink()
    assert main([*arguments(colours, out, *THREE), "--seeds", "1", "2"]) == 0
    assert (out / "comparison.md").exists()
    assert main([*arguments(colours, out, "none"), "--seeds", "2"]) == 0
    (row,) = json.loads((out / "comparison.json").read_text())["rows"]
    assert [run["seed"] for run in row["runs"]] == [1, 2]


def test_a_killed_comparison_goes_on_and_ends_like_one_that_was_not(
    colours: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "SAVE_EVERY", 2)
    step, steps = OnFeatures.training_step, []

    def killed(self: OnFeatures, *args: object) -> torch.Tensor:
        steps.append(self.global_step)
        if len(steps) == 6:
            raise MemoryError
        return step(self, *args)

    monkeypatch.setattr(OnFeatures, "training_step", killed)
    with pytest.raises(MemoryError):
        main(arguments(colours, tmp_path, "additive/softmax"))
    assert (tmp_path / "additive-softmax" / "seed-1" / "last.ckpt").exists()
    assert main(arguments(colours, tmp_path, "additive/softmax")) == 0
    assert steps == [0, 1, 2, 3, 4, 5, 4, 5]  # on from the last saved step
    expected, got = parameters(out, "additive-softmax"), parameters(tmp_path, "additive-softmax")
    assert all(torch.equal(expected[name], got[name]) for name in expected)


def test_results_of_another_budget_are_not_mixed_in(
    colours: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments(colours, out, "dot"), "--model.decoder.dropout", "0.1"]) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert "another budget (decoder)" in message and "--out" in message


@pytest.mark.parametrize(("name", "content"), [("notes.md", "mine"), ("budget.json", "[1]"), ("budget.json", "mine")])
def test_a_folder_of_other_things_is_left_as_it_is(
    name: str, content: str, colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(content)
    assert main(arguments(colours, tmp_path, "dot")) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "something else than a comparison" in line or "was not written by compare" in line
    assert (tmp_path / name).read_text() == content
    assert not (tmp_path / "dot").exists()


def test_a_trained_model_is_shown_beside_with_its_own_encoder(
    colours: Path, out: Path, tmp_path: Path, tiny_checkpoint: Path
) -> None:
    assert main([*arguments(colours, tmp_path, "dot"), "--checkpoints", str(tiny_checkpoint)]) == 0
    (given,) = json.loads((tmp_path / "comparison.json").read_text())["given"]
    assert given["attention"] == "tiny" and given["runs"][0]["scores"]["cider"] >= 0
    last = (tmp_path / "comparison.md").read_text().splitlines()[-1]
    assert last.startswith("| tiny |") and "not of this budget" in last


@pytest.mark.parametrize(
    ("text", "attention", "name"),
    [
        ("additive/hard", {"score": "additive", "align": "hard"}, "additive/hard"),
        ("uniform", {"align": "uniform"}, "uniform"),
        ("Local-P", {"align": "local_p"}, "scaled_dot/local_p"),
        ("concat/soft", {"score": "additive", "align": "softmax"}, "additive/softmax"),
        ("additive/average", {"score": "additive", "align": "uniform"}, "uniform"),
        ("none", {"align": "none"}, "none"),
        ("cosine", {"score": "cosine"}, "cosine/softmax"),
        ("{align: local_p, window: 5}", {"align": "local_p", "window": 5}, "scaled_dot/local_p window=5"),
    ],
)
def test_mechanisms_are_named_in_short_or_in_full(text: str, attention: dict, name: str) -> None:
    assert parse_mechanism(text) == attention and name_of(attention) == name


@pytest.mark.parametrize("text", ["additive/sofmax", "doot", "{score: dot, windoe: 3}", "{score: dot"])
def test_a_wrong_mechanism_is_told_before_anything_is_trained(text: str) -> None:
    with pytest.raises(ConfigError, match="attention: (no|'{score)"):
        parse_mechanism(text)


# Features


def test_features_are_those_of_the_encoder_and_are_found_again(
    colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = CaptioningData(str(colours / "table.csv"), n_workers=0)
    data.setup("fit")
    encoder = compare_plan.build_encoder(ImageEncoderConfig("mobilenet_v3_small", size=64))
    store = open_features(tmp_path, encoder, data, "val")
    with Image.open(data.examples["val"][3].path) as image, torch.inference_mode():
        expected = encoder(encoder.framing.frame(image).unsqueeze(0)).values[0]
        assert (store.geometries[3].width, store.geometries[3].height) == image.size
    assert expected.std() > 0.1
    torch.testing.assert_close(torch.from_numpy(store[3]).float(), expected, rtol=2e-3, atol=1e-3)
    with monkeypatch.context() as patched:
        patched.setattr(compare_features, "write_features", lambda *args: pytest.fail("computed again"))
        assert np.array_equal(open_features(tmp_path, encoder, data, "val")[4], store[4])
    next(encoder.parameters()).data += 1
    changed = open_features(tmp_path, encoder, data, "val")
    assert not np.array_equal(changed[3], store[3])
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".part")]


def test_speech_is_compared_on_the_features_of_a_checkpoint(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    rows = [("path", "text", "split", "speaker", "seconds")]
    for n, text in enumerate(["ab c", "da", "c ab d", "bad", "a b", "dab c", "cab"]):
        samples = sing(text, rng)
        soundfile.write(tmp_path / f"{n}.wav", samples, 16_000)
        rows.append((f"{n}.wav", text, "val" if n > 4 else "train", "singer", len(samples) / 16_000))
    write_table(tmp_path / "table.csv", rows)
    encoder = AudioEncoderConfig("blstm", dim=16, layers=1, stride=4)
    model = build_model(encoder, DecoderConfig(dim=8), build_piece_tokenizer(["ab cd"], 0), ctc=True)
    save_checkpoint(tmp_path / "ears", model, SearchConfig(), "speech", {}, "# ears\n")
    options = {
        "encoder": tmp_path / "ears",
        "out": tmp_path / "out",
        "features": tmp_path / "features",
        "data.root": f"[{tmp_path / 'table.csv'}]",
        "data.n_pieces": 0,
        "data.batch_seconds": 3,
        "model.decoder.dim": 12,
        "model.search.beam": 1,
        "model.search.max_length": 5,
    }
    rest = [part for key, value in options.items() for part in (f"--{key}", str(value))]
    assert main(["compare", "--task", "speech", "--steps", "3", "--attention", "location", "none", *rest]) == 0
    with (tmp_path / "out" / "comparison.csv").open() as file:
        rows = {row["attention"]: row for row in csv.DictReader(file)}
    assert 0 <= float(rows["location/softmax"]["monotonicity"]) <= 1 and rows["none"]["monotonicity"] == ""
    assert all(float(row["wer"]) >= 0 for row in rows.values())
    heard, *_ = load_checkpoint(tmp_path / "out" / "location-softmax" / "seed-1" / "model")
    assert heard.ctc is None and heard.encoder.config == encoder
    assert Image.open(tmp_path / "out" / "comparison.png").height > 2 * 132


# whole models


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    words = {"red": "rot", "green": "gr\u00fcn", "a": "ein", "dog": "Hund", "cat": "Kater", "and": "und"}
    sentences = [f"a {first} dog and a {second} cat" for first in ("red", "green") for second in ("red", "green")] * 4
    for split, some in ("train", sentences[3:]), ("val", sentences[:3]):
        (folder / f"{split}.en").write_text("".join(f"{each}\n" for each in some))
        translated = (" ".join(words[word] for word in each.split()) for each in some)
        (folder / f"{split}.de").write_text("".join(f"{each}\n" for each in translated))
    return folder


TRANSFORMER = "{score: dot, heads: 2, encoder: {name: transformer, layers: 8}, decoder: {form: transformer, layers: 1}}"


def translators(pairs: Path, out: Path, *attention: str) -> list[str]:
    options = {"root": pairs, "n_pieces": 300, "batch_tokens": 60}
    rest = [part for key, value in options.items() for part in (f"--data.{key}", str(value))]
    model = {"encoder.dim": 8, "encoder.layers": 1, "decoder.dim": 8, "search.beam": 1, "search.max_length": 8}
    rest += [part for key, value in model.items() for part in (f"--model.{key}", str(value))]
    return ["compare", "--task", "translation", "--steps", "3", "--out", str(out), "--attention", *attention, *rest]


def test_translators_are_compared_whole_and_may_differ_in_depth(pairs: Path, tmp_path: Path) -> None:
    assert main(translators(pairs, tmp_path / "out", "additive/local_m", "none", TRANSFORMER)) == 0
    with (tmp_path / "out" / "comparison.csv").open() as file:
        rows = {row["attention"]: row for row in csv.DictReader(file)}
    deep = "dot/softmax heads=2 encoder.name=transformer encoder.layers=8 decoder.form=transformer decoder.layers=1"
    assert set(rows) == {"additive/local_m", "none", deep}
    assert all(0 <= float(row["bleu"]) <= 100 and float(row["seconds_per_step"]) > 0 for row in rows.values())
    folders = {path.parent.parent.name: path for path in (tmp_path / "out").glob("*/*/model")}
    trained = {name: load_checkpoint(path)[0] for name, path in folders.items()}
    encoders = [model.encoder.state_dict()["embedding.weight"] for model in trained.values()]
    assert not torch.equal(encoders[0], encoders[1])
    assert sorted(model.encoder.config.layers for model in trained.values()) == [1, 1, 8]
    table = (tmp_path / "out" / "comparison.md").read_text()
    assert "a fresh encoder (blstm)" in table and "13 texts" in table
    assert Image.open(tmp_path / "out" / "comparison.png").height > 100


def test_what_a_row_cannot_have_is_told_before_anything_is_trained(
    pairs: Path, colours: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(translators(pairs, out, "{score: dot, encoder: {layrs: 8}}")) == 2
    assert "encoder has no option 'layrs'" in capsys.readouterr().err.splitlines()[-1]
    assert main([*translators(pairs, out, "dot"), "--encoder", str(tmp_path)]) == 2
    assert "leave --encoder out" in capsys.readouterr().err.splitlines()[-1]
    assert main(arguments(colours, tmp_path / "other", "{score: dot, encoder: {stride: 8}}")) == 2
    assert "share one frozen encoder" in capsys.readouterr().err.splitlines()[-1]
