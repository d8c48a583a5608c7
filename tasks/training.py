"""LightningCLI for a task: its own loggers, checkpoints and resuming around Lightning's options."""

import tempfile
from pathlib import Path
from typing import Any

import torch
import yaml
from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer
from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from multimodal_attn.errors import ConfigError
from tasks.resume import RUNS, AtomicCheckpointIO, find_checkpoint


class KeepConfig(SaveConfigCallback):
    """Writes config.yaml into the run's folder, and the same text into every checkpoint, so that it resumes alone."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.yaml").write_text(self._text())

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["config"] = self._text()

    def _text(self) -> str:
        return self.parser.dump(self.config, skip_none=False)


class TaskCLI(LightningCLI):
    """LightningCLI whose run lives in one folder, `trainer.default_root_dir`: config, curves, checkpoints."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(ModelCheckpoint, "save")
        parser.set_defaults(
            {
                "save.monitor": "val/cider",
                "save.mode": "max",
                "save.save_last": True,
                "save.filename": "best",
                "save.enable_version_counter": False,
            }
        )

    def before_instantiate_classes(self) -> None:
        if self.subcommand and self.config[self.subcommand].get("save"):
            config = self.config[self.subcommand]
            config["save"]["dirpath"] = config["save"]["dirpath"] or str(Path(config["trainer"]["default_root_dir"]) / "checkpoints")

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        config = self.config[self.subcommand]["trainer"]
        root = Path(config["default_root_dir"])
        if config.get("logger") in (None, True):
            kwargs["logger"] = [TensorBoardLogger(root, "", ""), CSVLogger(root, "", "")] if self.subcommand == "fit" else False
        return super().instantiate_trainer(**kwargs)


def run_task(task: str, module: type[LightningModule], data: type[LightningDataModule], argv: list[str]) -> int:
    """Train, validate, test or predict; `argv` is what stands behind the task's name on the command line."""
    torch.set_float32_matmul_precision("high")
    with tempfile.TemporaryDirectory() as folder:
        TaskCLI(
            module,
            data,
            args=resumed(argv, RUNS / task, Path(folder)),
            save_config_callback=KeepConfig,
            save_config_kwargs={"overwrite": True},
            trainer_defaults=defaults(task),
            seed_everything_default=1,
            parser_kwargs={"prog": f"multimodal-attn {task}"},
        )
    return 0


def defaults(task: str) -> dict[str, Any]:
    callbacks: list[Callback] = [LearningRateMonitor("step")]
    return {
        "default_root_dir": str(RUNS / task / "run"),
        "callbacks": callbacks,
        "plugins": [AtomicCheckpointIO()],
        "use_distributed_sampler": False,  # our loader shares the examples out by itself
        "gradient_clip_val": 1.0,
        "log_every_n_steps": 20,
        "num_sanity_val_steps": 0,
    }


def resumed(argv: list[str], runs: Path, folder: Path) -> list[str]:
    """`--ckpt_path X` without `--config` becomes the whole command line: the checkpoint knows its config."""
    args = [part for arg in argv for part in (arg.split("=", 1) if arg.startswith("--ckpt_path=") else [arg])]
    if "--ckpt_path" not in args[:-1]:
        return argv
    place = args.index("--ckpt_path") + 1
    path, checkpoint = find_checkpoint(args[place], runs)
    args[place] = str(path)
    if not {"--config", "-c"} & set(args):
        if "config" not in checkpoint:
            raise ConfigError(f"{path} carries no config; name one with --config")
        config = folder / "config.yaml"
        config.write_text(yaml.safe_dump(yaml.safe_load(checkpoint["config"])))
        args[1:1] = ["--config", str(config)]
    return args
