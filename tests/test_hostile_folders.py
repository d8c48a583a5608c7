"""Checkpoint folders that somebody made to harm, or that were damaged: one line each, soon, and in little memory.

Folders are opened in child processes, each under a limit on memory and CPU time, several per child, since a start takes
seconds.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from multimodal_attn.checkpoint import CONFIG, PARAMETERS, TOKENIZER, sha256
from tests.conftest import ROOT

SECONDS, MEMORY = 5.0, 1 << 30  # of CPU for one folder, and bytes at the peak
N_CHILDREN = 2
CHILD = """
import json, resource, sys, time
from pathlib import Path
import torch
from PIL import Image
from multimodal_attn.errors import CheckpointError
from multimodal_attn.predictor import load
torch.set_num_threads(1)
grey = Image.new("RGB", (64, 64), (90, 90, 90))
load(sys.argv[1])(grey)  # what a start costs is not a folder's fault
for folder in sys.argv[2:]:
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + 15, -1))
    started, error, kind = time.process_time(), "", "used"
    try:
        predictor = load(folder)
        predictor(grey)
    except Exception as caught:
        error, kind = str(caught), type(caught).__name__
    # not ru_maxrss, which a program that was started keeps from the one that started it
    peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
    print(json.dumps([Path(folder).name, kind, error, time.process_time() - started, peak]), flush=True)
