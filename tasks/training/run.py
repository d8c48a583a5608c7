"""LightningCLI for a task: its own loggers, checkpoints and resuming around Lightning's options."""

import errno
import logging
import tempfile
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import yaml
from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from multimodal_attn.checkpoint import CONFIG, read_config
from multimodal_attn.configs import json_object
from multimodal_attn.errors import CheckpointError, ConfigError, TrainingError
from multimodal_attn.files import identity
from tasks.commands.bundled import TRAINED
from tasks.commands.outputs import identities
from tasks.training.callbacks import AttentionHealth, CompileEncoder, DrawCurves, ShowResults, WriteResults
from tasks.training.checks import CheckRun, plainly
from tasks.training.collection import as_paths
from tasks.training.curves import ContinuedCSVLogger, ForgetLaterSteps, RunCSVLogger
from tasks.training.fine_tuning import fine_tuning_config
from tasks.training.guard import StopAtNaN
from tasks.training.resume import RUNS, AtomicCheckpointIO, find_checkpoint, remove_left_overs
from tasks.training.saving import LastCheckpoint, RestoreLoader

COMPILE = (
    "compile the encoder with torch.compile, which needs a C++ compiler and minutes at the start of every run; measure "
    "whether it pays on your machine"
)


class KeepConfig(SaveConfigCallback):
    """Writes config.yaml into the run's folder, and the same text into every checkpoint, so that it resumes alone."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        if stage == "fit" and not self._is_read(folder / "config.yaml"):
            (folder / "config.yaml").write_text(self.text)

    def _is_read(self, path: Path) -> bool:
        """Whether this is a config that the user wrote and gave to this run, with its comments and its order."""
        return identity(path) in identities(Path(str(each)) for each in self.config.get("config") or ())

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["config"] = self.text

    @cached_property
    def text(self) -> str:
        return self.parser.dump(self.config, skip_none=False)


class OneLineParser(LightningArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        lines = [line.strip(" -") for line in message.splitlines() if line.strip(" -")]
        raise ConfigError(f"{' '.join(lines)[:400]}; see --help for what can be set") from ex


class TaskCLI(LightningCLI):
    """LightningCLI whose run lives in one folder, `trainer.default_root_dir`: config, curves, checkpoints."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_lightning_class_args(ModelCheckpoint, "best")
        parser.add_lightning_class_args(LastCheckpoint, "last")
        shared = {"save_top_k": 1, "enable_version_counter": False}
        mode = "min" if self.model_class.lower_is_better else "max"
        best = {"monitor": f"val/{self.model_class.monitor}", "mode": mode, "filename": "best"}
        last = {"monitor": None, "filename": "last", "every_n_train_steps": 200}
        for name, options in ("best", shared | best), ("last", shared | last):
            parser.set_defaults({f"{name}.{key}": value for key, value in options.items()})
        parser.add_argument("--compile", type=bool, default=False, help=COMPILE)

    def before_instantiate_classes(self) -> None:
        config = self.config[self.subcommand]
        root = Path(config["trainer"]["default_root_dir"])
        if self.subcommand == "fit":
            remove_left_overs(root)
        if self.subcommand == "fit" and not config["ckpt_path"] and any(root.rglob("*.ckpt")):
            raise ConfigError(
                f"{root} holds a run already; go on with --ckpt_path last, or name another folder with "
                "--trainer.default_root_dir"
            )

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        config = self.config[self.subcommand]
        callbacks = [CheckRun(), RestoreLoader(), StopAtNaN(), ShowResults(), AttentionHealth(), WriteResults()]
        callbacks += [CompileEncoder()] if config["compile"] else []
        if config["trainer"].get("logger") in (None, True):
            root, fit = config["trainer"]["default_root_dir"], self.subcommand == "fit"
            table = ContinuedCSVLogger if config["ckpt_path"] else RunCSVLogger
            kwargs["logger"] = [TensorBoardLogger(root, "", ""), table(root, "", "")] if fit else False
            callbacks += [LearningRateMonitor("step"), ForgetLaterSteps(), DrawCurves()] if fit else []
        self.trainer_defaults["callbacks"] = callbacks
        for saver in (self.config_init[self.subcommand][name] for name in ("best", "last")):
            # here and not in the config, so that a checkpoint may be resumed into another folder
            saver.dirpath = saver.dirpath or str(Path(config["trainer"]["default_root_dir"]) / "checkpoints")
        return super().instantiate_trainer(plugins=[AtomicCheckpointIO()], **kwargs)

    def instantiate_classes(self) -> None:
        with plainly(MisconfigurationException, ImportError, ValueError, TypeError):
            super().instantiate_classes()
        self.model.resumes = bool(self.config_init[self.subcommand].get("ckpt_path"))


def quieten() -> None:
    """Leave out what Lightning says of things that are meant to be so, and its advertisement."""
    for text in ("LightningCLI's args", ".*in eval mode at the start", ".*exists and is not empty", ".*LeafSpec"):
        warnings.filterwarnings("ignore", text)
    for text in (".*not supported by the model summary", ".*smaller than the logging interval", ".*many workers which"):
        warnings.filterwarnings("ignore", text)
    for text in (".*could not find the monitored key", ".*does not have many workers", ".*dirpath has changed"):
        warnings.filterwarnings("ignore", text)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(lambda record: "Tip:" not in record.msg)


