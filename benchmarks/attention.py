"""What each mechanism costs, forward and backward, against its plainest correct form and against torch's own.

python -m benchmarks.attention [--rounds 5] [--only mocha location ...]
"""

import argparse
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks import textbook_attention, timing
from multimodal_attn.attention import ALIGNMENTS, SCORES, Attention, build_attention, reinforce
from multimodal_attn.layers.self_attention import SelfAttentionLayer
from multimodal_attn.memory import Memory

# a batch of speech: sounds of 100 to 160 places, sentences of 40 tokens
N_INPUTS, N_PLACES, N_STEPS, WIDTH, HEADS = 16, 160, 40, 256, 4
BASE = ("scaled_dot", "softmax")
SENTINEL = (BASE[0], "sentinel")  # not an alignment, but measured as if it were one
# all sentences of the textbook's hard attention are drawn
OPTIONS: dict[str, dict[str, Any]] = {"hard": {"soft": 0.0}, "sentinel": {"align": "softmax", "sentinel": True}}

Run = Callable[[], Tensor]


def mechanisms() -> list[tuple[str, str]]:
    """Every score with softmax, every alignment with the cheapest score, so that what is measured is the alignment."""
    scores = [(score, "softmax") for score in SCORES if score != "constant"]
    alignments = [
        ("constant" if not kind.reads_energies else BASE[0], align)
        for align, kind in ALIGNMENTS.items()
        if align != "softmax"
    ]
    return [*scores, *alignments, SENTINEL]


def build(name: tuple[str, str], width: int, **options: Any) -> Attention:
    data = {"score": name[0], "align": name[1], "dim": width} | OPTIONS.get(name[1], {}) | options
    return build_attention(data, width, width).train()


def problem(n_inputs: int = N_INPUTS, n_places: int = N_PLACES, n_steps: int = N_STEPS, width: int = WIDTH):
    """Queries (B, T, Q) and a memory with padding, both with gradients."""
    lengths = torch.linspace(0.6 * n_places, n_places, n_inputs).long()
    values = torch.randn(n_inputs, n_places, width, requires_grad=True)
    queries = torch.randn(n_inputs, n_steps, width, requires_grad=True)
    return queries, Memory(values, torch.arange(n_places) < lengths[:, None])


def pair_of_runs(name: tuple[str, str], queries: Tensor, memory: Memory) -> tuple[Run, Run | None]:
    """(ours, textbook), each a call that goes forward and backward once, over the same parameters; None where the
    textbook has no plain version. What draws its places learns from the reward too, on both sides."""
    ours = build(name, queries.shape[-1])
    reward = -torch.rand(queries.shape[:2])  # stands for the log-likelihood of each token
    real = torch.ones_like(reward, dtype=torch.bool).unsqueeze(1)

    def own() -> Tensor:
        context, _, choice = ours.unroll_choices(queries.unsqueeze(1), ours.project(memory))
        signal = reinforce(choice, reward.unsqueeze(1), real) if choice else 0.0
        return _learn(context, queries, memory, ours, signal)

    def textbook() -> Tensor:
        context, _, draws = textbook_attention.unroll(ours, name, queries, memory)
        signal = textbook_attention.reinforce(draws, reward) if draws else 0.0
        return _learn(context, queries, memory, ours, signal)

    return own, textbook if textbook_attention.has_plain(name) else None


