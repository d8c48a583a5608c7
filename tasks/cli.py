"""The command line: `multimodal-attn speech fit` trains, `multimodal-attn transcribe` uses what was trained."""

import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from multimodal_attn.allocator import keep_freed_memory
from multimodal_attn.errors import UserError
from multimodal_attn.senses import KINDS
from multimodal_attn.threads import spin_little

USAGE = """usage: multimodal-attn COMMAND ...

  caption PATH...            captions for picture files and folders, as JSON Lines
  transcribe PATH...         transcripts for sound files and folders, as JSON Lines, text or subtitles
  translate PATH...          translations for text files or the standard input (-), line by line

  captioning fit             train a captioner       --config tasks/captioning/configs/flickr8k.yaml
  speech fit                 train a transcriber     --config tasks/speech/configs/english.yaml
  translation fit            train a translator      --config tasks/translation/configs/multi30k.yaml
  language fit               train a language model for the transcriber

  captioning validate|test   score one               --ckpt_path checkpoints/captioning-flickr8k
  captioning predict         captions for a split or for --data.predict_paths
  captioning export          write a checkpoint folder from a training checkpoint
  speech, translation validate|test|predict|export, language validate: the same for sounds and texts

  import whisper SIZE        write a checkpoint folder from OpenAI's published parameters

  attention list             every score and alignment, its source and its options
  compare --task TASK        several mechanisms under one budget: one table, and one picture of what each looks at

With your own data from a released model: `captioning fit --from checkpoints/captioning-flickr8k --data.root mine/`.
Every command explains itself with --help. Training resumes with `captioning fit --ckpt_path last` alone.
"""


@dataclass(frozen=True)
class Task:
    """The classes that Lightning runs, by their full names, since importing them takes seconds."""

    module: str
    data: str
    subcommands: tuple[str, ...]


def task_in(folder: str, *subcommands: str) -> Task:
    return Task(f"tasks.{folder}.module.MODULE", f"tasks.{folder}.datamodule.DATA", subcommands)


TASKS = {name: task_in(name, "fit", "validate", "test", "predict", "export") for name in KINDS.values()}
TASKS["language"] = task_in("language", "fit", "validate")


@dataclass(frozen=True)
class Command:
    """What people use without training. parser: what builds its parser, in a module that imports no model, so that
    --help and a wrong option are answered at once. run: what takes the parsed options and gives the exit status."""

    parser: str
    run: str


COMMANDS = {
    "caption": Command("tasks.commands.options.build_caption_parser", "tasks.commands.batch.caption"),
    "transcribe": Command("tasks.commands.options.build_transcribe_parser", "tasks.commands.batch.transcribe"),
    "translate": Command("tasks.commands.options.build_translate_parser", "tasks.commands.translate.translate"),
}
IMPORTS = {"import": "tasks.speech.whisper.import_main"}
STUDIES = {"attention": "tasks.commands.attention.attention_main", "compare": "tasks.compare.command.compare_main"}


def main(argv: list[str] | None = None) -> int:
    """Entry point of `multimodal-attn`; returns the exit status, 2 for a mistake of the user."""
    argv = sys.argv[1:] if argv is None else argv
    spin_little()
    keep_freed_memory()
    warnings.filterwarnings("ignore", module="PIL")  # about damage that we report ourselves
    try:
        return run(argv)
    except UserError as error:
        print(f"multimodal-attn: {error}", file=sys.stderr)
        return error.status
    except BrokenPipeError:  # `... | head`: nobody reads on, which is no mistake
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def run(argv: list[str]) -> int:
    command, *rest = argv or ["--help"]
    if command in ("-h", "--help", "help"):
        print(USAGE)
        return 0
    if command in COMMANDS:
        args = look_up(COMMANDS[command].parser)().parse_args(rest)
        return look_up(COMMANDS[command].run)(args)
    if command in (others := IMPORTS | STUDIES):
        return look_up(others[command])(rest)
    if command in TASKS:
        return run_command(command, TASKS[command], rest)
    print(USAGE, file=sys.stderr)
    raise UserError(f"no command {command!r}; the commands are listed above")


def run_command(name: str, task: Task, argv: list[str]) -> int:
    """`argv` is what stands behind the task's name: a subcommand and its options."""
    if not argv or argv[0] not in (*task.subcommands, "-h", "--help"):
        raise UserError(f"{name}: say what to do: {', '.join(task.subcommands)}")
    if argv[0] == "export":
        return look_up("tasks.training.export.export_main")(name, argv[1:])
    return look_up("tasks.training.run.run_task")(name, look_up(task.module), look_up(task.data), argv)


def look_up(name: str) -> Callable[..., Any]:
    """What has this full name; its module is imported only now."""
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)


if __name__ == "__main__":
    sys.exit(main())
