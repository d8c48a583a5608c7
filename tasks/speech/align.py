"""When each word of a transcribed recording is said, by a trained model: word times to splice training sounds by.

    python -m tasks.speech.align --data manifest.tsv --checkpoint checkpoints/speech-english --out word-times.tsv

The transcript is given to the decoder, and its attention says where it heard every word; nothing is searched.
"""

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from multimodal_attn.errors import UserError
from multimodal_attn.model import Model, trace_sentences
from multimodal_attn.predictor import load
from multimodal_attn.search import Hypotheses
from multimodal_attn.trace import Origin, Word
from tasks.loader import length_batches
from tasks.released import BUNDLED
from tasks.speech.datamodule import SpeechBatch, SpeechDataset, collate
from tasks.speech.datasets import Utterance, load_utterances
from tasks.speech.formats import FORMATS

COLUMNS = ("id", "word", "start", "end")


def align(model: Model, examples: list[Utterance], batch_seconds: float) -> Iterator[list[tuple[str, Word]]]:
    """(id of its utterance, word) of a batch at a time, batches by length."""
    dataset = SpeechDataset(examples, model.tokenizer, 0.0, 0)
    for batch in length_batches(np.array(dataset.seconds), batch_seconds):
        traces = hear(model, collate([dataset[int(index)] for index in batch]))
        yield [(examples[index].id, word) for index, words in zip(batch, traces, strict=True) for word in words]
        dataset.cache.clear()


@torch.inference_mode()
def hear(model: Model, batch: SpeechBatch) -> list[tuple[Word, ...]]:
    """The words of every given transcript, with their times."""
    geometries = [model.encoder.geometry(n) for n in batch.sounds.lengths.tolist()]
    said = Hypotheses(batch.tokens, torch.zeros(len(geometries), 1))
    return [trace.words for trace in trace_sentences(model, model.read(batch.sounds), said, geometries, Origin())]


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tasks.speech.align", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", required=True, help="data sets, as in `speech fit --data.root`")
    parser.add_argument("--format", choices=["auto", *FORMATS], default="auto", help="(default: %(default)s)")
    parser.add_argument("--split", default="train", help="train, val or test (default: %(default)s)")
    parser.add_argument("--checkpoint", type=Path, default=BUNDLED["speech"], help="a model that reads sounds")
    parser.add_argument("--batch-seconds", type=float, default=200.0, help="sound at once (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="the table to write: id, word, start, end in seconds")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    try:
        predictor = load(args.checkpoint)
        if predictor.sense != "sound":
            raise UserError(f"{args.checkpoint} is no model for sounds; name one with --checkpoint")
        examples = load_utterances(args.data, args.split, args.format)
        try:
            file = args.out.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise UserError(f"--out {args.out} cannot be written: {error.strerror}") from error
        with file, tqdm(total=len(examples), unit="utterance", disable=None) as progress:
            rows = csv.writer(file, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE)
            rows.writerow(COLUMNS)
            for words in align(predictor.model, examples, args.batch_seconds):
                rows.writerows((name, word.text, f"{word.start:.3f}", f"{word.end:.3f}") for name, word in words)
                progress.update(len({name for name, _ in words}))
    except UserError as error:
        print(f"align: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
