"""A vocabulary of each side: learned from its own sentences, kept in the folder, and honoured by every command."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from multimodal_attn.checkpoint import SOURCE_TOKENIZER, load_checkpoint, save_checkpoint
from multimodal_attn.decoders import DecoderConfig
from multimodal_attn.errors import CheckpointError
from multimodal_attn.model import Model, build_model
from multimodal_attn.predictor import load
from multimodal_attn.search import SearchConfig
from multimodal_attn.senses.text.encoder import TextEncoderConfig
from multimodal_attn.tokens import UNKNOWN, build_piece_tokenizer, build_text_tokenizer, ids_to_text, text_to_ids
from tasks.cli import main
from tasks.training.fine_tuning import extend_vocabulary
from tests.translation.test_translation import arguments, sentences

TEXTS = ["Die K\u00e4tzchen, 3 Igel!", "\u732b\u3068\u72ac\u3002", "\u041a\u043e\u0442 \u0438 \u043f\u0451\u0441"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("pairs"), np.random.default_rng(4)
    for split, n in (("train", 151), ("val", 5), ("test", 7)):
        pairs = sentences(rng, n)
        for side, ending in enumerate(("en", "xx")):
            (folder / f"{split}.{ending}").write_text("".join(pair[side] + "\n" for pair in pairs), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    assert main([*arguments(data, folder, 2), "--data.vocabulary=separate"]) == 0
    return folder


@pytest.fixture(scope="module")
def folder(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "two"
    last = run / "checkpoints" / "last.ckpt"
    assert main(["translation", "export", "--ckpt_path", str(last), "--out", str(out)]) == 0
    return out


def test_each_side_has_the_pieces_of_its_own_sentences(folder: Path) -> None:
    model, _, config = load_checkpoint(folder)
    assert set(config["sha256"]) == {"model.safetensors", "tokenizer.json", SOURCE_TOKENIZER}
    reads, writes = model.source_tokenizer.get_vocab(), model.tokenizer.get_vocab()
    assert "\u2581dog" in reads and "\u2581dog" not in writes and "\u2581ga" in writes and "\u2581ga" not in reads
    assert model.encoder.config.n_tokens == len(reads) and len(model.decoder.bias) == len(writes)
    trace = load(folder)("old dog sees big tree.")
    ids = model.source_tokenizer.encode("old dog sees big tree.").ids
    assert trace.geometry.n_places == len(ids)


def test_the_file_is_looked_after_like_the_others(folder: Path, tmp_path: Path) -> None:
    for name in folder.iterdir():
        (tmp_path / name.name).write_bytes(name.read_bytes())
    content = (tmp_path / SOURCE_TOKENIZER).read_text()
    (tmp_path / SOURCE_TOKENIZER).write_text(content.replace("dog", "dig"))
    with pytest.raises(CheckpointError, match="source-tokenizer.json is not the file that was released"):
        load(tmp_path)
    (tmp_path / SOURCE_TOKENIZER).unlink()
    with pytest.raises(CheckpointError, match="source-tokenizer.json"):
        load(tmp_path)


def test_a_run_goes_on_with_both(run: Path, tmp_path: Path) -> None:
    last = str(run / "checkpoints" / "last.ckpt")
    more = ["--trainer.max_epochs=3", "--trainer.limit_val_batches=0", f"--trainer.default_root_dir={tmp_path}"]
    assert main(["translation", "fit", "--ckpt_path", last, *more]) == 0
    one, other = (torch.load(path / "checkpoints" / "last.ckpt", weights_only=True) for path in (run, tmp_path))
    assert one["source_tokenizer"] == other["source_tokenizer"] != one["tokenizer"]
    assert other["epoch"] == one["epoch"] + 1


def test_test_and_translate_read_by_it(run: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    last = str(run / "checkpoints" / "last.ckpt")
    assert main(["translation", "test", "--ckpt_path", last, f"--trainer.default_root_dir={tmp_path / 'test'}"]) == 0
    assert json.loads((tmp_path / "test" / "scores-test.json").read_text())["n"] == 7
    (tmp_path / "a.txt").write_text("old cat.\n")
    capsys.readouterr()
    assert main(["translate", str(tmp_path / "a.txt"), "--checkpoint", str(folder), "--format", "txt"]) == 0
    assert capsys.readouterr().out.strip() == load(folder)("old cat.").text


def two_tongued() -> Model:
    torch.manual_seed(1)
    tongues = build_text_tokenizer(["cab"] * 2, 300), build_text_tokenizer(["dog"] * 2, 300)
    config = TextEncoderConfig(dim=8, layers=1)
    return build_model(config, DecoderConfig(dim=8), tongues[1], source_tokenizer=tongues[0])


def test_a_folder_loses_the_file_of_the_model_before(tmp_path: Path) -> None:
    model = two_tongued()
    save_checkpoint(tmp_path, model, SearchConfig(), "translation", {}, "")
    assert (tmp_path / SOURCE_TOKENIZER).exists()
    plain = build_model(TextEncoderConfig(dim=8, layers=1), DecoderConfig(dim=8), model.tokenizer)
    save_checkpoint(tmp_path, plain, SearchConfig(), "translation", {}, "")
    assert not (tmp_path / SOURCE_TOKENIZER).exists() and load_checkpoint(tmp_path)[0].source_tokenizer is None


def test_new_letters_of_the_source_widen_the_encoder_alone() -> None:
    model = two_tongued()
    fresh = build_text_tokenizer(["dog"] * 2, 300), build_text_tokenizer(["cab \u0436\u0436"] * 2, 300)
    wider = extend_vocabulary(model, *fresh)
    assert wider.encoder.config.n_tokens == model.encoder.config.n_tokens + 1
    assert wider.tokenizer.get_vocab_size() == model.tokenizer.get_vocab_size()
    assert len(wider.source_tokenizer.encode("\u0436").ids) == 2 and extend_vocabulary(model, fresh[0]) is not wider


@pytest.mark.parametrize("text", TEXTS)
def test_case_signs_and_every_script_come_back_even_where_training_had_none_of_it(text: str) -> None:
    tokenizer = build_text_tokenizer(["plain words only"] * 2, 300)
    ids = text_to_ids(tokenizer, text)
    assert UNKNOWN not in ids and ids_to_text(tokenizer, ids) == text


def test_in_a_transcript_a_letter_that_its_texts_had_not_is_told_as_unknown() -> None:
    assert text_to_ids(build_piece_tokenizer(["ab"]), "abz").count(UNKNOWN) == 1
