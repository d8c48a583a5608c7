"""Translation end to end, on a language that says other words in the opposite order: what is planted must be learned,
and attention must find the word that each is said for."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from multimodal_attn.errors import MediaError
from multimodal_attn.predictor import Predictor, load
from tasks.cli import main
from tasks.translation.metrics import translation_scores

WORDS = {"dog": "Bano", "cat": "Miru", "sees": "tolo", "and": "ga", "big": "wex", "old": "pif", "tree": "Lugo"}


def sentences(rng: np.random.Generator, n: int) -> list[tuple[str, str]]:
    drawn = [list(rng.choice(list(WORDS), rng.integers(2, 6))) for _ in range(n)]
    return [(" ".join(words) + ".", " ".join(WORDS[word] for word in reversed(words)) + "!") for words in drawn]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("pairs"), np.random.default_rng(4)
    for split, n in (("train", 701), ("val", 23), ("test", 29)):
        pairs = sentences(rng, n)
        for side, ending in enumerate(("en", "xx")):
            (folder / f"{split}.{ending}").write_text("".join(pair[side] + "\n" for pair in pairs), encoding="utf-8")
    return folder


def arguments(data: Path, run: Path, epochs: int) -> list[str]:
    options = {
        "data.root": data,
        "data.target": "xx",
        "data.n_pieces": 330,
        "data.batch_tokens": 211,
        "model.encoder.dim": 32,
        "model.encoder.layers": 1,
        "model.encoder.dropout": 0.0,
        "model.decoder.dim": 32,
        "model.decoder.dropout": 0.0,
        "model.attention.score": "additive",
        "model.schedule.lr": 0.01,
        "model.schedule.encoder_lr": 0.01,
        "model.schedule.warmup_steps": 20,
        "model.search.beam": 2,
        "model.search.max_length": 20,
        "trainer.default_root_dir": run,
        "trainer.accelerator": "cpu",
        "trainer.max_epochs": epochs,
        "trainer.check_val_every_n_epoch": epochs,
        "trainer.enable_progress_bar": "false",
    }
    return ["translation", "fit", *(f"--{name}={value}" for name, value in options.items())]


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    assert main(arguments(data, folder, 14)) == 0
    return folder


@pytest.fixture(scope="module")
def folder(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "reversed"
    assert (
        main(["translation", "export", "--ckpt_path", str(run / "checkpoints" / "last.ckpt"), "--out", str(out)]) == 0
    )
    return out


@pytest.fixture(scope="module")
def predictor(folder: Path) -> Predictor:
    return load(folder)


def test_test_scores_what_training_never_saw(run: Path, data: Path, capsys: pytest.CaptureFixture) -> None:
    last = str(run / "checkpoints" / "last.ckpt")
    assert main(["translation", "test", "--ckpt_path", last, f"--trainer.default_root_dir={run / 'test'}"]) == 0
    scores = json.loads((run / "test" / "scores-test.json").read_text())
    assert scores["n"] == 29 and scores["bleu"] > 90 and scores["chrf"] > 90


def test_a_sentence_is_translated_and_each_word_looks_at_its_own(predictor: Predictor) -> None:
    trace = predictor("old dog sees big tree.")
    assert trace.text == "Lugo wex tolo Bano pif!"
    named = {said: word for word, said in WORDS.items()}
    looked = {
        token.text.strip("▁"): trace.geometry.piece(int(trace.map(n).argmax())) for n, token in enumerate(trace.tokens)
    }
    whole = {said: place for said, place in looked.items() if said in named}
    assert len(whole) >= 4 and sum(named[said] == place for said, place in whole.items()) >= 4
    assert trace.words == () and trace.health.monotonicity is None


def test_letters_that_training_never_had_reach_the_geometry(predictor: Predictor) -> None:
    trace = predictor("old Ωmega 漢.")
    assert trace.geometry.text == "old Ωmega 漢."
    assert {"Ω", "漢"} <= {trace.geometry.piece(place) for place in range(trace.geometry.n_places)}


def test_an_empty_sentence_gives_nothing_and_says_why(predictor: Predictor) -> None:
    trace = predictor("  ")
    assert (trace.text, trace.note, trace.weights.shape) == ("", "empty", (0, 1, 0))
    with pytest.raises(MediaError, match="text: 1201 letters, over the 1000"):
        predictor("word " * 240 + "x")


def test_speeds_are_not_for_texts(predictor: Predictor) -> None:
    with pytest.raises(Exception, match="texts have no speed"):
        predictor("old dog.", speeds=(0.9, 1.0))


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "lines.txt"
    path.parent.mkdir()
    path.write_text("big cat.\n\n" + "dog " * 300 + "\nold tree and dog.", encoding="utf-8")
    return path


def translate(folder: Path, *args: object) -> int:
    return main(["translate", *map(str, args), "--checkpoint", str(folder)])


def test_every_line_has_its_row(folder: Path, lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "out.jsonl"
    assert translate(folder, lines, "--out", out) == 2  # for the line that is too long
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [row["path"] for row in rows] == [f"{lines}:{n}" for n in (1, 2, 3, 4)]
    assert [row.get("text") for row in rows] == ["Miru wex!", "", None, "Bano ga Lugo pif!"]
    assert [row.get("source") for row in rows] == ["big cat.", "", None, "old tree and dog."]
    assert rows[1]["note"] == "empty" and "1199 letters, over the 1000" in rows[2]["error"]
    assert f"{lines}:3: 1199 letters" in capsys.readouterr().err


def test_plain_lines_stay_line_by_line(folder: Path, lines: Path, tmp_path: Path, capfdbinary: object) -> None:
    assert translate(folder, lines, "--format", "txt") == 2
    assert capfdbinary.readouterr().out.decode() == "Miru wex!\n\n\nBano ga Lugo pif!\n"
    out = tmp_path / "out.tsv"
    assert translate(folder, lines, "--out", out) == 2
    rows = out.read_text(encoding="utf-8").split("\n")
    assert rows[0] == "big cat.\tMiru wex!" and rows[1] == "\t" and rows[3] == "old tree and dog.\tBano ga Lugo pif!"


def test_what_is_there_is_not_replaced(folder: Path, lines: Path, capsys: pytest.CaptureFixture) -> None:
    before = lines.read_bytes()
    assert translate(folder, lines, "--out", lines) == 2
    assert "is one of the files to read" in capsys.readouterr().err and lines.read_bytes() == before
    mine = lines.with_name("mine.txt")
    mine.write_text("mine")
    assert translate(folder, lines, "--out", mine) == 2 and mine.read_text() == "mine"
    assert translate(folder, lines, "--out", mine, "--overwrite") == 2 and mine.read_text() == "mine"


def test_rows_go_on_and_lines_begin_anew(folder: Path, lines: Path, capsys: pytest.CaptureFixture) -> None:
    lines.write_text("big cat.\nold dog.\n")
    rows, plain = lines.with_name("out.jsonl"), lines.with_name("plain.txt")
    assert translate(folder, lines, "--out", rows) == 0
    whole = rows.read_bytes()
    rows.write_bytes(whole[:-9])  # a kill
    assert translate(folder, lines, "--out", rows) == 0
    assert [json.loads(row)["text"] for row in rows.read_text().splitlines()] == ["Miru wex!", "Bano pif!"]
    assert "translated already: 1 of 2 files" in capsys.readouterr().err
    assert translate(folder, lines, "--out", plain) == 0
    assert translate(folder, lines, "--out", plain) == 2
    assert "is there already; begin anew with --overwrite" in capsys.readouterr().err
    lines.write_text("old dog.\n")
    assert translate(folder, lines, "--out", plain, "--overwrite") == 0 and plain.read_text() == "Bano pif!\n"


def test_the_standard_input_is_a_file_too(folder: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: object) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"big cat.\n")))
    assert translate(folder, "-") == 0
    assert json.loads(capfdbinary.readouterr().out)["path"] == "-:1"


def test_a_missing_file_is_told_before_anything_is_written(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert translate(folder, tmp_path / "none.txt", "--out", tmp_path / "out.jsonl") == 2
    assert "none.txt: no such file" in capsys.readouterr().err and not (tmp_path / "out.jsonl").exists()


def test_the_matrix_has_a_cell_for_every_pair_of_words(folder: Path, lines: Path, tmp_path: Path) -> None:
    lines.write_text("old tree and dog.\n")
    assert (
        translate(folder, lines, "--out", tmp_path / "o.jsonl", "--attention", "--pictures", tmp_path / "figures") == 0
    )
    [figure] = (tmp_path / "figures").glob("*.png")
    row = json.loads((tmp_path / "o.jsonl").read_text())
    n_places, n_tokens = len(row["geometry"]["spans"]), len(row["tokens"])
    with Image.open(figure) as picture:
        dark = np.asarray(picture.convert("L")) < 40
    assert dark.sum() > 400  # a full cell at least, beside the letters
    assert picture.width > 26 * n_places and picture.height > 26 * n_tokens


def test_a_folder_of_another_vocabulary_is_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    for file in folder.iterdir():
        (hostile / file.name).write_bytes(file.read_bytes())
    config = json.loads((hostile / "config.json").read_text())
    config["encoder"]["n_tokens"] = 3
    (hostile / "config.json").write_text(json.dumps(config))
    assert load(hostile)("big cat.").text == "Miru wex!"  # the tokenizer says how many there are


# -- scores -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language, tokenize", [("de", "13a"), ("zh", "zh"), ("zh-Hans", "zh"), ("ja", "char")])
def test_scores_are_those_of_sacrebleu(language: str, tokenize: str) -> None:
    sacrebleu = pytest.importorskip("sacrebleu", reason="the reference implementation is not installed")
    said = ["他不知道汤姆在哪里。", "Ein kleiner Hund, der schnell rennt."]
    true = ["他不知道汤姆在哪儿。", "Ein kleiner Hund, der rennt."]
    scores = translation_scores(said, true, language)
    assert scores["bleu"] == pytest.approx(sacrebleu.corpus_bleu(said, [true], tokenize=tokenize).score, abs=0.01)
    assert scores["chrf"] == pytest.approx(sacrebleu.corpus_chrf(said, [true]).score, abs=0.01)


def test_training_is_float32_and_its_vocabulary_is_the_encoders(predictor: Predictor) -> None:
    embedding = predictor.model.encoder.embedding.weight
    assert embedding.dtype == torch.float32
    assert len(embedding) == predictor.model.tokenizer.get_vocab_size() == predictor.model.encoder.config.n_tokens
