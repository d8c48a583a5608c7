"""Damaged files are found before training starts; one that turns out bad later costs its example, not the run."""

import logging
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from torch.utils.data import DataLoader

from multimodal_attn.errors import DataError, MediaError
from multimodal_attn.senses.picture.framing import Framing, PicturePlaces
from tasks.captioning import datasets as captioning
from tasks.captioning.datamodule import CaptionDataset, collate
from tasks.captioning.transforms import Augmentation
from tasks.speech import datasets as speech
from tasks.speech.datamodule import SpeechDataset
from tasks.speech.datasets import Utterance
from tasks.training.damage import check_picture, check_sound

RNG = np.random.default_rng(7)
NOISE = RNG.integers(0, 255, (97, 113, 3), np.uint8)
TONE = np.sin(np.arange(16_001) / 7) / 2


def write_picture(path: Path) -> Path:
    Image.fromarray(NOISE).save(path)
    return path


def write_sound(path: Path) -> Path:
    soundfile.write(path, TONE, 16_000)
    return path


@pytest.mark.parametrize("ending", ["jpg", "png", "gif", "webp", "bmp", "tif"])
def test_pictures_are_whole_or_not_as_their_decoder_says(tmp_path: Path, ending: str) -> None:
    path = write_picture(tmp_path / f"a.{ending}")
    check_picture(path)
    whole = path.read_bytes()
    path.write_bytes(whole + b"\0" * 13)  # as some cameras write
    check_picture(path)
    others = [b"<html>" + whole] if ending != "jpg" else []  # which is read after some bytes of another's
    for damaged in (whole[: len(whole) // 2], whole[:30], b"", *others):
        path.write_bytes(damaged)
        with pytest.raises(MediaError):
            check_picture(path)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg", "mp3"])
def test_sounds_are_whole_or_not_as_their_decoder_says(tmp_path: Path, ending: str) -> None:
    path = write_sound(tmp_path / f"a.{ending}")
    check_sound(path)
    whole = path.read_bytes()
    others = [b"<html>" + whole] if ending != "mp3" else []  # of which all frames are read, whatever lies before them
    for damaged in (whole[: len(whole) // 2], whole[:30], b"", *others):
        path.write_bytes(damaged)
        with pytest.raises(MediaError):
            check_sound(path)


def test_damaged_files_are_told_with_their_rows_before_training(tmp_path: Path) -> None:
    for name in "abc":
        write_picture(tmp_path / f"{name}.jpg")
    (tmp_path / "b.jpg").write_bytes((tmp_path / "b.jpg").read_bytes()[:999])
    (tmp_path / "c.jpg").write_bytes(b"")
    rows = [f"{name}.jpg,A dog {n},train" for name in "abcd" for n in range(3)]
    table = tmp_path / "t.csv"
    table.write_text("\n".join(["path,caption,split", *rows]))
    with pytest.raises(DataError) as caught:
        captioning.load_splits(table, ["train"], opened=True)
    first, *lines = str(caught.value).splitlines()
    assert first.startswith("3 items cannot be used (2 damaged, 1 missing)")
    assert [line.split(": ")[0].strip() for line in lines] == [f"{table}:{n}" for n in (5, 8, 11)]
    kept = captioning.load_splits(table, ["train"], skip_bad=True, opened=True)["train"]
    assert [(example.path.name, len(example.captions)) for example in kept] == [("a.jpg", 3)]


def test_damaged_sounds_are_told_too(tmp_path: Path) -> None:
    write_sound(tmp_path / "a.flac")
    (tmp_path / "b.m4a").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(99))
    (tmp_path / "t.csv").write_text("path,text,split\na.flac,Hi,train\nb.m4a,Ho,train\n")
    with pytest.raises(DataError, match=r"t.csv:3: .*b.m4a"):
        speech.load_splits(tmp_path, ["train"], opened=True)


@pytest.mark.parametrize("n_workers", [0, 2])
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_a_picture_that_turns_out_bad_costs_its_example(
    tmp_path: Path, n_workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    paths = [write_picture(tmp_path / f"{n}.jpg") for n in range(7)]
    for bad in (paths[1], paths[4], paths[5]):
        bad.unlink()
    examples = [captioning.Example(path, ("A dog",), path.name) for path in paths]
    places = PicturePlaces(Framing(size=32), 1, 1, (15.5, 15.5), 32)
    dataset = CaptionDataset(examples, places, Augmentation(), [[[5, 2]]] * 7, 1, tolerant=True)
    batches = [[(0, 3), (1, 3), (2, 3)], [(3, 3), (4, 3)], [(5, 3)]]
    with caplog.at_level(logging.WARNING):
        read = list(DataLoader(dataset, batch_sampler=batches, collate_fn=collate, num_workers=n_workers))
    assert [batch.index.tolist() for batch in read] == [[0, 2], [3], [6]]  # the last one is another's turn
    if not n_workers:
        assert len(caplog.messages) == 3 and "1.jpg: no such file" in caplog.messages[0]
    with pytest.raises(MediaError):
        list(DataLoader(CaptionDataset(examples, places, Augmentation(), [[]] * 7, 1), batch_sampler=batches))


def test_a_sound_of_unknown_length_that_turns_out_bad_costs_its_example(tmp_path: Path) -> None:
    paths = [write_sound(tmp_path / f"{n}.wav") for n in range(3)]
    paths[1].write_bytes(b"RIFF")
    examples = [Utterance(path, "hi", path.name, "", "", None, path.name) for path in paths]
    dataset = SpeechDataset(examples, None, 0.0, 1, tolerant=True)
    assert [round(seconds, 2) for seconds in dataset.seconds] == [1.0, 0.0, 1.0]
    assert [index for _, _, index in dataset.__getitems__([0, 1, 2])] == [0, 2]
    with pytest.raises(MediaError):
        list(SpeechDataset(examples, None, 0.0, 1).seconds)
