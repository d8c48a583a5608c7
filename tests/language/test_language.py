"""The language model: its steps against its fused form, its data, and its training by the command line's own entry."""

import csv
import math
from pathlib import Path

import pytest
import torch

from multimodal_attn.errors import CheckpointError, ConfigError, DataError, UserError
from multimodal_attn.search.language_model import LanguageModel, LanguageModelConfig
from multimodal_attn.tokens import END, PAD, START, build_piece_tokenizer, build_word_tokenizer, ids_to_text
from tasks.language.datamodule import (
    TextData,
    TextDataset,
    collate,
    is_held_out,
    load_tokenizer,
    read_sentences,
)
from tasks.language.module import LanguageModule, load_language_model
from tests.conftest import SHARED, needs_shared, power_cut

TEXTS = [f"{who} {does} {what}" for who in ("a dog", "the cat", "one child") for does in ("sees", "has", "eats")
         for what in ("a red ball", "green grass", "the old house", "two apples", "nothing")]  # fmt: skip


def build(layers: int = 2, dropout: float = 0.3) -> LanguageModel:
    torch.manual_seed(3)
    return LanguageModel(LanguageModelConfig(dim=7, layers=layers, dropout=dropout), 13)


# The model


@pytest.mark.parametrize("layers", [1, 2, 3])
@torch.no_grad()
def test_steps_say_what_the_fused_form_says(layers: int) -> None:
    model = build(layers).eval()
    tokens = torch.randint(3, 13, (3, 5, 11))  # (B, M, T)
    state, steps = model.start(3, 5), []
    for token in tokens.unbind(-1):
        logits, state = model.step(token, state)
        steps.append(logits)
    fused = model.logits(tokens.flatten(0, 1)).unflatten(0, (3, 5))
    torch.testing.assert_close(torch.stack(steps, 2), fused, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_loss_is_the_mean_over_real_tokens_and_sees_no_padding() -> None:
    model = build().eval()
    sentences = [[5, 9, 4, END], [7, END], [11, 12, 5, 5, 6, END]]
    batch = collate([(torch.tensor(ids).numpy(), 1) for ids in sentences])
    assert batch.tokens[1].tolist() == [7, END, PAD, PAD, PAD, PAD]
    nats = []
    for ids in sentences:
        logp = model.logits(torch.tensor([[START, *ids[:-1]]])).double().log_softmax(-1)[0]
        nats += [-float(logp[t, token]) for t, token in enumerate(ids)]
    assert float(model.loss(batch.tokens)) == pytest.approx(sum(nats) / 12, rel=1e-5)


def test_dropout_is_for_training_only() -> None:
    model, tokens = build(dropout=0.5), torch.randint(3, 13, (2, 5))
    assert not torch.equal(model.logits(tokens), model.logits(tokens))
    assert torch.equal(model.eval().logits(tokens), model.logits(tokens))


@pytest.mark.parametrize("options", [{"dim": 0}, {"layers": 0}, {"dropout": 1.0}], ids=str)
def test_impossible_sizes_are_refused(options: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        LanguageModelConfig(**options)


# Its text


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """Two text files, a manifest, and a tokenizer of single letters."""
    (tmp_path / "one.txt").write_text("\n".join(TEXTS[::2]) + "\n\n")
    (tmp_path / "two.txt").write_text("\n".join(TEXTS[1::2]))
    rows = [("train", "ann", "x", "said   once"), ("dev", "bob", "x", "never read"), ("train", "cid", "y", "seven")]
    lines = "".join("\t".join(row) + "\n" for row in [("split", "speaker", "set", "text"), *rows])
    (tmp_path / "manifest.tsv").write_text(lines)
    build_piece_tokenizer([*TEXTS, "qu'jvwxyzkmp said once seven"], 0).save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_sentences_come_from_all_files_and_from_training_rows_only(texts: Path) -> None:
    found = list(read_sentences([f"{texts}/*.txt"], [f"{texts}/manifest.tsv"]))
    assert [sentence.text for sentence in found] == [*TEXTS[::2], *TEXTS[1::2], "said once", "seven"]
    assert [sentence.where for sentence in found[:2]] == [f"{texts}/one.txt:1", f"{texts}/one.txt:2"]
    assert found[-1].where == f"{texts}/manifest.tsv:4"
    assert [sentence.text for sentence in read_sentences([], [f"{texts}/manifest.tsv"], ["x"])] == ["said once"]


def test_a_sentence_is_on_the_same_side_wherever_it_stands() -> None:
    texts = [f"sentence number {n}" for n in range(2003)]
    held_out = {text for text in texts if is_held_out(text, 0.1)}
    assert 150 < len(held_out) < 250
    assert held_out == {text for text in reversed(texts) if is_held_out(text, 0.1)}
    assert held_out < {text for text in texts if is_held_out(text, 0.2)}


@pytest.mark.parametrize(
    "content, problem",
    [
        (b"good line\n\xff\xfe bad\n", "not UTF-8"),
        (b"good line\n--- ...\n", "bad.txt:2: the tokenizer finds no word"),
        ("good line\nfine\n\n\u4f60\u597d\n".encode(), "bad.txt:4: the tokenizer knows no word"),
    ],
)
def test_a_mistake_in_the_text_is_one_line_that_names_file_and_row(
    content: bytes, problem: str, tmp_path: Path
) -> None:
    (tmp_path / "bad.txt").write_bytes(content)
    tokenizer = build_word_tokenizer(["good line fine"], 1)
    with pytest.raises(DataError) as caught:
        TextDataset(read_sentences([f"{tmp_path}/bad.txt"]), tokenizer, 100)
    assert problem in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("header", ["set\tsentence\n", "split\tsentence\n"])
def test_a_manifest_without_its_columns_is_refused(header: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.tsv").write_text(header + "train\tyes\n")
    with pytest.raises(DataError, match="manifest.tsv:1"):
        list(read_sentences([], [f"{tmp_path}/manifest.tsv"]))


def test_a_pattern_without_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\*\.txt"):
        list(read_sentences([f"{tmp_path}/none*.txt"]))


def test_too_little_text_for_both_sides_is_said(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("only one\n")
    with pytest.raises(DataError, match="no sentence for"):
        TextData("tokenizer.json", [f"{tmp_path}/short.txt"]).setup("fit")


def test_the_tokenizer_is_found_in_a_folder_a_file_and_a_checkpoint(texts: Path) -> None:
    text = (texts / "tokenizer.json").read_text()
    torch.save({"tokenizer": text}, texts / "speech.ckpt")
    for path in (texts, texts / "tokenizer.json", texts / "speech.ckpt"):
        assert load_tokenizer(path).get_vocab() == load_tokenizer(texts).get_vocab()
    torch.save({"other": 1}, texts / "other.ckpt")
    (texts / "broken.json").write_text(text[:100])
    for name in ("other.ckpt", "broken.json", "missing.json", "missing.ckpt"):
        with pytest.raises(CheckpointError, match=name) as caught:
            load_tokenizer(texts / name)
        assert "\n" not in str(caught.value)


@needs_shared
def test_the_real_text_is_read_without_a_test_sentence_in_it() -> None:
    files, manifest = [str(SHARED / "data/text/sentences.txt")], str(SHARED / "data/speech/manifest.tsv")
    found = list(read_sentences(files, [manifest], ["ls", "cv", "so762"]))
    assert len(found) == 18_342 + 2172 + 1671 + 2500
    with open(manifest) as file:
        dev = {
            row["text"] for row in csv.DictReader(file, delimiter="\t") if (row["set"], row["split"]) == ("ls", "dev")
        }
    assert dev and not dev & {sentence.text for sentence in found}


# Its training


def fit(folder: Path, *args: str, verb: str = "fit") -> None:
    from tasks.training.run import run_task

    run_task("language", LanguageModule, TextData, [verb, *args])


def options(texts: Path, n_epochs: int) -> list[str]:
    values = {
        "model.language.dim": 24,
        "model.warmup_steps": 5,
        "model.lr": 0.02,
        "data.tokenizer": texts,
        "data.files": f"[{texts}/*.txt]",
        "data.batch_tokens": 150,
        "data.val_share": 0.2,
        "last.every_n_train_steps": 1,
        "trainer.max_epochs": n_epochs,
        "trainer.default_root_dir": "runs/language/one",
        "trainer.accelerator": "cpu",
        "trainer.enable_model_summary": "false",
        "trainer.enable_progress_bar": "false",
    }
    return [part for key, value in values.items() for part in (f"--{key}", str(value))]


def test_training_lowers_perplexity_and_its_checkpoint_stands_alone(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fit(texts, *options(texts, 9))
    with open("runs/language/one/metrics.csv") as file:
        rows = [row for row in csv.DictReader(file) if row["val/word_perplexity"]]
    per_token, per_word = ([float(row[name]) for row in rows] for name in ("val/perplexity", "val/word_perplexity"))
    assert len(per_token) == 9 and per_token[-1] < per_token[0] / 2 and per_token[-1] < 5

    # both from the definition, sentence by sentence
    tokenizer = load_tokenizer(texts)
    model = load_language_model("runs/language/one/checkpoints/last.ckpt", tokenizer)
    held_out = [text for text in TEXTS if is_held_out(text, 0.2)]
    ids = [[*tokenizer.encode(text).ids, END] for text in held_out]
    with torch.no_grad():
        nats = sum(float(model.loss(torch.tensor([sentence]))) * len(sentence) for sentence in ids)
    assert per_token[-1] == pytest.approx(math.exp(nats / sum(map(len, ids))), rel=1e-3)
    n_words = sum(len(text.split()) + 1 for text in held_out)
    assert per_word[-1] == pytest.approx(math.exp(nats / n_words), rel=1e-3)
    assert ids_to_text(tokenizer, ids[0]) == held_out[0]

    fit(texts, "--ckpt_path", "runs/language/one/checkpoints/best.ckpt", verb="validate")  # config and vocabulary in it
    with pytest.raises(CheckpointError, match="another vocabulary"):
        load_language_model("runs/language/one/checkpoints/last.ckpt", build_word_tokenizer(TEXTS, 1))


def test_a_run_that_went_on_ends_where_the_undisturbed_one_does(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    whole.mkdir()
    monkeypatch.chdir(whole)
    fit(texts, *options(texts, 3))

    parted.mkdir()
    monkeypatch.chdir(parted)
    with power_cut(LanguageModule, at=7):
        fit(texts, *options(texts, 3))
    fit(texts, "--ckpt_path", "last")
    last = "runs/language/one/checkpoints/last.ckpt"
    one, other = (torch.load(folder / last, weights_only=True) for folder in (whole, parted))
    assert one["global_step"] == other["global_step"] > 7
    for name, parameter in one["state_dict"].items():
        assert torch.equal(parameter, other["state_dict"][name]), name


def test_a_mistake_on_the_command_line_is_one_line(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for wrong, name in (("--data.tokenizer", "nowhere"), ("--data.files", "[nowhere.txt]"), ("--data.val_share", "2")):
        with pytest.raises(UserError) as caught:
            fit(texts, *options(texts, 1), wrong, name)
        assert "\n" not in str(caught.value)
    other = tmp_path / "other.ckpt"
    torch.save({"model_config": {"encoder": {}}}, other)
    with pytest.raises(CheckpointError, match="no language model"):
        load_language_model(other, load_tokenizer(texts))