def torch_pairs(queries: Tensor, memory: Memory) -> list[tuple[str, Run, str, Run]]:
    """(what, ours, torch's name, torch's): scaled dot attention of one head, of several with their projections, and a
    layer of self-attention over the places."""
    one, several = build(BASE, WIDTH), build(BASE, WIDTH, heads=HEADS)
    layer, their_layer = pair_of_layers(WIDTH, HEADS)
    multi_head = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
    values, mask, heads = memory.values, memory.mask, f"{HEADS} heads"

    def own(attention: Attention) -> Tensor:
        return attention.unroll(queries.unsqueeze(1), attention.project(memory))[0]

    def fused() -> Tensor:
        keys, asked = one.score.key_map(values), one.score.query_map(queries)
        return functional.scaled_dot_product_attention(asked, keys, values, mask.unsqueeze(1))

    def whole(need_weights: bool) -> Tensor:
        return multi_head(queries, values, values, ~mask, need_weights, average_attn_weights=False)[0]

    def learn(module: nn.Module, look: Callable[..., Tensor], *args: Any) -> Run:
        return lambda: _learn(look(*args), queries, memory, module)

    lone, joint, places = learn(one, own, one), learn(several, own, several), learn(layer, layer, values, mask)
    theirs = learn(their_layer, their_layer, values, None, ~mask)
    return [
        ("1 head", lone, "scaled_dot_product_attention, without weights", learn(one, fused)),
        (heads, joint, "MultiheadAttention", learn(multi_head, whole, True)),
        (heads, joint, "MultiheadAttention, without weights", learn(multi_head, whole, False)),
        (f"self-attention layer, {heads}", places, "TransformerEncoderLayer", theirs),
    ]


def pair_of_layers(width: int, heads: int) -> tuple[SelfAttentionLayer, nn.TransformerEncoderLayer]:
    """Ours and torch's with the same parameters, so the same function of the real places."""
    ours = SelfAttentionLayer(width, heads, dropout=0.0)
    theirs = nn.TransformerEncoderLayer(width, heads, 4 * width, dropout=0.0, batch_first=True, norm_first=True)
    _, first, _, second = ours.network
    with torch.no_grad():
        for mine, other in (
            (ours.places.project, (theirs.self_attn.in_proj_weight, theirs.self_attn.in_proj_bias)),
            (ours.places.output, (theirs.self_attn.out_proj.weight, theirs.self_attn.out_proj.bias)),
            (first, (theirs.linear1.weight, theirs.linear1.bias)),
            (second, (theirs.linear2.weight, theirs.linear2.bias)),
        ):
            other[0].copy_(mine.weight)
            other[1].copy_(mine.bias)
    return ours, theirs


def _learn(context: Tensor, queries: Tensor, memory: Memory, module: nn.Module, signal: Tensor | float = 0.0) -> Tensor:
    for tensor in (queries, memory.values, *module.parameters()):
        tensor.grad = None
    (context.square().sum() + signal).backward()
    return context.detach()


def measure(name: tuple[str, str], queries: Tensor, memory: Memory, rounds: int) -> list[str]:
    """One line of the table of mechanisms."""
    ours, textbook = pair_of_runs(name, queries, memory)
    forms = {"ours": ours, "base": pair_of_runs(BASE, queries, memory)[0]}
    times = timing.interleave(forms | ({"textbook": textbook} if textbook else {}), rounds)
    plain, faster = "no plain version", ""
    if textbook:
        plain, faster = f"{median(times['textbook']):.3f}", f"{timing.ratio(times, 'textbook', 'ours'):.1f}"
    return [
        " / ".join(name),
        plain,
        f"{median(times['ours']):.3f}",
        faster,
        f"{timing.ratio(times, 'ours', 'base'):.1f}",
    ]


def measure_torch(pair: tuple[str, Run, str, Run], rounds: int) -> list[str]:
    """One line of the table against torch's own."""
    what, ours, named, theirs = pair
    times = timing.interleave({"ours": ours, "torch": theirs}, rounds)
    seconds = [f"{median(times[form]):.4f}" for form in ("torch", "ours")]
    return [what, named, *seconds, f"{timing.ratio(times, 'torch', 'ours'):.2f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="scores and alignments to measure")
    args = parser.parse_args()
    timing.one_thread()
    torch.manual_seed(1)
    queries, memory = problem()
    print(timing.machine())
    chosen = [name for name in mechanisms() if not args.only or {*args.only} & {*name}]
    rows = [measure(name, queries, memory, args.rounds) for name in chosen]
    timing.print_table(["mechanism", "textbook, s", "ours, s", "times as fast", "of scaled dot / softmax"], rows)
    if not args.only:
        rows = [measure_torch(pair, 4 * args.rounds) for pair in torch_pairs(queries, memory)]
        timing.print_table(["ours", "torch's own", "torch's, s", "ours, s", "times as fast"], rows)


if __name__ == "__main__":
    main()
