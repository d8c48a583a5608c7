"""Commands that use a model know nothing of training, and import no more than their sense needs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tasks.cli import COMMANDS
from tests.conftest import ROOT

MODEL = {"torch", "numpy", "tokenizers", "PIL", "multimodal_attn.predictor"}
TRAINING = {"pytorch_lightning", "lightning", "torchmetrics", "jsonargparse", "tasks.training.module", "gradio"}
RUN = "import sys\nfrom tasks.cli import main\ntry: main(sys.argv[1:])\nfinally: print(*sys.modules, file=sys.stderr)"


def run(*argv: str) -> tuple[str, set[str]]:
    """What a command says, and the modules that it imports."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", RUN, *argv], env=environment, capture_output=True, text=True)
    return done.stdout, set(done.stderr.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_explains_itself_without_any_model(command: str) -> None:
    said, loaded = run(command, "--help")
    assert said.startswith(f"usage: multimodal-attn {command}")
    assert (MODEL | TRAINING) & loaded == set()


def test_a_picture_is_captioned_without_training_or_sounds(tiny_checkpoint: Path, tmp_path: Path) -> None:
    Image.new("RGB", (41, 31), "red").save(tmp_path / "one.png")
    said, loaded = run("caption", str(tmp_path / "one.png"), "--checkpoint", str(tiny_checkpoint))
    assert '"text"' in said
    assert loaded >= MODEL and (TRAINING | {"torchaudio"}) & loaded == set()
