"""The greedy text of whisper-tiny.en is that of openai-whisper with the published parameters."""

import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from multimodal_attn.predictor import load
from multimodal_attn.senses.sound.media import read_sound
from tasks.speech.datasets import load_utterances
from tests.conftest import ROOT, SHARED, needs_shared

N_CLIPS, N_EQUAL = 40, 39


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory):
    whisper = pytest.importorskip("whisper", reason="openai-whisper is not installed")
    folder = tmp_path_factory.mktemp("published")
    command = [sys.executable, SHARED / "tools" / "whisper_weights.py", "tiny.en", folder]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("the published parameters cannot be fetched")
    sizes = whisper.model.ModelDimensions(80, 1500, 384, 6, 4, 51864, 448, 384, 6, 4)
    model = whisper.model.Whisper(sizes).eval()
    state = load_file(Path(folder) / "whisper-tiny.en.safetensors")
    model.load_state_dict({name: tensor.float() for name, tensor in state.items()}, strict=False)
    options = whisper.DecodingOptions(language="en", without_timestamps=True, fp16=False)

    def text_of(samples) -> str:
        return whisper.decode(model, whisper.log_mel_spectrogram(whisper.pad_or_trim(samples)), options).text

    return text_of


@pytest.mark.slow
@needs_shared
def test_greedy_text_is_the_references(reference) -> None:
    examples = [e for e in load_utterances(SHARED / "data" / "speech" / "manifest.tsv", "train") if e.set != "fsdd"]
    ours = load(ROOT / "checkpoints" / "whisper-tiny.en")
    equal = 0
    for example in examples[:: len(examples) // N_CLIPS][:N_CLIPS]:
        sound = read_sound(example.path)
        trace = ours(sound, beam=1, no_repeat=0, silence=1.0)
        equal += trace.text == reference(sound.samples)
    assert equal >= N_EQUAL
