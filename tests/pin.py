"""What must not change by itself, written down: `python -m tests.pin [NAME...]` writes tests/pinned/NAME.json.

    parameters   names and shapes of the parameters of every model in checkpoints/
    geometries   where their places lie, for inputs of odd sizes
    texts        hashes of what --help and --print_config say
    rows         what the released models say of twenty real files each, and where they look (needs ../shared)

Whoever changes an option, or a text that --help shows, writes `texts` anew in the same commit. The others stay as they
are through all changes of the code; they change with the models in checkpoints/.
"""

import argparse
import hashlib
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

from multimodal_attn.checkpoint import CONFIG, load_checkpoint
from multimodal_attn.predictor import Predictor, load
from multimodal_attn.trace import AttentionTrace
from tasks.cli import TASKS, main
from tests.conftest import FLICKR8K, ROOT, SHARED

PINNED = ROOT / "tests" / "pinned"
CHECKPOINTS = sorted(path.parent for path in (ROOT / "checkpoints").glob(f"*/{CONFIG}"))
PICTURES = FLICKR8K / "Images"
SOUNDS = SHARED / "data" / "speech" / "ls"
N_FILES = 20
WIDE = "10000"  # columns, so that no line breaks at the name of the folder that this lies in


def parameters() -> dict[str, Any]:
    models = {folder.name: load_checkpoint(folder)[0] for folder in CHECKPOINTS}
    return {
        name: {key: list(tensor.shape) for key, tensor in model.state_dict().items()} for name, model in models.items()
    }


def geometries() -> dict[str, Any]:
    """Of inputs whose sizes have no common factor with anything."""
    sizes = {"picture": [(301, 173), (17, 997)], "sound": [(13, 0.0), (70_001, 7.25)]}
    encoders = {folder.name: load_checkpoint(folder)[0].encoder for folder in CHECKPOINTS}
    return {
        name: [encoder.geometry(*size).to_dict() for size in sizes[encoder.sense]]
        for name, encoder in encoders.items()
        if encoder.sense in sizes
    }


def texts() -> dict[str, Any]:
    """By the command; those of another Python would differ by how argparse lays out its lines."""
    commands = [
        ["--help"],
        ["caption", "--help"],
        ["transcribe", "--help"],
        ["attention", "list"],
        ["compare", "--help"],
    ]
    for name, task in TASKS.items():
        commands += [[name, subcommand, "--help"] for subcommand in task.subcommands]
        commands += [[name, "fit", "--print_config"]]
    return {"python": sys.version_info[:2], **{" ".join(command): text_hash(command) for command in commands}}


def text_hash(command: Sequence[str]) -> str:
    with redirect_stdout(io.StringIO()) as said, redirect_stderr(io.StringIO()), suppress(SystemExit):
        main(list(command))
    return hashlib.sha256(said.getvalue().replace(f"{ROOT}/", "").encode()).hexdigest()[:16]


def rows() -> dict[str, Any]:
    files = {"picture": sorted(PICTURES.glob("*.jpg")), "sound": sorted(SOUNDS.glob("*.opus"))}
    predictors = [load(folder) for folder in CHECKPOINTS]
    return {
        predictor.name: said_of(predictor, files[predictor.sense][:N_FILES])
        for predictor in predictors
        if predictor.sense in files
    }


def said_of(predictor: Predictor, files: Sequence[Path]) -> dict[str, Any]:
    return {path.name: summary(trace) for path, trace in predictor.stream(files)}


def summary(trace: AttentionTrace) -> dict[str, Any]:
    """text, score, and the strongest place of every token."""
    strongest = trace.weights.mean(1).argmax(1).tolist()
    return {"text": trace.text, "score": round(trace.score, 3), "strongest": strongest}


PINS: dict[str, Callable[[], dict[str, Any]]] = {
    "parameters": parameters,
    "geometries": geometries,
    "texts": texts,
    "rows": rows,
}


def path_of(name: str) -> Path:
    return PINNED / f"{name}.json"


def write(names: Sequence[str]) -> None:
    os.environ["COLUMNS"] = WIDE
    for name in names:
        entries = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in PINS[name]().items()]
        path_of(name).write_text("{\n" + ",\n".join(entries) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m tests.pin", description="Write down what must not change by itself.")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(PINS)} (default: all)")
    write(parser.parse_args().names or list(PINS))
