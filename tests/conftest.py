"""What the tests share: where the real data lies, the skip for machines without it, and a tiny model."""

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# here and in processes that are started: threads that wait for each other crawl on a busy machine
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import pytorch_lightning as pl
import torch

from multimodal_attn.checkpoint import save_checkpoint
from multimodal_attn.decoders import DecoderConfig
from multimodal_attn.model import build_model
from multimodal_attn.search import SearchConfig
from multimodal_attn.senses.picture.encoder import ImageEncoderConfig
from multimodal_attn.tokens import build_word_tokenizer
from tests.fake_captioner import FakeBatchCaptioner
from tests.fake_transcriber import FakeTranscriber

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
FLICKR8K = SHARED / "data" / "flickr8k"
MOBILENET = SHARED / "weights" / "mobilenet_v2-imagenet1k.safetensors"
RELEASED = ROOT / "checkpoints" / "captioning-flickr8k"

# Processes within milliseconds, forked from one without threads: what the threads of a browser or of a server hold at a
# fork stays held in it for ever.
CLEAN = multiprocessing.get_context("forkserver")
CLEAN.set_forkserver_preload(["tests.conftest", "tasks.commands.batch", "tasks.training.run", "tasks.speech.module"])

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the real data and weights in ../shared")
needs_released = pytest.mark.skipif(not RELEASED.is_dir(), reason="needs checkpoints/captioning-flickr8k")


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder with random parameters: it opens and runs like a real one, in a hundredth of the time."""
    torch.manual_seed(7)
    tokenizer = build_word_tokenizer(["a dog runs over green grass", "two children play in the snow"], 1)
    encoder = ImageEncoderConfig(name="mobilenet_v3_small", size=64)
    model = build_model(encoder, DecoderConfig(dim=16), tokenizer)
    folder = tmp_path_factory.mktemp("checkpoints") / "tiny"
    save_checkpoint(folder, model, SearchConfig(beam=3, max_length=7), "captioning", {"metrics": {}}, "# tiny\n")
    return folder


@pytest.fixture
def captioner(monkeypatch: pytest.MonkeyPatch) -> FakeBatchCaptioner:
    fake = FakeBatchCaptioner()
    monkeypatch.setattr("tasks.commands.batch.load", lambda path, device: fake)
    return fake


@pytest.fixture
def transcriber(monkeypatch: pytest.MonkeyPatch) -> FakeTranscriber:
    fake = FakeTranscriber()
    monkeypatch.setattr("tasks.commands.batch.load", lambda path, device: fake)
    return fake


@contextmanager
def power_cut(module: type[pl.LightningModule], at: int) -> Iterator[None]:
    """Training in this block fails at an optimiser step, in a way that nothing can have prepared for."""
    training_step = module.training_step

    def step(self: pl.LightningModule, *args: object) -> torch.Tensor:
        if self.global_step == at:
            raise RuntimeError("power cut")
        return training_step(self, *args)

    with pytest.MonkeyPatch.context() as broken, pytest.raises(RuntimeError, match="power cut"):
        broken.setattr(module, "training_step", step)
        yield
