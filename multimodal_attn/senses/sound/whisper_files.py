"""Whisper's published parameters: read from the files in which people have them, and brought into our modules.

Where Whisper scales and shifts what it normalises, ours do not (see blocks.py): both are joined into the linear map
that follows, the same function up to rounding.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import torch
from huggingface_hub import hf_hub_download
from safetensors.torch import load_file
from torch import Tensor

from multimodal_attn.errors import ConfigError

Parameters = dict[str, Tensor]

PUBLISHED = {  # by width, layers and bands
    (384, 4, 80): "tiny.en",
    (512, 6, 80): "base.en",
    (768, 12, 80): "small.en",
    (1024, 24, 80): "medium.en",
    (1280, 32, 80): "large-v2",
    (1280, 32, 128): "large-v3",
}
RENAMED = (  # Hugging Face's names to openai-whisper's, in this order
    (r"^model\.", ""),
    (r"\blayers\.", "blocks."),
    (r"\bself_attn\.", "attn."),
    (r"\bencoder_attn\.", "cross_attn."),
    (r"\bself_attn_layer_norm\b", "attn_ln"),
    (r"\bencoder_attn_layer_norm\b", "cross_attn_ln"),
    (r"\bfinal_layer_norm\b", "mlp_ln"),
    (r"\bfc1\b", "mlp.0"),
    (r"\bfc2\b", "mlp.2"),
    (r"\bq_proj\b", "query"),
    (r"\bk_proj\b", "key"),
    (r"\bv_proj\b", "value"),
    (r"\bout_proj\b", "out"),
    (r"\bembed_positions\.weight$", "positional_embedding"),
    (r"\bembed_tokens\b", "token_embedding"),
    (r"^encoder\.layer_norm\b", "encoder.ln_post"),
    (r"^decoder\.layer_norm\b", "decoder.ln"),
)


def read_published(weights: str, dim: int = 384, layers: int = 4, bands: int = 80) -> Parameters:
    """All parameters of a file by openai-whisper's names (`encoder.blocks.0.attn.query.weight`), single precision.

    weights: a .safetensors file by either's names, also of the encoder alone; openai-whisper's .pt; a folder of Hugging
    Face's; or DEFAULT for what the hub has of this size. Raises ConfigError when there is none, or of another kind.
    """
    if weights == "DEFAULT":
        weights = fetch(PUBLISHED.get((dim, layers, bands)), "model.safetensors")
    path = Path(weights)
    path = path / "model.safetensors" if path.is_dir() else path
    try:
        safe = path.suffix == ".safetensors"
        state = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)["model_state_dict"]
        return {openai_name(name): tensor.float() for name, tensor in state.items()}
    except FileNotFoundError as error:
        raise ConfigError(f"encoder weights: no file {path}; give a path, DEFAULT (downloads), or null") from error
    except Exception as error:  # a file of another kind makes the readers raise nearly every class there is
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise ConfigError(f"encoder weights: {path} holds no Whisper: {why}") from error


def fetch(size: str | None, name: str) -> str:
    """The path of a file of OpenAI's, once it is downloaded. Raises ConfigError where that is impossible."""
    if size is None:
        raise ConfigError("encoder weights: OpenAI published none of this size; give a file, or null")
    try:
        return hf_hub_download(f"openai/whisper-{size}", name)
    except Exception as error:  # of the network, of the hub, or of the disk
        why = " ".join(str(error).split())[:100]
        raise ConfigError(f"encoder weights: whisper {size} cannot be downloaded ({why}); give a file") from error


def openai_name(name: str) -> str:
    """openai-whisper's name of a parameter; a name without `encoder.` or `decoder.` is one of an encoder alone."""
    for pattern, plain in RENAMED:
        name = re.sub(pattern, plain, name)
    return name if name.startswith(("encoder.", "decoder.", "proj_out.")) else f"encoder.{name}"


def encoder_parameters(state: Parameters) -> Parameters:
    """The state dict of our WhisperEncoder. Raises ConfigError for parameters of another model."""
    try:
        ours = {
            f"{conv}.{part}": state[f"encoder.conv{n}.{part}"]
            for n, conv in ((1, "first"), (2, "second"))
            for part in ("weight", "bias")
        }
        ours["listener.positions.codes"] = state["encoder.positional_embedding"]
        for n in range(count_layers(state, "encoder")):
            layer = f"listener.layers.{n}"
            ours |= self_attention_parameters(state, f"encoder.blocks.{n}", f"{layer}.places")
            ours |= network_parameters(state, f"encoder.blocks.{n}", f"{layer}.network")
        return ours | {f"listener.norm.{part}": state[f"encoder.ln_post.{part}"] for part in ("weight", "bias")}
    except KeyError as error:
        raise ConfigError(f"encoder weights: this is no Whisper, as it has no {error.args[0]}") from error


def count_layers(state: Parameters, side: str) -> int:
    return sum(re.fullmatch(rf"{side}\.blocks\.\d+\.mlp\.0\.weight", name) is not None for name in state)


def self_attention_parameters(state: Parameters, block: str, to: str) -> Parameters:
    """blocks.SelfAttention's under the name `to`."""
    maps = [f"{block}.attn.{name}" for name in ("query", "key", "value")]
    return linear(*joined(state, f"{block}.attn_ln", maps), f"{to}.project") | linear(
        state[f"{block}.attn.out.weight"], state[f"{block}.attn.out.bias"], f"{to}.output"
    )


def network_parameters(state: Parameters, block: str, to: str) -> Parameters:
    """blocks.FeedForward's under the name `to`."""
    return linear(*joined(state, f"{block}.mlp_ln", [f"{block}.mlp.0"]), f"{to}.1") | linear(
        state[f"{block}.mlp.2.weight"], state[f"{block}.mlp.2.bias"], f"{to}.3"
    )


def linear(weight: Tensor, bias: Tensor, to: str) -> Parameters:
    return {f"{to}.weight": weight, f"{to}.bias": bias}


def joined(state: Parameters, norm: str, maps: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Weight (O, I) and bias (O,) of maps side by side that read x scaled and shifted by a norm, for x itself."""
    scale, shift = state[f"{norm}.weight"], state[f"{norm}.bias"]
    weights = [state[f"{name}.weight"] for name in maps]
    biases = [
        state.get(f"{name}.bias", weight.new_zeros(len(weight))) for name, weight in zip(maps, weights, strict=True)
    ]
    weight, bias = torch.cat(weights), torch.cat(biases)
    return weight * scale, bias + weight @ shift