"""

Change = Callable[[Path], None]


def configured(path: str, value: Any) -> Change:
    """config.json with a value at a path such as `encoder.dim`."""

    def change(folder: Path) -> None:
        config = json.loads((folder / CONFIG).read_text())
        part = config
        *parents, last = path.split(".")
        for name in parents:
            part = part[name] if isinstance(part.get(name), dict) else part.setdefault(name, {})
        part[last] = value
        (folder / CONFIG).write_text(json.dumps(config))

    return change


def without(name: str) -> Change:
    def change(folder: Path) -> None:
        config = json.loads((folder / CONFIG).read_text())
        del config[name]
        (folder / CONFIG).write_text(json.dumps(config))

    return change


def written(name: str, data: bytes) -> Change:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(data)

    return change


def tokenized(edit: Callable[[dict], None]) -> Change:
    """tokenizer.json after `edit`."""

    def change(folder: Path) -> None:
        data = json.loads((folder / TOKENIZER).read_text())
        edit(data)
        (folder / TOKENIZER).write_text(json.dumps(data))

    return change


def filled(edit: Callable[[dict[str, torch.Tensor]], None]) -> Change:
    """model.safetensors after `edit`."""

    def change(folder: Path) -> None:
        state = load_file(folder / PARAMETERS)
        edit(state)
        save_file(state, folder / PARAMETERS)

    return change


def replaced(name: str, make: Callable[[Path], None]) -> Change:
    """Something else in the place of a file."""

    def change(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return change


def sparse(size: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(size)

    return make


def headed(header: dict[str, Any], data: bytes = b"") -> Change:
    text = json.dumps(header).encode()
    return written(PARAMETERS, len(text).to_bytes(8, "little") + text + data)


def doubled(folder: Path) -> None:
    text = (folder / CONFIG).read_text()
    (folder / CONFIG).write_text(text.replace('"encoder": {', '"encoder": {}, "encoder": {', 1))


def cut(name: str) -> Change:
    def change(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])

    return change


def nested(depth: int) -> list:
    return [nested(depth - 1)] if depth else []


def first(value: float) -> Callable[[dict[str, torch.Tensor]], None]:
    def edit(state: dict[str, torch.Tensor]) -> None:
        state["decoder.embedding.weight"].view(-1)[3] = value

    return edit


SIZES = [(path, 10**n) for path in ("encoder.size", "encoder.dim", "decoder.dim", "decoder.layers") for n in (5, 9, 18)]
SIZES += [("encoder.self_attention", 10**n) for n in (3, 9)] + [("decoder.dim", 10**6), ("decoder.dim", 8191)]
WORDS = {"words": 10**9, "pairs": 10**9, "triples": 10**9, "nodes": 10**9, "edges": 10**9}
SOUND = {"sense": "sound", "name": "conformer"}
VALUES = (0, -1, "x", None, {}, [], float("nan"), float("inf"), 1e308, True, 10**400, "x" * 10**6)
TYPED = ("encoder.size", "encoder.name", "decoder.dim", "decoder.form", "search.beam")
WHOLES = ("encoder", "decoder", "search", "sha256", "format", "task", "language", "words", "ctc")

HOSTILE: dict[str, Change] = {
    **{f"{path}={value:.0e}": configured(path, value) for path, value in SIZES},
    **{f"{path}={value!r:.6}": configured(path, value) for path in TYPED for value in VALUES if value is not None},
    **{f"{path}={value!r}": configured(path, value) for path in WHOLES for value in (3, [], [[]])},
    **{f"length_penalty={value!r:.6}": configured("search.length_penalty", value) for value in VALUES[2:]},
    **{f"no {name}": without(name) for name in ("encoder", "decoder", "search", "sha256", "format", "task")},
    "conformer layers": configured("encoder", SOUND | {"layers": 10**9}),
    "3000 layers": configured("encoder", SOUND | {"layers": 3000}),
    "64 wide layers": configured("encoder", SOUND | {"layers": 64, "dim": 8192}),
    "channels": configured("encoder", SOUND | {"channels": 10**9}),
    "kernel": configured("encoder", SOUND | {"kernel": 10**9 + 1}),
    "another sense": configured("encoder.sense", "smell"),
    "sense []": configured("encoder.sense", []),
    "weights from a file": configured("encoder.weights", "/etc/hostname"),
    "weights from the net": configured("encoder.weights", "DEFAULT"),
    "a task of the other sense": configured("task", "speech"),
    "attention null": configured("decoder.attention", None),
    "attention list": configured("decoder.attention", [1]),
    "attention nested": configured("decoder.attention", {"align": {"align": []}}),
    "heads": configured("decoder.attention.heads", 10**9),
    "heads 0": configured("decoder.attention.heads", 0),
    "chunk": configured("decoder.attention", {"align": "mocha", "chunk": 10**9}),
    "filters": configured("decoder.attention", {"score": "location", "filters": 10**9}),
    "dropout": configured("decoder.dropout", 1e308),
    "max_length": configured("search.max_length", 10**9),
    "speeds": configured("search.speeds", [1.0] * 10**5),
    "no speeds": configured("search.speeds", []),
    "speeds of a picture": configured("search.speeds", [0.9, 1.0]),
    "ctc without a head": configured("search.ctc", 0.5),
    "words without words": configured("search.words", 0.5),
    "language": configured("language", {"dim": 10**9}),
    "language layers": configured("language", {"layers": 10**9}),
    "language without parameters": configured("language", {"dim": 8192, "layers": 64}),
    "word tables": configured("words", WORDS),
    "a field that is not known": configured("decoder." + "x" * 10**5, 1),
    "hash null": configured("sha256", {PARAMETERS: None, TOKENIZER: None}),
    "hash of another file": configured("sha256", {PARAMETERS: "0" * 64, "../../etc/passwd": "0" * 64}),
    "twice the encoder": doubled,
    "deep": written(CONFIG, b"[" * 10**6),
    "deep objects": written(CONFIG, b'{"a":' * 10**5),
    "config empty": written(CONFIG, b""),
    "config binary": written(CONFIG, bytes(range(256))),
    "config list": written(CONFIG, b"[]"),
    "config NaN": written(CONFIG, b"NaN"),
    "config cut": cut(CONFIG),
    **{
        f"{name} {kind}": replaced(name, make)
        for name in (CONFIG, TOKENIZER, PARAMETERS)
        for kind, make in {
            "fifo": os.mkfifo,
            "zero": lambda path: path.symlink_to("/dev/zero"),
            "folder": Path.mkdir,
            "nowhere": lambda path: path.symlink_to("nowhere"),
            "itself": lambda path: path.symlink_to(path.name),
            "300 MB": sparse(300_000_000),
            "1 TB": sparse(10**12),
        }.items()
    },
    **{
        f"tokenizer {name}": written(TOKENIZER, data)
        for name, data in {
            "empty": b"",
            "{}": b"{}",
            "[]": b"[]",
            "null": b"null",
            "binary": b"\xff\x00\xfe",
            "deep": b'{"model": ' * 10**5,
        }.items()
    },
    "tokenizer cut": cut(TOKENIZER),
    "tokenizer without model": tokenized(lambda data: data.pop("model")),
    "tokenizer regex": tokenized(
        lambda data: data["normalizer"]["normalizers"].append(
            {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""}
        )
    ),
    "tokenizer of nested parts": tokenized(lambda data: data.update(normalizer=nested(700))),
    "tokenizer bad regex": tokenized(
        lambda data: data["normalizer"]["normalizers"][2].update(pattern={"Regex": "((((a{9,999}){9,999}){9,999}"})
    ),
    "tokenizer huge id": tokenized(lambda data: data["model"]["vocab"].update(a=10**9)),
    "tokenizer negative id": tokenized(lambda data: data["model"]["vocab"].update(a=-1)),
    "tokenizer one id twice": tokenized(lambda data: data["model"]["vocab"].update(a=5)),
    "tokenizer text as id": tokenized(lambda data: data["model"]["vocab"].update(a="5")),
    "tokenizer vocab list": tokenized(lambda data: data["model"].update(vocab=[])),
    "tokenizer no vocab": tokenized(lambda data: data["model"].update(vocab={})),
    "tokenizer unigram": tokenized(lambda data: data["model"].update(type="Unigram", vocab=[["a", 0.0]])),
    "tokenizer charsmap": tokenized(
        lambda data: data.update(normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"})
    ),
    "tokenizer added": tokenized(
        lambda data: data["added_tokens"].append(
            {"id": 10**6, "content": "q", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
            | {"special": True}
        )
    ),
    "parameters NaN": filled(first(float("nan"))),
    "parameters infinite": filled(first(float("-inf"))),
    "parameters missing": filled(lambda state: state.pop("decoder.bias")),
    "parameters more": filled(lambda state: state.update(more=torch.zeros(2))),
    "parameters of another shape": filled(lambda state: state.update({"decoder.bias": torch.zeros(3)})),
    "parameters of another type": filled(
        lambda state: state.update({"decoder.bias": state["decoder.bias"].to(torch.uint8)})
    ),
    "parameters empty": written(PARAMETERS, b""),
    "parameters short": written(PARAMETERS, b"\x01"),
    "parameters cut": cut(PARAMETERS),
    "parameters a pickle": written(PARAMETERS, b"\x80\x04\x95\x1f\x00\x00\x00\x00\x00\x00\x00"),
    "header of 2^60": written(PARAMETERS, (2**60).to_bytes(8, "little") + b"{}"),
    "header of 90 MB": written(PARAMETERS, (90_000_000).to_bytes(8, "little") + b" " * 90_000_000),
    "header lies": headed({"decoder.bias": {"dtype": "F16", "shape": [10**12], "data_offsets": [0, 2 * 10**12]}}),
    "header overlaps": headed(
        {name: {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]} for name in "ab"}, bytes(4)
    ),
    "header negative": headed({"a": {"dtype": "F16", "shape": [-1], "data_offsets": [0, 4]}}, bytes(4)),
}
HARMLESS: dict[str, Change] = {
    "as it was": lambda folder: None,
    "a beam of 1": configured("search.beam", 1),
    "deep where nobody looks": configured("metrics", {"a": [[[[[{}]]]]]}),
    "metrics that are none": configured("metrics", "x"),
    "whole numbers for real ones": configured("search.length_penalty", 1),
    "a task that the library does not know": configured("task", "x"),
    "no language": configured("language", None),
}


@pytest.fixture(scope="module")
def opened(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list]:
    """By the number of a folder: what came of it, the line, seconds of CPU, and the child's peak so far."""
    root = tmp_path_factory.mktemp("hostile")
    folders = []
    for number, change in enumerate((HOSTILE | HARMLESS).values()):
        folder = Path(shutil.copytree(tiny_checkpoint, root / str(number)))
        change(folder)
        seal(folder)
        folders.append(folder)
    rows = [row for share in range(N_CHILDREN) for row in open_all(tiny_checkpoint, folders[share::N_CHILDREN])]
    for folder in folders:
        shutil.rmtree(folder)
    return {row[0]: row[1:] for row in rows}


