"""`multimodal-attn import whisper SIZE`: a checkpoint folder from a published Whisper."""

import argparse
from pathlib import Path

import torch
import yaml
from torch import Tensor

from multimodal_attn.checkpoint import count_parameters, save_checkpoint
from multimodal_attn.decoders import DecoderConfig
from multimodal_attn.errors import ConfigError
from multimodal_attn.layers.blocks import n_heads_for
from multimodal_attn.model import Model, build_model
from multimodal_attn.parameters import fill_from_state
from multimodal_attn.predictor import search_with
from multimodal_attn.search import SearchConfig
from multimodal_attn.senses.sound.whisper import WhisperEncoderConfig
from multimodal_attn.senses.sound.whisper_files import (
    Parameters,
    count_layers,
    encoder_parameters,
    fetch,
    joined,
    linear,
    network_parameters,
    read_published,
    self_attention_parameters,
)
from tasks.speech.whisper_tokens import Vocabulary, build_vocabulary, find_tokens
from tasks.training.export import check_folder

UNSAID = -1e4  # a logit, and still a half float
SEARCH = SearchConfig(beam=5, no_repeat=8, max_length=224, silence=0.4)  # chosen for tiny.en on training speakers
CARD = """# {name}

Whisper {size} as OpenAI published it (MIT licence; Radford et al. 2022), in the form of this project, without any
training.
"""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "multimodal-attn import", description="Turn published parameters into a checkpoint folder."
    )
    parser.add_argument("kind", choices=["whisper"])
    parser.add_argument("size", help="its published name: tiny.en, base.en, small.en, ...")
    parser.add_argument(
        "--weights",
        default="DEFAULT",
        help="a .safetensors file, openai-whisper's .pt, or a folder of Hugging Face's (default: download OpenAI's)",
    )
    parser.add_argument(
        "--tokenizer", type=Path, help="tokenizer.json or .tiktoken (default: what is beside the weights)"
    )
    parser.add_argument("--search", type=yaml.safe_load, default={}, help="search defaults, such as '{beam: 5}'")
    parser.add_argument("--maps", type=yaml.safe_load, default=[], help="pairs of layer and head that a trace shows")
    parser.add_argument("--card", type=Path, help="text of the model card, Markdown")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--overwrite", action="store_true", help="replace a checkpoint that is there")
    return parser


def import_main(argv: list[str]) -> int:
    args = build_parser().parse_args(argv)
    check_folder(args.out, args.overwrite)
    search = search_with(SEARCH, args.search)
    weights, tokens = args.weights, args.tokenizer
    if weights == "DEFAULT":
        weights, tokens = fetch(args.size, "model.safetensors"), tokens or Path(fetch(args.size, "tokenizer.json"))
    published = read_published(weights)
    model = build_whisper(published, find_tokens(Path(weights), tokens, args.size), args.maps)
    about = {
        "metrics": {},
        "provenance": {"model": f"whisper {args.size}", "by": "OpenAI", "licence": "MIT"},
        "n_parameters": {"encoder": count_parameters(model.encoder), "decoder": count_parameters(model.decoder)},
    }
    card = args.card.read_text(encoding="utf-8") if args.card else CARD.format(name=args.out.name, size=args.size)
    save_checkpoint(args.out, model, search, "speech", about, card)
    print(f"{weights} -> {args.out}")
    return 0


def build_whisper(published: Parameters, tokens: Path, maps: list[tuple[int, int]] = ()) -> Model:
    """The whole model. Raises ConfigError for parameters that are not all there."""
    if "decoder.token_embedding.weight" not in published:
        raise ConfigError("these are the parameters of an encoder alone; name the file of a whole Whisper")
    embedding = published["decoder.token_embedding.weight"]
    vocabulary, dim = build_vocabulary(tokens, len(embedding)), embedding.shape[1]
    heard = encoder_parameters(published)
    encoder = WhisperEncoderConfig(
        dim=dim,
        layers=count_layers(published, "encoder"),
        bands=heard["first.weight"].shape[1],
        window=True,
    )
    attention = {"score": "scaled_dot", "align": "softmax", "heads": n_heads_for(dim), "query_bias": True}
    layers = count_layers(published, "decoder")
    options = {"dim": dim, "dropout": 0.0, "layers": layers, "positions": "learned", "prefix": vocabulary.prefix}
    decoder = DecoderConfig("whisper", attention, maps=maps, **options)
    with torch.device("meta"):
        model = build_model(encoder, decoder, vocabulary.tokenizer)
    state = {f"encoder.{name}": tensor for name, tensor in heard.items()}
    state |= {f"decoder.{name}": tensor for name, tensor in decoder_parameters(published, vocabulary).items()}
    fill_from_state(model, state, "the published file")
    return model.eval()


def decoder_parameters(state: Parameters, vocabulary: Vocabulary) -> Parameters:
    """The state dict of our WhisperDecoder. Raises ConfigError for parameters of another model."""
    try:
        ours = {
            "embedding.weight": pick_rows(state["decoder.token_embedding.weight"], vocabulary.rows),
            "bias": torch.zeros(len(vocabulary.rows)).index_fill(0, torch.tensor(vocabulary.unsaid), UNSAID),
            "positions.codes": state["decoder.positional_embedding"],
        }
        for n in range(count_layers(state, "decoder")):
            block, layer = f"decoder.blocks.{n}", f"layers.{n}"
            ours |= self_attention_parameters(state, block, f"{layer}.words")
            ours |= attention_parameters(state, block, layer)
            ours |= network_parameters(state, block, f"{layer}.network")
        return ours | {f"norm.{part}": state[f"decoder.ln.{part}"] for part in ("weight", "bias")}
    except KeyError as error:
        raise ConfigError(f"this is no Whisper, as it has no {error.args[0]}") from error


def attention_parameters(state: Parameters, block: str, to: str) -> Parameters:
    """The look at the memory of a TransformerLayer under the name `to`."""
    cross = f"{block}.cross_attn"
    query = joined(state, f"{block}.cross_attn_ln", [f"{cross}.query"])
    return (
        linear(*query, f"{to}.attention.score.query_map")
        | {f"{to}.attention.score.key_map.weight": state[f"{cross}.key.weight"]}
        | linear(state[f"{cross}.value.weight"], state[f"{cross}.value.bias"], f"{to}.attention.value_map")
        | {f"{to}.attention.output_map.weight": state[f"{cross}.out.weight"]}
        | {f"{to}.from_context.bias": state[f"{cross}.out.bias"]}
    )


def pick_rows(published: Tensor, rows: tuple[int | None, ...]) -> Tensor:
    """The published embeddings (V, D) in our order, zeros for what is not among them."""
    picked = published[torch.tensor([row or 0 for row in rows])]
    return picked.masked_fill(torch.tensor([row is None for row in rows]).unsqueeze(1), 0.0)
