"""What a training step costs, forward, loss and backward, against the textbook: `python -m benchmarks.training_step`."""

from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import timing
from benchmarks.textbook import TextbookTrainer
from multimodal_attn.decoders import DecoderConfig, build_decoder
from multimodal_attn.memory import Memory

N_PICTURES, N_PLACES, MEMORY_DIM, DIM, N_STEPS, N_TOKENS = 64, 49, 1280, 512, 20, 3000
ROUNDS = 7


def textbook_step(features: Tensor, tokens: Tensor) -> Callable[[], Tensor]:
    model = TextbookTrainer(MEMORY_DIM, DIM, N_TOKENS)
    return lambda: _backward(model, model(tokens[:, 0, :-1], features), tokens)


def our_step(form: str, score: str, features: Tensor, tokens: Tensor) -> Callable[[], Tensor]:
    config = DecoderConfig(form=form, attention={"score": score}, dim=DIM, dropout=0.0)
    model = build_decoder(config, MEMORY_DIM, N_TOKENS)

    def step() -> Tensor:
        hidden, _ = model.unroll(tokens[..., :-1], model.read(Memory(features)))
        return _backward(model, model.logits(hidden), tokens)

    return step


def _backward(model: torch.nn.Module, logits: Tensor, tokens: Tensor) -> Tensor:
    loss = functional.cross_entropy(logits.flatten(0, -2), tokens[..., 1:].flatten())
    model.zero_grad()
    loss.backward()
    return loss.detach()


def n_operations(step: Callable[[], object]) -> int:
    """Operations of the matrix products of a step, as torch counts them."""
    # the fused LSTM of oneDNN is opaque to the counter; without oneDNN it is the same products one by one
    with torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def main() -> None:
    timing.one_thread()
    torch.manual_seed(1)
    features = torch.randn(N_PICTURES, N_PLACES, MEMORY_DIM).relu()
    tokens = torch.randint(4, N_TOKENS, (N_PICTURES, 1, N_STEPS + 1))
    forms = {"textbook": textbook_step(features, tokens)}
    for form in ("before", "between"):
        for score in ("additive", "scaled_dot"):
            forms[f"{form}, {score}"] = our_step(form, score, features, tokens)
    products, n_products = timing.product_forms()
    times = timing.interleave(forms | {"products": products}, ROUNDS)
    rate = n_products / median(times["products"])
    rows = []
    for name, step in forms.items():
        n = n_operations(step)
        share = median(n / n_products * p / t for p, t in zip(times["products"], times[name], strict=True))
        rows.append([name, f"{median(times[name]):.2f}", f"{timing.ratio(times, 'textbook', name):.2f}", f"{n / 1e9:.0f}", f"{share:.2f}"])
    print(f"{timing.machine()}, matrix products {rate / 1e9:.0f} GFLOP/s")
    timing.print_table(["form", "seconds", "times as fast", "GFLOP", "of the limit"], rows)


if __name__ == "__main__":
    main()
