"""One command goes on from a released model with one's own data: all that it knew is kept, new words are added."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml

from multimodal_attn.checkpoint import load_checkpoint, save_checkpoint
from multimodal_attn.decoders import DecoderConfig
from multimodal_attn.model import Model, build_model
from multimodal_attn.search import SearchConfig
from multimodal_attn.senses.picture.encoder import ImageEncoderConfig
from multimodal_attn.senses.sound.encoder import AudioEncoderConfig
from multimodal_attn.tokens import build_piece_tokenizer, build_word_tokenizer, ids_to_text, text_to_ids
from tasks.captioning.datamodule import CaptioningData
from tasks.cli import main
from tasks.training.fine_tuning import extend_vocabulary, fine_tuning_config
from tasks.training.run import completed
from tests.caption_files import write_pictures
from tests.conftest import RELEASED, needs_released


def captioner(*texts: str) -> Model:
    torch.manual_seed(3)
    encoder = ImageEncoderConfig(name="mobilenet_v3_small", size=32)
    return build_model(encoder, DecoderConfig(dim=13), build_word_tokenizer(texts, 1)).eval()


def test_new_words_begin_as_the_mean_of_all_and_nothing_known_changes() -> None:
    model = captioner("a dog runs", "a dog swims")
    wider = extend_vocabulary(model, build_word_tokenizer(["a bird sings", "a dog"], 1)).eval()
    assert wider.tokenizer.get_vocab_size() == model.tokenizer.get_vocab_size() + 2
    text = "a bird and a dog sings"
    ids = text_to_ids(wider.tokenizer, text)
    assert ids_to_text(wider.tokenizer, ids) == "a bird a dog sings"
    assert text_to_ids(wider.tokenizer, "a dog runs") == text_to_ids(model.tokenizer, "a dog runs")
    old, new = model.state_dict(), wider.state_dict()
    assert old.keys() == new.keys()
    for name, known in old.items():
        assert torch.equal(new[name][: len(known)] if known.dim() else new[name], known), name
    rows = new["decoder.embedding.weight"]
    assert torch.allclose(rows[-1], old["decoder.embedding.weight"].mean(0)) and torch.equal(rows[-1], rows[-2])
    assert all(parameter.requires_grad for parameter in wider.decoder.parameters())


def test_a_vocabulary_that_knows_all_stays_as_it_is() -> None:
    model = captioner("a dog runs")
    assert extend_vocabulary(model, build_word_tokenizer(["a dog"], 1)) is model


def test_of_pieces_the_letters_that_are_missing_are_added() -> None:
    tokenizer = build_piece_tokenizer(["cab bad dab cab"], 20)
    encoder = AudioEncoderConfig(dim=8, layers=1, stride=4)
    model = build_model(encoder, DecoderConfig(dim=8), tokenizer, ctc=True)
    wider = extend_vocabulary(model, build_piece_tokenizer(["f\u00fc\u00dfe cab"], 20))
    assert ids_to_text(wider.tokenizer, text_to_ids(wider.tokenizer, "f\u00fc\u00dfe cab")) == "f\u00fc\u00dfe cab"
    assert len(wider.state_dict()["ctc.output.weight"]) == wider.tokenizer.get_vocab_size()


def test_what_only_the_first_data_had_is_left_out_of_the_config() -> None:
    data = {"root": "old", "format": "flickr8k", "min_count": 5, "batch_size": 7, "augmentation": {"splice": 0.4}}
    config = {"model": {"schedule": {"weight_decay": 0.5}, "encoder_from": "x.ckpt"}, "data": data}
    config |= {"trainer": {"max_epochs": 132, "precision": "32-true"}, "best": {"dirpath": "old", "monitor": "val/wer"}}
    tuned = fine_tuning_config(config, Path("models/one"), "speech", CaptioningData.OF_ROOT)
    assert tuned["data"] == {"batch_size": 8, "augmentation": {"splice": 0.0}}
    assert tuned["model"]["encoder_from"] is None and tuned["model"]["schedule"]["weight_decay"] == 0.5
    assert tuned["trainer"]["default_root_dir"] == "runs/speech/from-one"
    assert tuned["best"] == {"dirpath": None, "monitor": "val/wer"}


@needs_released
def test_options_behind_from_come_after_the_models_own(tmp_path: Path) -> None:
    options = ["--data.root", "mine.csv", "--trainer.max_epochs", "3"]
    args = completed(["fit", f"--from={RELEASED}", *options], "captioning", tmp_path, CaptioningData.OF_ROOT)
    assert args[3:5] == ["--model.checkpoint", str(RELEASED)] and args[5:] == options
    assert "root" not in yaml.safe_load((tmp_path / "config.yaml").read_text())["data"]


def test_a_model_that_was_not_trained_here_learns_gently_and_without_the_head_it_lacks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(3)
    encoder = AudioEncoderConfig(dim=8, layers=1, stride=4)
    model = build_model(encoder, DecoderConfig(dim=8), build_piece_tokenizer(["cab bad"], 0))
    save_checkpoint(tmp_path / "published", model, SearchConfig(beam=3, max_length=5), "speech", {}, "# published\n")
    clips = np.random.default_rng(2).standard_normal((3, 8000)) / 9
    for name, samples in zip("abc", clips, strict=True):
        soundfile.write(tmp_path / f"{name}.wav", samples, 16_000)
    (tmp_path / "t.csv").write_text("file_name;transcription;split\na;cab;train\nb;bad fab;train\nc;cab;val\n")
    start = ["speech", "fit", "--from", str(tmp_path / "published"), "--data.root", str(tmp_path / "t.csv")]
    run = ["--trainer.max_epochs", "1", "--trainer.default_root_dir", str(tmp_path / "run")]
    assert main([*start, *run, "--trainer.enable_progress_bar", "false"]) == 0
    config = yaml.safe_load((tmp_path / "run/config.yaml").read_text())["model"]
    assert (config["schedule"]["lr"], config["loss"]["ctc"], config["loss"]["label_smoothing"]) == (1e-5, 0, 0)
    assert (config["search"]["beam"], config["search"]["max_length"]) == (3, 5)
    again = ["--trainer.default_root_dir", str(tmp_path / "other"), "--model.loss.ctc", "0.5"]
    assert main([*start, *again]) == 2
    assert "published has no CTC head; set it to 0" in capsys.readouterr().err.strip().splitlines()[-1]


def test_from_without_data_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["captioning", "fit", "--from", str(tmp_path)]) == 2
    assert "name its folder or table with --data.root" in capsys.readouterr().err


def test_a_captioner_goes_on_from_a_folder_alone(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path, "a.png", "b.png")
    (tmp_path / "t.csv").write_text("image,text,split\na.png,a zebra runs,train\nb.png,a dog,val\n")
    start = shutil.copytree(tiny_checkpoint, tmp_path / "start")
    quick = ["--trainer.max_epochs", "1", "--trainer.enable_progress_bar", "false", "--data.n_workers", "0"]
    assert main(["captioning", "fit", "--from", "start", "--data.root", "t.csv", *quick]) == 0
    shutil.rmtree(start)  # what was trained stands alone
    assert main(["captioning", "fit", "--ckpt_path", "last", "--trainer.max_epochs", "2"]) == 0
    assert main(["captioning", "export", "--ckpt_path", "last", "--out", "mine"]) == 0
    known = load_checkpoint(tiny_checkpoint)[0].tokenizer.get_vocab()
    assert load_checkpoint(tmp_path / "mine")[0].tokenizer.get_vocab() == known | {"zebra": len(known)}
