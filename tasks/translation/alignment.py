"""`python -m tasks.translation.alignment FOLDER TABLE`: how often a model looks most at the word that it writes for.

TABLE: sentences, their translations and the words that belong together, as people aligned them: columns for the two
languages and `links`, such as `汤姆=Tom 毕业=graduate 中学=high_school`, the translation's words first.
"""

import argparse
import csv
import io
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from multimodal_attn.errors import DataError, UserError
from multimodal_attn.model import Model, trace_sentences
from multimodal_attn.predictor import load
from multimodal_attn.search import Hypotheses
from multimodal_attn.senses.text.sense import tokenize
from multimodal_attn.tokens import text_to_ids
from multimodal_attn.trace import AttentionTrace, Origin
from tasks.training.tables import read_text

Span = tuple[int, int]  # first and last + 1 letter
WORD = re.compile(r"[\w']+|[^\w\s]")


@dataclass(frozen=True)
class Aligned:
    """A sentence, its translation, and pairs of a stretch of the translation and one of the sentence."""

    source: str
    target: str
    links: tuple[tuple[Span, Span], ...]


def read_aligned(path: Path, source: str, target: str) -> list[Aligned]:
    """Raises DataError, naming the line, for a column that is not there and a word that is not in its sentence."""
    rows = csv.DictReader(io.StringIO(read_text(path)), delimiter="\t", quoting=csv.QUOTE_NONE)
    if missing := [name for name in (source, target, "links") if name not in (rows.fieldnames or ())]:
        raise DataError(f"{path}:1: no column {missing[0]!r}")
    return [
        Aligned(row[source], row[target], tuple(read_links(row[source], row[target], row["links"], f"{path}:{n}")))
        for n, row in enumerate(rows, start=2)
    ]


def read_links(source: str, target: str, links: str, where: str) -> Iterator[tuple[Span, Span]]:
    for link in links.split():
        said, _, word = link.replace("_", " ").partition("=")
        first, place = target.find(said), source.find(word)
        if not (said and word) or min(first, place) < 0:
            raise DataError(f"{where}: {link!r} names a word that is not there")
        yield (first, first + len(said)), (place, place + len(word))


@torch.inference_mode()
def trace_given(model: Model, source: str, target: str) -> AttentionTrace:
    """The trace of a model that is made to write `target`."""
    batch, geometries = tokenize([source], model.reads_by)
    sentence = Hypotheses(torch.tensor([[text_to_ids(model.tokenizer, target)]]), torch.zeros(1, 1))
    return trace_sentences(model, model.read(batch), sentence, geometries, Origin())[0]


def word_spans(text: str) -> list[Span]:
    """The words of a text, and its signs, each by itself."""
    return [found.span() for found in WORD.finditer(text)]


def word_weights(trace: AttentionTrace, tokens: Sequence[int]) -> dict[Span, float]:
    """What each word of the sentence gets from some tokens in the mean, its pieces together."""
    words = word_spans(trace.geometry.text)
    found = dict.fromkeys(words, 0.0)
    for (first, _), weight in zip(trace.geometry.spans, trace.weights[list(tokens)].mean((0, 1)), strict=True):
        found[next((word for word in words if word[0] <= first < word[1]), words[-1])] += float(weight)
    return found


def judge(model: Model, pair: Aligned) -> list[bool]:
    """Of each link, whether the word with most of the attention of the said word's tokens is one that it is for."""
    trace = trace_given(model, pair.source, pair.target)
    offsets = model.tokenizer.encode(pair.target).offsets
    judged = []
    for (first, last), (left, right) in pair.links:
        tokens = [t for t, (start, end) in enumerate(offsets) if start < last and end > first]
        weights = word_weights(trace, tokens)
        start, end = max(weights, key=weights.get)
        judged.append(start < right and end > left)
    return judged


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m tasks.translation.alignment", description=__doc__)
    parser.add_argument("folder", type=Path, help="a checkpoint folder")
    parser.add_argument("table", type=Path)
    parser.add_argument("--source", default="en", help="the column of the sentences (default: %(default)s)")
    parser.add_argument("--target", default="zh", help="that of the translations (default: %(default)s)")
    args = parser.parse_args(argv)
    pairs, model = read_aligned(args.table, args.source, args.target), load(args.folder).model
    judged = [judge(model, pair) for pair in pairs]
    right, n = sum(map(sum, judged)), sum(map(len, judged))
    print(f"{right} of {n} words in {len(pairs)} sentences look most at the word that they are for: {right / n:.3f}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(str(error))
