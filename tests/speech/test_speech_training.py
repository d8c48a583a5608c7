"""Speech training end to end, on sounds in which every letter is a tone: what is planted must be heard."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml

from multimodal_attn.search.ctc import ctc_loss
from tasks.cli import main
from tasks.speech.datamodule import join_short
from tasks.speech.datasets import Utterance
from tasks.speech.module import SpeechModule
from tasks.training.loader import LengthSampler, length_batches
from tests.conftest import power_cut

RATE = 16_000
TONES = {"a": 300.0, "b": 700.0, "c": 1500.0, "d": 3100.0}


def sing(text: str, rng: np.random.Generator) -> np.ndarray:
    """Every letter is 120 to 200 ms of its tone, every space as much silence."""
    parts = []
    for letter in text:
        n = int(rng.uniform(0.12, 0.2) * RATE)
        tone = np.sin(2 * np.pi * TONES[letter] * np.arange(n) / RATE) if letter != " " else np.zeros(n)
        parts += [tone * np.hanning(n) ** 0.3, np.zeros(int(0.03 * RATE))]
    return 0.3 * np.concatenate(parts) + 0.003 * rng.standard_normal(sum(map(len, parts)))


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tones")
    rng = np.random.default_rng(1)
    with (folder / "table.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "text", "split", "speaker", "seconds"])
        for n in range(151):
            split = "train" if n < 128 else "val" if n < 139 else "test"
            words = ["".join(rng.choice(list("abcd"), rng.integers(1, 4))) for _ in range(rng.integers(1, 4))]
            samples = sing(" ".join(words), rng)
            soundfile.write(folder / f"{n}.wav", samples, RATE)
            table.writerow([f"{n}.wav", " ".join(words), split, f"{split}-singer", len(samples) / RATE])
    return folder


def arguments(folder: Path, run: Path, epochs: int) -> list[str]:
    options = {
        "data.root": f"[{folder / 'table.csv'}]",
        "data.n_pieces": 0,
        "data.batch_seconds": 8,
        "data.augmentation.join": 0,
        "data.augmentation.pause": 0.01,
        "data.augmentation.band": 5,
        "model.encoder.name": "blstm",
        "model.encoder.dim": 48,
        "model.encoder.layers": 1,
        "model.encoder.stride": 4,
        "model.decoder.dim": 48,
        "model.decoder.dropout": 0.0,
        "model.schedule.lr": 0.01,
        "model.schedule.encoder_lr": 0.01,
        "model.schedule.warmup_steps": 20,
        "model.search.beam": 2,
        "model.search.ctc": 0.5,
        "model.search.max_length": 14,
        "trainer.max_epochs": epochs,
        "trainer.check_val_every_n_epoch": epochs,
        "trainer.default_root_dir": run,
        "trainer.enable_progress_bar": "false",
        "trainer.logger": "false",
        "last.every_n_train_steps": 7,
    }
    return [part for key, value in options.items() for part in (f"--{key}", str(value))]


def test_planted_tones_are_learned_and_scored_from_the_checkpoint_alone(tones: Path, tmp_path: Path) -> None:
    assert main(["speech", "fit", *arguments(tones, tmp_path / "run", 22)]) == 0
    assert main(["speech", "test", "--ckpt_path", str(tmp_path / "run" / "checkpoints" / "best.ckpt")]) == 0
    assert len((tmp_path / "run" / "transcripts-test.jsonl").read_text().splitlines()) == 12
    scores = json.loads((tmp_path / "run" / "scores-test.json").read_text())
    assert scores["n"] == 12
    assert scores["cer"] < 0.1


def test_a_resumed_run_ends_like_one_that_was_not_stopped(tones: Path, tmp_path: Path) -> None:
    assert main(["speech", "fit", *arguments(tones, tmp_path / "whole", 2)]) == 0
    with power_cut(SpeechModule, at=7):
        main(["speech", "fit", *arguments(tones, tmp_path / "parts", 2)])
    last = tmp_path / "parts" / "checkpoints" / "last.ckpt"
    assert main(["speech", "fit", "--ckpt_path", str(last)]) == 0
    whole, parts = (
        torch.load(tmp_path / run / "checkpoints" / "last.ckpt", weights_only=True) for run in ("whole", "parts")
    )
    assert whole["global_step"] == parts["global_step"] > 7
    for name, parameter in whole["state_dict"].items():
        assert torch.equal(parameter, parts["state_dict"][name]), name


def test_an_encoder_goes_on_from_another_run_with_other_tokens_and_one_layer_more(
    tones: Path, tmp_path: Path, capsys
) -> None:
    assert main(["speech", "fit", *arguments(tones, tmp_path / "first", 1)]) == 0
    last = tmp_path / "first" / "checkpoints" / "last.ckpt"
    start = ["--model.encoder_from", str(last), "--model.schedule.encoder_lr", "0", "--data.n_pieces", "15"]
    mechanism = "{score: cosine, align: local-p, window: 5, heads: 4}"
    start += ["--model.encoder.layers", "2", "--model.attention", mechanism]
    assert main(["speech", "fit", *arguments(tones, tmp_path / "second", 1), *start]) == 0
    first = torch.load(last, weights_only=True)
    second = torch.load(tmp_path / "second" / "checkpoints" / "last.ckpt", weights_only=True)
    for name, parameter in first["state_dict"].items():
        if name.startswith("model.encoder."):
            assert torch.equal(parameter, second["state_dict"][name]), name
    assert first["tokenizer"] != second["tokenizer"]
    assert second["model_config"]["decoder"]["attention"] == yaml.safe_load(mechanism)
    other = [*start, "--model.encoder.dim", "28"]
    assert main(["speech", "fit", *arguments(tones, tmp_path / "third", 1), *other]) == 2
    assert "built otherwise" in capsys.readouterr().err.strip().splitlines()[-1]


def test_batches_hold_like_lengths_and_no_more_than_asked() -> None:
    lengths = np.array([3.0, 0.5, 9.0, 2.0, 2.5, 0.7, 31.0, 1.0])
    assert max(map(len, length_batches(lengths, 10.0, 2))) == 2
    batches = length_batches(lengths, 10.0)
    assert sorted(np.concatenate(batches).tolist()) == list(range(8))
    for batch in batches:
        assert len(batch) == 1 or lengths[batch].max() * len(batch) <= 10.0
    assert len(batches) == 4


def test_every_epoch_holds_every_example_once_in_another_order() -> None:
    sampler = LengthSampler(np.linspace(1, 9, 37), 20.0, seed=3)
    orders = []
    for sampler.epoch in (1, 2, 1):
        batches = list(sampler)
        assert sorted(index for batch in batches for index, _ in batch) == list(range(37))
        orders.append([[index for index, _ in batch] for batch in batches])
    assert orders[0] == orders[2] != orders[1]


def test_easy_epochs_repeat_short_utterances() -> None:
    lengths = np.linspace(1, 9, 37)
    sampler = LengthSampler(lengths, 20.0, easy_epochs=1, easy=4.0, seed=3)
    batches = [[index for index, _ in batch] for batch in sampler]
    assert len(batches) == len(sampler)
    seen = [index for batch in batches for index in batch]
    assert lengths[seen].max() <= 4.0 and len(seen) > len(set(seen)) > 7


def test_ranks_share_the_batches() -> None:
    ranks = [LengthSampler(np.linspace(1, 9, 37), 20.0, 5, 0, 0.0, 3, rank, 2) for rank in (0, 1)]
    shares = [[tuple(index for index, _ in batch) for batch in sampler] for sampler in ranks]
    assert len(shares[0]) == len(shares[1])
    assert {index for share in shares for batch in share for index in batch} == set(range(37))


def test_ranks_have_like_lengths_at_every_step() -> None:
    lengths = np.linspace(1, 9, 370)
    ranks = [LengthSampler(lengths, 2000.0, 5, 0, 0.0, 3, rank, 2) for rank in (0, 1)]
    longest = np.array([[lengths[[i for i, _ in batch]].max() for batch in sampler] for sampler in ranks])
    assert (longest.max(0) / longest.min(0)).max() < 1.3 and longest.std() > 1


def test_short_clips_of_a_speaker_are_joined() -> None:
    lengths = [0.4, 0.5, 3.0, 0.6, 0.3, 0.9]
    examples = [
        Utterance(Path("x"), "a", str(n), "s" if n < 4 else "t", "", n_seconds, "")
        for n, n_seconds in enumerate(lengths)
    ]
    groups = join_short(examples, 1.0)
    assert (2,) in groups and (0, 1, 3) in groups and (4, 5) in groups
    assert join_short(examples, 0.0) == [(n,) for n in range(6)]


def test_ctc_loss_is_the_sum_over_all_alignments() -> None:
    """Two tokens over three places, enumerated by hand from Graves et al. 2006, eq. 3."""
    torch.manual_seed(0)
    logp = torch.randn(1, 3, 6, dtype=torch.double).log_softmax(-1)
    p = logp[0].exp()
    a, b, blank = 4, 5, 0
    paths = [(a, b, b), (a, a, b), (a, b, blank), (a, blank, b), (blank, a, b)]
    total = sum(p[0, x] * p[1, y] * p[2, z] for x, y, z in paths)
    loss = ctc_loss(logp, torch.ones(1, 3, dtype=torch.bool), torch.tensor([[a, b, 2, 0]]))
    assert torch.isclose(loss, -total.log() / 2)
