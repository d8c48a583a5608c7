"""Which heads of a Transformer follow the sound: the `maps` of a decoder, found on sounds whose word times are known.

    python -m tasks.speech.heads --checkpoint FOLDER --data manifest.tsv --times alignments.tsv

What the model hears is traced with all its heads. Heads are taken one after the other, each that which brings the
starts of the words nearest to where they are, as long as that makes them nearer.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from multimodal_attn.decoders import Decoder
from multimodal_attn.errors import UserError
from multimodal_attn.predictor import load
from multimodal_attn.trace import AttentionTrace
from multimodal_attn.trace.times import start_errors, token_spans, word_times
from tasks.speech.datasets import load_utterances, load_word_times
from tasks.speech.spoken import spoken_text

LARGEST = 500.0  # milliseconds: what is farther off is lost, and how far does not matter

Known = Sequence[tuple[str, float, float]]  # word, start and end in seconds
Maps = list[tuple[int, int]]


def choose_maps(traces: Sequence[AttentionTrace], known: Sequence[Known], maps: Maps) -> tuple[Maps, float]:
    """Of the heads that the traces show, `maps` in their order, those to read word times off, and what then is the
    mean distance from the true starts in milliseconds."""
    chosen: list[int] = []
    nearest = float("inf")
    while left := [head for head in range(len(maps)) if head not in chosen]:
        distances = {head: start_distance(traces, known, [*chosen, head]) for head in left}
        best = min(distances, key=distances.get)
        if distances[best] >= nearest:
            break
        chosen.append(best)
        nearest = distances[best]
    return [maps[head] for head in chosen], nearest


def start_distance(traces: Sequence[AttentionTrace], known: Sequence[Known], heads: Sequence[int]) -> float:
    """Mean distance in milliseconds, each LARGEST at most, by the mean of these heads."""
    errors = [np.zeros(0)]
    for trace, true in zip(traces, known, strict=True):
        spans = token_spans(trace.weights[:, list(heads)].mean(1))
        words = word_times([token.text for token in trace.tokens], spans, trace.geometry)
        errors.append(start_errors([replace(word, text=spoken_text(word.text)) for word in words], true))
    return float(np.abs(np.concatenate(errors)).clip(max=LARGEST).mean())


def show_all(decoder: Decoder) -> Maps:
    """Let a decoder return the weights of every layer and head."""
    if not decoder.config.maps and decoder.config.form not in ("transformer", "whisper"):
        raise UserError("only a Transformer has heads to choose from; this is a decoder of another form")
    maps = [(layer, head) for layer in range(decoder.config.layers) for head in range(decoder.attention.heads)]
    decoder.config = replace(decoder.config, maps=maps)
    return maps


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tasks.speech.heads", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path, required=True, help="a folder with a Transformer decoder")
    parser.add_argument("--data", nargs="+", required=True, help="data sets, as in `speech fit --data.root`")
    parser.add_argument("--times", type=Path, required=True, help="table of id, word, start and end in seconds")
    parser.add_argument("--split", default="train", help="train, val or test (default: %(default)s)")
    parser.add_argument("--n", type=int, default=20, help="utterances, evenly out of all (default: %(default)s)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    try:
        predictor, times = load(args.checkpoint), load_word_times(args.times)
        examples = [example for example in load_utterances(args.data, args.split, "auto") if example.id in times]
        if not predictor.via.timed or not examples:
            raise UserError("heads are chosen for a model of sounds, on utterances whose ids are in --times")
        maps = show_all(predictor.model.decoder)
        examples = examples[:: max(1, len(examples) // args.n)][: args.n]
        traces = [predictor(example.path) for example in tqdm(examples, disable=None)]
        chosen, distance = choose_maps(traces, [times[example.id] for example in examples], maps)
    except UserError as error:
        print(f"heads: {error}", file=sys.stderr)
        return 2
    print(f"--maps '{json.dumps(chosen)}'  # {distance:.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
