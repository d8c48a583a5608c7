"""The command line: `multimodal-attn captioning fit` trains, `multimodal-attn caption` uses what was trained."""

import os
import sys
import warnings

from multimodal_attn.errors import UserError

SUBCOMMANDS = ("fit", "validate", "test", "predict", "export")
USAGE = """usage: multimodal-attn COMMAND ...

  caption PATH...            captions for picture files and folders, as JSON Lines
  captioning fit             train a captioner       --config tasks/captioning/configs/flickr8k.yaml
  captioning validate|test   score one               --ckpt_path checkpoints/captioning-flickr8k
  captioning predict         captions for a split or for --data.predict_paths
  captioning export          write a checkpoint folder from a training checkpoint

Every command explains itself with --help. Training resumes with `captioning fit --ckpt_path last` alone.
"""


def main(argv: list[str] | None = None) -> int:
    """Entry point of `multimodal-attn`; returns the exit status, 2 for a mistake of the user."""
    argv = sys.argv[1:] if argv is None else argv
    warnings.filterwarnings("ignore", module="PIL")  # about damage that we report ourselves
    try:
        return run(argv)
    except UserError as error:
        print(f"multimodal-attn: {error}", file=sys.stderr)
        return 2
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
    if command == "caption":
        from tasks.batch import caption_main

        return caption_main(rest)
    if command == "captioning":
        return run_captioning(rest)
    print(USAGE, file=sys.stderr)
    raise UserError(f"no command {command!r}; the commands are listed above")


def run_captioning(argv: list[str]) -> int:
    if not argv or argv[0] not in (*SUBCOMMANDS, "-h", "--help"):
        raise UserError(f"captioning: say what to do: {', '.join(SUBCOMMANDS)}")
    from tasks.captioning.datamodule import CaptioningData
    from tasks.captioning.module import CaptioningModule

    if argv[:1] == ["export"]:
        from tasks.released import export_main

        return export_main("captioning", argv[1:])
    from tasks.training import run_task

    return run_task("captioning", CaptioningModule, CaptioningData, argv)


if __name__ == "__main__":
    sys.exit(main())
