"""The attention core is of use to any PyTorch project: it imports with torch alone, and trains there."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OTHERS = """
    PIL gradio huggingface_hub jiwer jsonargparse matplotlib numpy pytorch_lightning lightning safetensors scipy
    soundfile soxr tokenizers torchaudio torchmetrics torchvision yaml
"""
PROGRAM = f"""
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {set(OTHERS.split())!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
import torch
from multimodal_attn.attention import ALIGNMENTS, SCORES, Memory, build_attention

for score in SCORES:
    for align in ALIGNMENTS:
        attention = build_attention({{"score": score, "align": align, "heads": 2, "dim": 4}}, 3, 6)
        memory = Memory(torch.ones(1, 5, 6, requires_grad=True))
        context, weights = attention.unroll(torch.ones(1, 1, 2, 3), attention.project(memory))
        context.sum().backward()
print(len(SCORES) * len(ALIGNMENTS), *{{name.split(".")[0] for name in sys.modules}})
"""


def test_every_mechanism_is_built_and_trained_with_torch_alone() -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    count, *loaded = done.stdout.split()
    assert int(count) >= 9 * 13 and "torch" in loaded
    assert not set(OTHERS.split()) & set(loaded)
