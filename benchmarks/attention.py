"""What each mechanism costs, forward and backward, against its plainest correct form and against torch's own.

python -m benchmarks.attention [--rounds 5] [--only mocha location ...]
"""

import argparse
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks import textbook_attention, timing
from multimodal_attn.attention import ALIGNMENTS, SCORES, build_attention
from multimodal_attn.memory import Memory

# a batch of speech: sounds of 100 to 160 places, sentences of 40 tokens
N_INPUTS, N_PLACES, N_STEPS, WIDTH, HEADS = 16, 160, 40, 256, 4
BASE = ("scaled_dot", "softmax")

Run = Callable[[], Tensor]


def mechanisms() -> list[tuple[str, str]]:
    """Every score with softmax, every alignment with the cheapest score, so that what is measured is the alignment."""
    scores = [(score, "softmax") for score in SCORES if score != "constant"]
    return scores + [
        ("constant" if not kind.reads_energies else BASE[0], align)
        for align, kind in ALIGNMENTS.items()
        if align != "softmax"
    ]


def problem(n_inputs: int = N_INPUTS, n_places: int = N_PLACES, n_steps: int = N_STEPS, width: int = WIDTH):
    """Queries (B, T, Q) and a memory with padding, both with gradients."""
    lengths = torch.linspace(0.6 * n_places, n_places, n_inputs).long()
    values = torch.randn(n_inputs, n_places, width, requires_grad=True)
    queries = torch.randn(n_inputs, n_steps, width, requires_grad=True)
    return queries, Memory(values, torch.arange(n_places) < lengths[:, None])


def pair_of_runs(name: tuple[str, str], queries: Tensor, memory: Memory) -> tuple[Run, Run]:
    """(ours, textbook), each a call that goes forward and backward once, over the same parameters."""
    width = queries.shape[-1]
    ours = build_attention({"score": name[0], "align": name[1], "dim": width}, width, width)
    return (
        lambda: _learn(ours.unroll(queries.unsqueeze(1), ours.project(memory))[0], queries, memory, ours),
        lambda: _learn(textbook_attention.unroll(ours, name, queries, memory)[0], queries, memory, ours),
    )


def torch_runs(queries: Tensor, memory: Memory) -> dict[str, Run]:
    """The same function by torch: scaled dot attention of one head, and of several with their projections."""
    ours = {
        heads: build_attention({"score": BASE[0], "heads": heads, "dim": WIDTH}, WIDTH, WIDTH) for heads in (1, HEADS)
    }
    theirs, one = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True), ours[1].score
    values, mask = memory.values, memory.mask

    def sdpa() -> Tensor:
        return functional.scaled_dot_product_attention(
            one.query_map(queries), one.key_map(values), values, mask.unsqueeze(1)
        )

    def multi_head(need_weights: bool) -> Tensor:
        return theirs(queries, values, values, ~mask, need_weights, average_attn_weights=False)[0]

    def own(heads: int) -> Tensor:
        return ours[heads].unroll(queries.unsqueeze(1), ours[heads].project(memory))[0]

    return {
        "ours, 1 head": lambda: _learn(own(1), queries, memory, ours[1]),
        "scaled_dot_product_attention, without weights": lambda: _learn(sdpa(), queries, memory, ours[1]),
        f"ours, {HEADS} heads": lambda: _learn(own(HEADS), queries, memory, ours[HEADS]),
        f"MultiheadAttention, {HEADS} heads": lambda: _learn(multi_head(True), queries, memory, theirs),
        f"MultiheadAttention, {HEADS} heads, without weights": lambda: _learn(
            multi_head(False), queries, memory, theirs
        ),
    }


def _learn(context: Tensor, queries: Tensor, memory: Memory, module: nn.Module) -> Tensor:
    for tensor in (queries, memory.values, *module.parameters()):
        tensor.grad = None
    context.square().sum().backward()
    return context.detach()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="scores and alignments to measure")
    args = parser.parse_args()
    timing.one_thread()
    torch.manual_seed(1)
    queries, memory = problem()
    print(timing.machine())
    rows = []
    for name in mechanisms():
        if args.only and not {*args.only} & {*name}:
            continue
        ours, textbook = pair_of_runs(name, queries, memory)
        base = pair_of_runs(BASE, queries, memory)[0]
        times = timing.interleave({"ours": ours, "textbook": textbook, "base": base}, args.rounds)
        seconds = [f"{median(times[form]):.3f}" for form in ("textbook", "ours")]
        ratios = [timing.ratio(times, "textbook", "ours"), timing.ratio(times, "ours", "base")]
        rows.append([" / ".join(name), *seconds, *(f"{ratio:.1f}" for ratio in ratios)])
    timing.print_table(["mechanism", "textbook, s", "ours, s", "times as fast", "of scaled dot / softmax"], rows)
    if not args.only:
        runs = torch_runs(queries, memory)
        times = timing.interleave(runs, 4 * args.rounds)
        timing.print_table(["form", "seconds"], [[name, f"{median(times[name]):.4f}"] for name in runs])


if __name__ == "__main__":
    main()
