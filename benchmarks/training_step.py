"""What a training step costs against the textbook: forward, loss and backward on given features, fp32, no dropout.

python -m benchmarks.training_step [--rounds 7]
"""

import argparse
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import timing
from benchmarks.textbook import TextbookTrainer
from multimodal_attn.decoders import DecoderConfig, build_decoder
from multimodal_attn.memory import Memory

N_PICTURES, N_PLACES, MEMORY_DIM, DIM, N_STEPS, N_TOKENS = 64, 49, 1280, 512, 20, 3000
TEXTBOOK = "textbook"
FORMS = {
    "before, additive": DecoderConfig("before", {"score": "additive"}, dropout=0.0),
    "before, scaled_dot": DecoderConfig("before", {"score": "scaled_dot"}, dropout=0.0),
    "between, additive": DecoderConfig("between", {"score": "additive"}, dropout=0.0),
    "between, scaled_dot (default)": DecoderConfig(dropout=0.0),
}

Step = Callable[[], Tensor]


def textbook_step(features: Tensor, tokens: Tensor) -> Step:
    """A step of Show, Attend and Tell on features (B, S, D) and tokens (B, T + 1): call it for the loss."""
    model = TextbookTrainer(features.shape[-1], DIM, N_TOKENS).to(features.device)
    return lambda: _learn(model, model(tokens[:, :-1], features), tokens)


def our_step(config: DecoderConfig, features: Tensor, tokens: Tensor) -> Step:
    """The same for one of our decoders."""
    model = build_decoder(config, features.shape[-1], N_TOKENS).to(features.device)

    def step() -> Tensor:
        hidden, _ = model.unroll(tokens[:, None, :-1], model.read(Memory(features)))
        return _learn(model, model.logits(hidden[:, 0]), tokens)

    return step


def _learn(model: nn.Module, logits: Tensor, tokens: Tensor) -> Tensor:
    loss = functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
    model.zero_grad()
    loss.backward()
    return loss.detach()


def build_steps(features: Tensor, tokens: Tensor) -> dict[str, Step]:
    ours = {name: our_step(config, features, tokens) for name, config in FORMS.items()}
    return {TEXTBOOK: textbook_step(features, tokens), **ours}


def n_operations(step: Step) -> int:
    """Operations in the matrix products of a step over tensors on the meta device, which have shapes and no numbers."""
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    timing.one_thread()
    torch.manual_seed(1)
    features = torch.randn(N_PICTURES, N_PLACES, MEMORY_DIM).relu()
    tokens = torch.randint(4, N_TOKENS, (N_PICTURES, N_STEPS + 1))
    work = {name: n_operations(step) for name, step in build_steps(features.to("meta"), tokens.to("meta")).items()}
    products = timing.matrix_products()
    times = timing.interleave({**build_steps(features, tokens), **products}, args.rounds)
    rates = {name: timing.N_OPERATIONS / median(times[name]) / 1e9 for name in products}
    print(timing.machine())
    print("matrix products: " + ", ".join(f"{name} {rate:.0f} GFLOP/s" for name, rate in rates.items()))
    rows = [
        [name, f"{median(times[name]):.2f}", f"{timing.ratio(times, TEXTBOOK, name):.2f}", f"{n / 1e9:.0f}"]
        + [f"{n / timing.N_OPERATIONS * timing.ratio(times, product, name):.2f}" for product in products]
        for name, n in work.items()
    ]
    timing.print_table(["form", "seconds", "times as fast", "GFLOP", *(f"of {name}" for name in products)], rows)


if __name__ == "__main__":
    main()
