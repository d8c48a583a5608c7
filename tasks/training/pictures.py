"""Where the loggers of a run keep pictures: in TensorBoard, in the run's folder, in Weights & Biases, in MLflow."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from tasks.training.curves import RunCSVLogger

Keep = Callable[[str, Image.Image, int, int], Any]  # a picture under a name, of a step and an epoch


def picture_keepers(loggers: Iterable[Logger]) -> list[Keep]:
    """One for every logger that can keep pictures."""
    return [keeper(logger) for logger in loggers for kind, keeper in KEEPERS.items() if isinstance(logger, kind)]


def in_tensorboard(logger: TensorBoardLogger) -> Keep:
    return lambda name, picture, step, epoch: logger.experiment.add_image(
        name, np.asarray(picture), step, dataformats="HWC"
    )


def in_folder(logger: RunCSVLogger) -> Keep:
    return lambda name, picture, step, epoch: save(picture, Path(logger.log_dir) / file_name(name, epoch))


def in_wandb(logger: WandbLogger) -> Keep:
    return lambda name, picture, step, epoch: logger.log_image(name, [picture], step)


def in_mlflow(logger: MLFlowLogger) -> Keep:
    return lambda name, picture, step, epoch: logger.experiment.log_image(
        logger.run_id, picture, file_name(name, epoch)
    )


KEEPERS = {TensorBoardLogger: in_tensorboard, RunCSVLogger: in_folder}
KEEPERS |= {WandbLogger: in_wandb, MLFlowLogger: in_mlflow}


def file_name(name: str, epoch: int) -> str:
    """attention/epoch-3/dogs_a_dog.jpg.png of "attention/dogs/a dog.jpg": a folder, then a plain name."""
    kind, _, rest = name.partition("/")
    plain = "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in rest)
    return f"{kind}/epoch-{epoch}/{plain[-60:].lstrip('.').removesuffix('.png')}.png"


def save(picture: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
