"""Released models: where the bundled ones are, and how a training checkpoint becomes a checkpoint folder."""

import argparse
import json
from pathlib import Path
from typing import Any

import yaml
from tokenizers import Tokenizer

from multimodal_attn.checkpoint import count_parameters, save_checkpoint
from multimodal_attn.decoders import DecoderConfig
from multimodal_attn.encoders import ImageEncoderConfig
from multimodal_attn.errors import UserError
from multimodal_attn.model import Model, build_model
from multimodal_attn.search import SearchConfig
from tasks.resume import RUNS, find_checkpoint

BUNDLED = {"captioning": Path(__file__).resolve().parents[1] / "checkpoints" / "captioning-flickr8k"}


def build_parser(task: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        f"multimodal-attn {task} export",
        description="Turn a training checkpoint into a checkpoint folder, the form in which models are released.",
    )
    parser.add_argument("--ckpt_path", default="last", help="a .ckpt file, or `last` for the newest one (default)")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--card", type=Path, help="text of the model card, Markdown")
    parser.add_argument("--scores", type=Path, help="JSON file of scores, as `test` writes it")
    parser.add_argument("--commit", default="", help="the commit that the model was trained at")
    return parser


def export_main(task: str, argv: list[str]) -> int:
    args = build_parser(task).parse_args(argv)
    path, checkpoint = find_checkpoint(args.ckpt_path, RUNS / task)
    model, search = restore_model(checkpoint)
    about = {
        "metrics": _read_json(args.scores) if args.scores else {},
        "provenance": {
            "commit": args.commit,
            "epoch": checkpoint["epoch"],
            "step": checkpoint["global_step"],
            "training": yaml.safe_load(checkpoint["config"]),
        },
        "n_parameters": {"encoder": count_parameters(model.encoder), "decoder": count_parameters(model.decoder)},
    }
    card = args.card.read_text(encoding="utf-8") if args.card else f"# {args.out.name}\n"
    save_checkpoint(args.out, model, search, task, about, card)
    print(f"{path} -> {args.out}")
    return 0


def restore_model(checkpoint: dict[str, Any]) -> tuple[Model, SearchConfig]:
    """The model inside a training checkpoint, which carries its own architecture and tokenizer."""
    described = checkpoint["model_config"]
    parts = ImageEncoderConfig(**described["encoder"]), DecoderConfig(**described["decoder"])
    model = build_model(*parts, Tokenizer.from_str(checkpoint["tokenizer"]))
    state = {name.removeprefix("model."): tensor for name, tensor in checkpoint["state_dict"].items()}
    model.load_state_dict(state)
    return model.eval(), SearchConfig(**described["search"])


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"--scores {path} cannot be read: {error}") from error
