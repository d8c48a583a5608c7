"""When each word of a transcribed recording is said, by a trained model: word times to splice training sounds by.

    python -m tasks.speech.align --data manifest.tsv --checkpoint checkpoints/speech-english --out word-times.tsv

The transcript is given to the decoder, and its attention says where it heard every word; nothing is searched.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from multimodal_attn.errors import UserError
from multimodal_attn.files import whole_file
from multimodal_attn.model import Model, trace_sentences
from multimodal_attn.predictor import load
from multimodal_attn.search import Hypotheses
from multimodal_attn.senses.sound.sense import SENSE
from multimodal_attn.trace import Origin, Word
from tasks.commands.bundled import TRAINED
from tasks.commands.outputs import begins_with, check_not_read, refusal
from tasks.commands.record import State
from tasks.speech.datamodule import SpeechDataset, collate
from tasks.speech.datasets import Utterance, load_utterances
from tasks.speech.formats import FORMATS
from tasks.training.data import Batch
from tasks.training.loader import length_batches

COLUMNS = ("id", "word", "start", "end")


def align(model: Model, examples: list[Utterance], batch_seconds: float) -> Iterator[list[tuple[str, Word]]]:
    """(id of its utterance, word) of a batch at a time, batches by length."""
    dataset = SpeechDataset(examples, model.tokenizer, 0.0, 0)
    for batch in length_batches(np.array(dataset.seconds), batch_seconds):
        traces = hear(model, collate([dataset[int(index)] for index in batch], model.encoder.places))
        yield [(examples[index].id, word) for index, words in zip(batch, traces, strict=True) for word in words]
        dataset.cache.clear()


@torch.inference_mode()
def hear(model: Model, batch: Batch) -> list[tuple[Word, ...]]:
    """The words of every given transcript, with their times."""
    said, read = Hypotheses(batch.tokens, torch.zeros(len(batch.index), 1)), model.read(batch.inputs)
    return [trace.words for trace in trace_sentences(model, read, said, batch.geometries, Origin())]


def check_table(out: Path, read: Iterable[str | Path]) -> None:
    """Raises UserError for a place that holds anything but a table of ours."""
    check_not_read("--out", out, map(Path, read))
    if not out.parent.is_dir():
        raise UserError(f"--out {out} cannot be written: no folder {out.parent}; make it first")
    if out.exists() and not (out.is_file() and begins_with(out, "\t".join(COLUMNS) + "\n")):
        raise refusal(f"--out {out}", State.FOREIGN)


def write_table(out: Path, words: Iterable[list[tuple[str, Word]]], n_examples: int) -> None:
    """Whole or not at all."""
    try:
        with whole_file(out) as file, tqdm(total=n_examples, unit="utterance", disable=None) as progress:
            file.write(("\t".join(COLUMNS) + "\n").encode())
            for of_batch in words:
                lines = (f"{name}\t{word.text}\t{word.start:.3f}\t{word.end:.3f}\n" for name, word in of_batch)
                file.write("".join(lines).encode())
                progress.update(len({name for name, _ in of_batch}))
    except OSError as error:
        raise UserError(f"--out {out} cannot be written: {error.strerror}") from error


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tasks.speech.align", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", nargs="+", required=True, help="data sets, as in `speech fit --data.root`")
    parser.add_argument("--format", choices=["auto", *FORMATS], default="auto", help="(default: %(default)s)")
    parser.add_argument("--split", default="train", help="train, val or test (default: %(default)s)")
    parser.add_argument("--checkpoint", type=Path, default=TRAINED["speech"], help="a model that reads sounds")
    parser.add_argument("--batch-seconds", type=float, default=200.0, help="sound at once (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="the table to write: id, word, start, end in seconds")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    args = build_parser().parse_args(argv)
    try:
        predictor = load(args.checkpoint)
        if predictor.via is not SENSE:
            raise UserError(f"{args.checkpoint} is no model for sounds; name one with --checkpoint")
        examples = load_utterances(args.data, args.split, args.format)
        check_table(args.out, [*args.data, *(example.path for example in examples)])
        write_table(args.out, align(predictor.model, examples, args.batch_seconds), len(examples))
    except UserError as error:
        print(f"align: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
