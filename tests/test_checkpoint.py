"""The checkpoint folder: what goes in comes out, and nothing damaged or foreign opens."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from multimodal_attn.checkpoint import CONFIG, PARAMETERS, TOKENIZER, load_checkpoint, save_checkpoint, sha256
from multimodal_attn.errors import CheckpointError
from tests.conftest import RELEASED, needs_released


@pytest.fixture
def folder(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder)
    line = str(caught.value)
    assert "\n" not in line and str(folder) in line
    return line


def edit(folder: Path, change: dict) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | change))


def test_saving_and_loading_gives_the_same_model(folder: Path, tmp_path: Path) -> None:
    model, search, config = load_checkpoint(folder)
    save_checkpoint(tmp_path / "again", model, search, "captioning", {}, "")
    again, search_again, _ = load_checkpoint(tmp_path / "again")
    assert search_again == search and again.tokenizer.to_str() == model.tokenizer.to_str()
    assert config["task"] == "captioning"
    for name, parameter in model.state_dict().items():
        assert torch.equal(parameter, again.state_dict()[name]), name


def test_a_missing_folder_an_empty_folder_and_a_file_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "none", tmp_path / "empty", folder / PARAMETERS):
        refusal(path)


@pytest.mark.parametrize("name", [PARAMETERS, TOKENIZER])
def test_one_flipped_bit_is_noticed(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    assert "sha256" in refusal(folder)


@pytest.mark.parametrize("name", [CONFIG, PARAMETERS, TOKENIZER])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert name in refusal(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other/9"},
        {"encoder": {"colour": "red"}},
        {"search": {"beam": 0}},
        {"sha256": {}},
        {"decoder": None},
        {"encoder": 3},
        {"encoder": {"sense": []}},
        {"words": "x"},
    ],
)
def test_a_config_that_does_not_fit_is_refused(folder: Path, change: dict) -> None:
    edit(folder, change)
    refusal(folder)


def test_a_config_that_is_not_json_is_refused(folder: Path) -> None:
    (folder / CONFIG).write_text("{")
    assert "JSON" in refusal(folder)


def test_parameters_of_another_shape_are_refused_before_they_are_read(folder: Path) -> None:
    state = load_file(folder / PARAMETERS)
    state["decoder.bias"] = torch.zeros(3)
    save_file(state, folder / PARAMETERS)
    edit(folder, {"sha256": {name: sha256(folder / name) for name in (PARAMETERS, TOKENIZER)}})
    assert "does not fit" in refusal(folder)


def seal(folder: Path) -> None:
    edit(folder, {"sha256": {name: sha256(folder / name) for name in (PARAMETERS, TOKENIZER)}})


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff\x00", b'{"version": "1.0"'])
def test_what_is_no_tokenizer_is_refused(folder: Path, data: bytes) -> None:
    (folder / TOKENIZER).write_bytes(data)
    seal(folder)
    assert TOKENIZER in refusal(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_parameters_that_are_not_finite_are_refused(folder: Path, value: float) -> None:
    state = load_file(folder / PARAMETERS)
    next(tensor for tensor in state.values() if tensor.is_floating_point()).view(-1)[0] = value
    save_file(state, folder / PARAMETERS)
    seal(folder)
    assert "NaN or infinity" in refusal(folder)


@pytest.mark.parametrize("name", [CONFIG, PARAMETERS, TOKENIZER])
def test_pipes_devices_and_huge_files_are_refused_unopened(folder: Path, name: str) -> None:
    path = folder / name
    path.unlink()
    os.mkfifo(path)
    assert "regular" in refusal(folder)
    path.unlink()
    path.symlink_to("/dev/zero")
    assert "regular" in refusal(folder)
    path.unlink()
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert "allowed" in refusal(folder)


@pytest.mark.parametrize("sha", [None, [], 0])
def test_hashes_of_another_type_are_refused(folder: Path, sha: object) -> None:
    edit(folder, {"sha256": sha})
    refusal(folder)


def test_a_config_nested_too_deep_is_refused(folder: Path) -> None:
    (folder / CONFIG).write_text("[" * 10**6)
    assert "JSON" in refusal(folder)


@needs_released
def test_the_released_captioner_keeps_its_promises() -> None:
    size = sum(path.stat().st_size for path in RELEASED.iterdir())
    model, _, config = load_checkpoint(RELEASED)
    assert size <= 30e6
    assert sum(p.numel() for p in model.encoder.parameters()) <= 4e6
    assert config["metrics"]["bleu4"] > 0.2
    card = (RELEASED / "README.md").read_text()
    for word in ("Flickr8k", "research", "BLEU-4", "CIDEr", "Limits"):
        assert word in card


@pytest.mark.parametrize("name", ["x" * 999, "a\nb", "a\0b", "\ud800"])
def test_a_folder_that_cannot_be_there_is_one_line(name: str) -> None:
    with pytest.raises(CheckpointError, match=r"\Ano checkpoint folder [^\n]*\Z"):
        load_checkpoint(Path(name))
