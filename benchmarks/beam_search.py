"""What beam search over 64 pictures costs: ours, all at once, against the textbook, one picture at a time.

    python -m benchmarks.beam_search [--rounds 3] [--checkpoint DIR --pictures DIR]

Without a checkpoint the decoders are random and made to behave as trained ones do, see benchmarks/plausible.py.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from benchmarks import timing
from benchmarks.plausible import behave_as_trained, random_features
from benchmarks.textbook import TextbookDecoder
from benchmarks.textbook_search import search_one
from multimodal_attn import load
from multimodal_attn.decoders import Decoder, DecoderConfig, build_decoder
from multimodal_attn.errors import UserError
from multimodal_attn.memory import Memory
from multimodal_attn.search import SearchConfig, beam_search
from multimodal_attn.tokens import END

N_PICTURES, N_PLACES, MEMORY_DIM, N_TOKENS = 64, 49, 1280, 3000
BEAMS = (3, 5)
FORMS = {
    "between, scaled_dot (default)": DecoderConfig(),
    "before, additive": DecoderConfig("before", {"score": "additive"}),
}
COLUMNS = ["decoder", "k", "textbook, s", "ours, s", "times as fast", "same sentences", "mean tokens"]

Sentences = list[list[int]]


def search_ours(decoder: Decoder, features: Tensor, config: SearchConfig) -> Sentences:
    """The best sentence of every picture, features (B, S, D), END included."""
    best = beam_search(decoder, decoder.read(Memory(features)), config).tokens[:, 0].tolist()
    return [ids[: ids.index(END) + 1] for ids in best]


def search_textbook(decoder: Decoder, features: Tensor, config: SearchConfig) -> Sentences:
    """The same, one picture after the other, in the textbook way."""
    textbook = TextbookDecoder(decoder)
    return [search_one(textbook, picture, config)[0] for picture in features]


def compare(name: str, decoder: Decoder, features: Tensor, config: SearchConfig, rounds: int) -> list[str]:
    """One row of the table."""
    searches = {"textbook": search_textbook, "ours": search_ours}
    runs = {form: partial(search, decoder, features, config) for form, search in searches.items()}
    expected, found = (run() for run in runs.values())
    n_same = sum(a == b for a, b in zip(expected, found, strict=True))
    times = timing.interleave(runs, rounds)
    seconds = [f"{median(times[form]):.2f}" for form in runs]
    length = sum(map(len, found)) / len(found)
    speed = f"{timing.ratio(times, 'textbook', 'ours'):.1f}"
    return [name, str(config.beam), *seconds, speed, f"{n_same} of {len(found)}", f"{length:.1f}"]


def random_decoders() -> Iterator[tuple[str, Decoder, Tensor, SearchConfig]]:
    """(name, decoder, features, search) of every form."""
    for name, config in FORMS.items():
        torch.manual_seed(1)
        features = random_features(N_PICTURES, N_PLACES, MEMORY_DIM)
        decoder = build_decoder(config, MEMORY_DIM, N_TOKENS).eval()
        behave_as_trained(decoder, features)
        yield name, decoder, features, SearchConfig()


def real_decoder(checkpoint: str, folder: str) -> Iterator[tuple[str, Decoder, Tensor, SearchConfig]]:
    """The same for a released model and the first pictures of a folder."""
    predictor = load(checkpoint)
    encoder = predictor.model.encoder
    paths = sorted(path for path in Path(folder).iterdir() if path.is_file())[:N_PICTURES]
    frames = torch.stack([encoder.framing.frame(predictor.read(path).image) for path in paths])
    yield predictor.name, predictor.model.decoder, encoder(frames).values, predictor.search


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description="beam search over 64 pictures against the textbook")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--checkpoint", help="a released model, instead of random decoders")
    parser.add_argument("--pictures", help="a folder of photographs, with --checkpoint")
    args = parser.parse_args()
    if (args.checkpoint is None) != (args.pictures is None):
        parser.error("--checkpoint and --pictures go together")
    timing.one_thread()
    print(timing.machine())
    decoders = real_decoder(args.checkpoint, args.pictures) if args.checkpoint else random_decoders()
    try:
        cases = [(name, *parts, replace(search, beam=k)) for name, *parts, search in decoders for k in BEAMS]
    except (UserError, OSError) as error:
        parser.error(str(error))
    timing.print_table(COLUMNS, [compare(*case, args.rounds) for case in cases])


if __name__ == "__main__":
    main()
