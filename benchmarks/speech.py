"""What training a transcriber costs: the encoder's step against the matrix products in it, the whole step against the
textbook. Forward and backward on given features, fp32.

    python -m benchmarks.speech [--rounds 5]
"""

import argparse
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import timing
from benchmarks.textbook import TextbookTrainer
from benchmarks.textbook_speech import our_loss, speller_loss, textbook_loss
from multimodal_attn.decoders import DecoderConfig, build_decoder
from multimodal_attn.memory import Memory
from multimodal_attn.model import Model
from multimodal_attn.search.ctc import CTCHead
from multimodal_attn.senses.sound.encoder import AudioEncoder, AudioEncoderConfig
from multimodal_attn.senses.sound.logmel import N_MELS, lengths_to_mask
from multimodal_attn.tokens import END, PAD, UNKNOWN

N_SOUNDS, N_FRAMES, N_TOKENS = 16, 998, 300  # 10 s
FRAMES_PER_TOKEN = 25  # four tokens a second
SHORTEST = (0.8, 0.5)  # of the longest in a batch: as the training loader draws them, and less well sorted
DIM = 320  # of the decoder
SIZES = {"dim": 384, "layers": 5, "stride": 8}  # of the encoder in tasks/speech/configs/english.yaml
ENCODERS = {
    "blstm (english.yaml)": AudioEncoderConfig("blstm", pyramid=1, dropout=0.2, **SIZES),
    "conformer": AudioEncoderConfig("conformer", dropout=0.2, **SIZES),
}
TEXTBOOK = "textbook"
FORMS: dict[str, tuple[Callable[..., Tensor], str]] = {  # loss and score
    "textbook, our decoder": (textbook_loss, "additive"),
    "between, additive": (our_loss, "additive"),
    "between, scaled_dot (english.yaml)": (our_loss, "scaled_dot"),
}

Step = Callable[[], object]


def encoder_step(config: AudioEncoderConfig, features: Memory) -> Step:
    """Forward and backward of an encoder in training."""
    torch.manual_seed(1)
    encoder = AudioEncoder(config).to(features.values.device)

    def step() -> None:
        encoder.zero_grad()
        encoder.encode(features).clean().sum().backward()

    return step


def training_step(loss: Callable[..., Tensor], score: str, *batch: Memory | Tensor) -> Step:
    """Forward, joint loss and backward of encoder, decoder and CTC head, without dropout."""
    model = fresh_model(score)

    def step() -> None:
        model.zero_grad()
        loss(model, *batch).backward()

    return step


def speller_step(*batch: Memory | Tensor) -> Step:
    """The same with the textbook's own decoder, of the same widths."""
    speller = TextbookTrainer(SIZES["dim"], DIM, N_TOKENS)
    step = training_step(lambda model, *batch: speller_loss(model, speller, *batch), "additive", *batch)

    def both() -> None:
        speller.zero_grad()
        step()

    return both


def fresh_model(score: str) -> Model:
    """A transcriber with fresh parameters, without dropout."""
    torch.manual_seed(1)
    encoder = AudioEncoder(AudioEncoderConfig("blstm", pyramid=1, dropout=0.0, **SIZES))
    decoder = build_decoder(DecoderConfig(attention={"score": score}, dim=DIM, dropout=0.0), encoder.dim, N_TOKENS)
    return Model(encoder, decoder, None, CTCHead(encoder.dim, N_TOKENS))


def mixed_batch(shortest: float) -> tuple[Memory, Tensor]:
    """Features of up to 10 s, the shortest so much of it, and their tokens (B, T)."""
    lengths = torch.linspace(shortest, 1, N_SOUNDS).mul(N_FRAMES).long()
    n_tokens = (lengths // FRAMES_PER_TOKEN).unsqueeze(1)
    tokens = torch.randint(UNKNOWN + 1, N_TOKENS, (N_SOUNDS, int(n_tokens.max()) + 1))
    places = torch.arange(tokens.shape[1])
    tokens = tokens.masked_fill(places > n_tokens, PAD).scatter(1, n_tokens, END)
    return Memory(torch.randn(N_SOUNDS, N_FRAMES, N_MELS), lengths_to_mask(lengths, N_FRAMES)), tokens


def n_operations(config: AudioEncoderConfig) -> int:
    """Operations in the matrix products and convolutions of an encoder's step."""
    values = torch.zeros(N_SOUNDS, N_FRAMES, N_MELS, device="meta")
    mask = torch.ones(N_SOUNDS, N_FRAMES, dtype=torch.bool, device="meta")
    with FlopCounterMode(display=False) as counter:
        encoder_step(config, Memory(values, mask))()
    return counter.get_total_flops()


def measure_encoders(rounds: int) -> None:
    features = Memory(torch.randn(N_SOUNDS, N_FRAMES, N_MELS), torch.ones(N_SOUNDS, N_FRAMES, dtype=torch.bool))
    products = timing.matrix_products()
    steps = {name: encoder_step(config, features) for name, config in ENCODERS.items()}
    times = timing.interleave({**steps, **products}, rounds)
    rates = {name: timing.N_OPERATIONS / median(times[name]) / 1e9 for name in products}
    print("matrix products: " + ", ".join(f"{name} {rate:.0f} GFLOP/s" for name, rate in rates.items()))
    rows = []
    for name, config in ENCODERS.items():
        n = n_operations(config)
        shares = [n / timing.N_OPERATIONS * timing.ratio(times, product, name) for product in products]
        rows.append([name, f"{median(times[name]):.2f}", f"{n / 1e9:.0f}", *(f"{share:.2f}" for share in shares)])
    timing.print_table(["encoder", "seconds", "GFLOP", *(f"of {name}" for name in products)], rows)


def measure_training(rounds: int) -> None:
    cells = []
    for shortest in SHORTEST:
        batch = mixed_batch(shortest)
        steps = {TEXTBOOK: speller_step(*batch)}
        steps |= {name: training_step(*form, *batch) for name, form in FORMS.items()}
        times = timing.interleave(steps, rounds)
        cells.append({n: [f"{median(times[n]):.2f}", f"{timing.ratio(times, TEXTBOOK, n):.1f}"] for n in steps})
    columns = [column for shortest in SHORTEST for column in (f"from {shortest * 10:.0f} s: seconds", "times as fast")]
    timing.print_table(["form, sounds up to 10 s", *columns], [[n, *cells[0][n], *cells[1][n]] for n in cells[0]])


def main() -> None:
    parser = argparse.ArgumentParser(description="training steps of a transcriber")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    timing.one_thread()
    torch.manual_seed(1)
    print(timing.machine())
    measure_encoders(args.rounds)
    measure_training(max(2, args.rounds // 2))


if __name__ == "__main__":
    main()