def run_task(task: str, module: type[LightningModule], data: type[LightningDataModule], argv: list[str]) -> int:
    """Train, validate, test or predict; `argv` is what stands behind the task's name on the command line."""
    quieten()
    with tempfile.TemporaryDirectory() as folder, clear_of_full_disks(), plainly(MisconfigurationException):
        TaskCLI(
            module,
            data,
            args=completed(argv, task, Path(folder), getattr(data, "OF_ROOT", ())),
            save_config_callback=KeepConfig,
            save_config_kwargs={"save_to_log_dir": False},
            parser_class=OneLineParser,
            parser_kwargs={"prog": f"multimodal-attn {task}"},
            trainer_defaults=defaults(task),
            auto_configure_optimizers=False,
            seed_everything_default=1,
        )
    return 0


@contextmanager
def clear_of_full_disks() -> Iterator[None]:
    """Raises TrainingError instead of the error of curves or pictures that found no room."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise TrainingError(
            f"{error.filename or 'the run'}: {error.strerror}; make room on the disk, then go on with --ckpt_path last"
        ) from error


def defaults(task: str) -> dict[str, Any]:
    """Trainer options that a config need not name; callbacks here run beside those of the config."""
    return {
        "default_root_dir": str(RUNS / task / "run"),
        "use_distributed_sampler": False,  # our loader shares the examples out by itself
        "gradient_clip_val": 1.0,
        "log_every_n_steps": 20,
        "num_sanity_val_steps": 0,
    }


def completed(argv: list[str], task: str, folder: Path, of_root: Collection[str] = ()) -> list[str]:
    """The command line with what `--ckpt_path` alone implies: a checkpoint brings its own config.

    A checkpoint folder becomes `--model.checkpoint`. `validate`, `test` and `predict` default to the bundled one.
    of_root: options of the data that say how the checkpoint's own data lies, and nothing about another `--data.root`.
    """
    named = ("--ckpt_path=", "--from=")
    args = [part for arg in argv for part in (arg.split("=", 1) if arg.startswith(named) else [arg])]
    if {"-h", "--help", "--print_config"} & {arg.split("=")[0] for arg in args}:
        return args
    if args[:1] == ["fit"] and "--from" in args:
        return tuning(args, task, folder, of_root)
    if "--ckpt_path" not in args:
        if args[:1] == ["fit"] or "--model.checkpoint" in {arg.split("=")[0] for arg in args}:
            return args
        if task not in TRAINED:
            raise ConfigError("name a checkpoint with --ckpt_path, or `last` for the newest one")
        args += ["--ckpt_path", str(TRAINED[task])]
    place = args.index("--ckpt_path")
    name = args[place + 1] if place + 1 < len(args) else ""
    if Path(name).is_dir():
        config = released_config(Path(name), task)
        args[place] = "--model.checkpoint"
    else:
        path, checkpoint = find_checkpoint(name, RUNS / task)
        config = yaml.safe_load(checkpoint.get("config", ""))
        args[place + 1] = str(path)
    if {"--config", "-c"} & {arg.split("=")[0] for arg in args}:
        return args
    if not config:
        raise ConfigError(f"{name} carries no config; name one with --config")
    if is_elsewhere(args, config):
        config["data"] = {name: value for name, value in config.get("data", {}).items() if name not in of_root}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return [args[0], "--config", str(folder / "config.yaml"), *args[1:]]


def tuning(args: list[str], task: str, folder: Path, of_root: Collection[str]) -> list[str]:
    """The command line of a run that goes on from a released model, named behind `--from`, with other data."""
    place = args.index("--from")
    start = Path(args[place + 1] if place + 1 < len(args) else "")
    if "--data.root" not in {arg.split("=")[0] for arg in args}:
        raise ConfigError("--from needs your own data; name its folder or table with --data.root")
    config = fine_tuning_config(released_config(start, task), start, task, of_root)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    begin = ["--config", str(folder / "config.yaml"), "--model.checkpoint", str(start)]
    return ["fit", *begin, *args[1:place], *args[place + 2 :]]


def is_elsewhere(args: list[str], config: dict[str, Any]) -> bool:
    """Whether the command line names another `--data.root` than the config."""
    pairs = [arg.split("=", 1) for arg in args if arg.startswith("--data.root=")]
    pairs += [[arg, value] for arg, value in zip(args, args[1:], strict=False) if arg == "--data.root"]
    try:
        return bool(pairs) and as_paths(yaml.safe_load(pairs[-1][1])) != as_paths(config["data"]["root"])
    except (yaml.YAMLError, KeyError, TypeError):
        return True


def released_config(folder: Path, task: str) -> dict[str, Any]:
    """The config that a released model was trained with, as far as it tells, to be scored in float32, on what this
    machine has, in a run folder of its own, without the classes that its training had around it. Raises CheckpointError
    for a damaged one."""
    released = read_config(folder)
    try:
        provenance = json_object(released.get("provenance", {}), "provenance")
        config = json_object(provenance.get("training") or {}, "training")
        trainer, model = (json_object(config.get(name, {}), name) for name in ("trainer", "model"))
        trainer |= {"precision": "32-true", "default_root_dir": str(RUNS / task / folder.resolve().name)}
        trainer |= {"accelerator": "auto", "devices": "auto", "strategy": "auto", "num_nodes": 1}
        trainer |= dict.fromkeys(("callbacks", "logger", "plugins", "profiler"))  # may name any class there is
        model["search"] = json_object(model.get("search", {}), "search") | json_object(released["search"], "search")
        if not released.get("ctc"):
            model["loss"] = json_object(model.get("loss", {}), "loss") | {"ctc": 0.0}
    except ConfigError as error:
        raise CheckpointError(f"{folder / CONFIG}: {error}; get the checkpoint again") from error
    return config | {"trainer": trainer, "model": model}