def seal(folder: Path) -> None:
    """Make the hashes right, since whoever writes a folder can; what else config.json says stays as it is."""
    if not all(is_small(folder / name) for name in (CONFIG, TOKENIZER, PARAMETERS)):
        return
    text = (folder / CONFIG).read_bytes()
    for name in (TOKENIZER, PARAMETERS):
        text = re.sub(rb'("%b": )"[0-9a-f]{64}"' % name.encode(), rb'\1"%b"' % sha256(folder / name).encode(), text)
    if b"../../etc/passwd" not in text:
        (folder / CONFIG).write_bytes(text)


def is_small(path: Path) -> bool:
    return path.is_file() and path.stat().st_size < 10**8


def open_all(good: Path, folders: list[Path]) -> list[list]:
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    args = [sys.executable, "-c", CHILD, str(good), *map(str, folders)]
    done = subprocess.run(args, env=env, text=True, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stdout[-300:] + done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_there_are_enough_of_them() -> None:
    assert len(HOSTILE) >= 95


@pytest.mark.parametrize("number", range(len(HOSTILE)), ids=list(HOSTILE))
def test_a_hostile_folder_is_refused_in_one_line_soon_and_in_little_memory(opened: dict, number: int) -> None:
    kind, line, seconds, peak = opened[str(number)]
    assert kind == "CheckpointError", line
    assert "\n" not in line and 10 < len(line) < 1000
    assert seconds < SECONDS and peak < MEMORY


@pytest.mark.parametrize("number", range(len(HOSTILE), len(HOSTILE | HARMLESS)), ids=list(HARMLESS))
def test_an_odd_but_harmless_folder_is_used(opened: dict, number: int) -> None:
    assert opened[str(number)][:2] == ["used", ""]
