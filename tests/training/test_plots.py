"""What a run draws of itself: curves whose planted points are found again, and names that any disk takes."""

from pathlib import Path

import pytest
from PIL import Image, ImageColor
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from tasks.training.curves import RunCSVLogger
from tasks.training.pictures import file_name, picture_keepers
from tasks.training.plots import HEIGHT, LINE, TITLE, WIDTH, draw_curves, read_curves


def test_the_curves_of_a_table_are_its_columns_without_the_gaps(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("epoch,step,val/loss,train/x,never\n0,4,,2.5,\n0,9,1e-3,,\n1,19,0.5,-1,\n")
    assert read_curves(tmp_path / "metrics.csv") == {
        "train/x": [(4, 2.5), (19, -1)],
        "val/loss": [(9, 1e-3), (19, 0.5)],
    }


def test_a_curve_goes_from_its_lowest_to_its_highest_value() -> None:
    picture = draw_curves({"up": [(0, 1.0), (10, 3.0)], "flat": [(10, 2.0)]})
    line = ImageColor.getrgb(LINE)
    spots = {(x, y) for x in range(picture.width) for y in range(picture.height) if picture.getpixel((x, y)) == line}
    up = [spot for spot in spots if spot[0] < picture.width / 3 and spot[1] > 36 + TITLE]
    (left, bottom), (right, top) = min(up), max(up)
    assert right - left == pytest.approx(WIDTH, abs=12) and bottom - top == pytest.approx(HEIGHT, abs=12)
    assert draw_curves({}).width  # of a run that has logged nothing


def test_pictures_are_kept_where_a_logger_keeps_pictures(tmp_path: Path) -> None:
    loggers = [RunCSVLogger(tmp_path, "", ""), CSVLogger(tmp_path, "", ""), TensorBoardLogger(tmp_path, "", "")]
    keepers = picture_keepers(loggers)
    assert len(keepers) == 2
    for keep in keepers:
        keep("attention/dogs/../a dog?.jpg", Image.new("RGB", (31, 17)), 7, 2)
    assert Image.open(tmp_path / "attention/epoch-2/dogs_.._a_dog_.jpg.png").size == (31, 17)
    loggers[-1].experiment.flush()
    assert any(b"attention/dogs/../a dog?.jpg" in path.read_bytes() for path in tmp_path.glob("events*"))


@pytest.mark.parametrize("name", ["a/../../x", "a/.hidden", "a/" + "\u00e9" * 300, "a/"])
def test_a_picture_s_name_is_one_file_of_its_epoch(name: str) -> None:
    folder, epoch, file = file_name(name, 3).split("/")
    assert (folder, epoch) == ("a", "epoch-3")
    assert not file.startswith("..") and file.endswith(".png") and len(file.encode()) < 255
