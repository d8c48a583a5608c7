"""A small Whisper with random parameters by the published names, its tokenizer, and its equations in plain torch."""

import json
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from tasks.speech.whisper_tokens import byte_letters

D, BANDS, LAYERS = 128, 7, 2  # two heads of 64
MERGES = [("t", "h"), ("\u0120", "th"), ("\u0120th", "e"), ("c", "\u00c3"), ("\u00c3", "\u00a9")]
PIECES = [*byte_letters().values(), *("".join(pair) for pair in MERGES)]
N_PUBLISHED = len(PIECES) + 8 + 1501  # no languages
END, BEGIN, NO_SPEECH, NO_STAMPS = len(PIECES), len(PIECES) + 1, N_PUBLISHED - 1503, N_PUBLISHED - 1502


def tokenizer_json() -> str:
    vocabulary = {piece: n for n, piece in enumerate(PIECES)} | {"<|endoftext|>": END}
    added = [{"id": END, "content": "<|endoftext|>"}]
    return json.dumps({"added_tokens": added, "model": {"vocab": vocabulary, "merges": [" ".join(m) for m in MERGES]}})


def published() -> dict[str, Tensor]:
    """openai-whisper's names and shapes."""
    torch.manual_seed(4)
    state = {"encoder.conv1.weight": torch.randn(D, BANDS, 3) / 4, "encoder.conv2.weight": torch.randn(D, D, 3) / 20}
    state |= {f"encoder.conv{n}.bias": torch.randn(D) / 4 for n in (1, 2)}
    state |= {"encoder.positional_embedding": torch.randn(1500, D) / 4}
    state |= {"decoder.positional_embedding": torch.randn(448, D) / 4}
    state |= {"decoder.token_embedding.weight": torch.randn(N_PUBLISHED, D) / 8}
    for side in ("encoder", "decoder"):
        for n in range(LAYERS):
            for part in ("attn", "cross_attn") if side == "decoder" else ("attn",):
                for name in ("query", "key", "value", "out"):
                    state |= plain(f"{side}.blocks.{n}.{part}.{name}", D, D, bias=name != "key")
                state |= norm(f"{side}.blocks.{n}.{part}_ln")
            state |= plain(f"{side}.blocks.{n}.mlp.0", D, 4 * D) | plain(f"{side}.blocks.{n}.mlp.2", 4 * D, D)
            state |= norm(f"{side}.blocks.{n}.mlp_ln")
    return state | norm("encoder.ln_post") | norm("decoder.ln")


def plain(name: str, n_in: int, n_out: int, bias: bool = True) -> dict[str, Tensor]:
    weight = {f"{name}.weight": torch.randn(n_out, n_in) * n_in**-0.5}
    return weight | ({f"{name}.bias": torch.randn(n_out) / 4} if bias else {})


def norm(name: str) -> dict[str, Tensor]:
    return {f"{name}.weight": 1 + torch.randn(D) / 4, f"{name}.bias": torch.randn(D) / 4}


def hugging_face(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same under the names of Hugging Face."""
    pairs = {
        "cross_attn_ln": "encoder_attn_layer_norm",
        "cross_attn": "encoder_attn",
        "attn_ln": "self_attn_layer_norm",
    }
    pairs |= {"attn": "self_attn", "mlp_ln": "final_layer_norm", "mlp.0": "fc1", "mlp.2": "fc2", "blocks": "layers"}
    pairs |= {"query": "q_proj", "key": "k_proj", "value": "v_proj", "out": "out_proj", "ln_post": "layer_norm"}
    pairs |= {"ln": "layer_norm", "positional_embedding": "embed_positions.weight"}

    def rename(name: str) -> str:
        for ours, theirs in pairs.items():
            name = f".{name}.".replace(f".{ours}.", f".{theirs}.").strip(".")
        return f"model.{name}"

    return {rename(name): tensor for name, tensor in state.items()}


def write_whisper(folder: Path) -> Path:
    """The .pt file, as openai-whisper's are, with the tokenizer beside it."""
    folder.mkdir(exist_ok=True)
    torch.save({"dims": {}, "model_state_dict": published()}, folder / "small.pt")
    (folder / "tokenizer.json").write_text(tokenizer_json())
    return folder / "small.pt"


# The equations, for one sound and one sentence


def encode(state: dict[str, Tensor], frames: Tensor) -> Tensor:
    """Frames (3000, BANDS) -> places (1500, D)."""
    x = functional.gelu(functional.conv1d(frames.T, *both(state, "encoder.conv1"), padding=1))
    x = functional.gelu(functional.conv1d(x, *both(state, "encoder.conv2"), stride=2, padding=1)).T
    x = x + state["encoder.positional_embedding"]
    for n in range(LAYERS):
        x = block(state, f"encoder.blocks.{n}", x)
    return functional.layer_norm(x, (D,), *both(state, "encoder.ln_post"))


def decode(state: dict[str, Tensor], ids: list[int], memory: Tensor) -> Tensor:
    """Published ids (T) and places (S, D) -> logits (T, N_PUBLISHED)."""
    x = state["decoder.token_embedding.weight"][ids] + state["decoder.positional_embedding"][: len(ids)]
    for n in range(LAYERS):
        x = block(state, f"decoder.blocks.{n}", x, memory)
    return functional.layer_norm(x, (D,), *both(state, "decoder.ln")) @ state["decoder.token_embedding.weight"].T


def block(state: dict[str, Tensor], name: str, x: Tensor, memory: Tensor | None = None) -> Tensor:
    normed = functional.layer_norm(x, (D,), *both(state, f"{name}.attn_ln"))
    x = x + look(state, f"{name}.attn", normed, normed, causal=memory is not None)
    if memory is not None:
        normed = functional.layer_norm(x, (D,), *both(state, f"{name}.cross_attn_ln"))
        x = x + look(state, f"{name}.cross_attn", normed, memory)
    normed = functional.layer_norm(x, (D,), *both(state, f"{name}.mlp_ln"))
    hidden = functional.gelu(functional.linear(normed, *both(state, f"{name}.mlp.0")))
    return x + functional.linear(hidden, *both(state, f"{name}.mlp.2"))


def look(state: dict[str, Tensor], name: str, x: Tensor, memory: Tensor, causal: bool = False) -> Tensor:
    weights, values = looks(state, name, x, memory, causal), functional.linear(memory, *both(state, f"{name}.value"))
    context = torch.cat([w @ v for w, v in zip(weights, values.split(64, -1), strict=True)], -1)
    return functional.linear(context, *both(state, f"{name}.out"))


def looks(state: dict[str, Tensor], name: str, x: Tensor, memory: Tensor, causal: bool = False) -> list[Tensor]:
    """Weights (T, S) of each head."""
    queries = functional.linear(x, *both(state, f"{name}.query")).split(64, -1)
    keys = functional.linear(memory, state[f"{name}.key.weight"]).split(64, -1)
    later = torch.ones(len(x), len(memory), dtype=torch.bool).triu(1) & causal
    return [(q @ k.T / 8).masked_fill(later, -torch.inf).softmax(-1) for q, k in zip(queries, keys, strict=True)]


def both(state: dict[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    return state[f"{name}.weight"], state[f"{name}.bias"]
