"""The sense of reading: a sentence -> Text -> its tokens."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from tokenizers import Tokenizer

from multimodal_attn.senses.sense import Sense
from multimodal_attn.senses.text.encoder import TextBatch, TextEncoder, TextEncoderConfig
from multimodal_attn.senses.text.geometry import TextGeometry
from multimodal_attn.senses.text.media import Source, Text, read_text, text_files
from multimodal_attn.tokens import PAD

AHEAD = 16  # batches that are read before they are sorted by length


def read(source: Source, model: Any) -> Text:
    return read_text(source)


def pieces(source: Source | Text, model: Any) -> Iterator[Text]:
    """The sentence, if it is no longer than one."""
    yield read_text(source)


def batch(texts: Sequence[Text], model: Any) -> tuple[TextBatch, list[TextGeometry]]:
    """Sentences as the encoder reads them, and where each of their tokens stands in the sentence."""
    return tokenize([text.text for text in texts], model.reads_by)


def tokenize(texts: Sequence[str], tokenizer: Tokenizer) -> tuple[TextBatch, list[TextGeometry]]:
    found = tokenizer.encode_batch(list(texts))
    tokens = torch.full((len(found), max((len(each.ids) for each in found), default=0)), PAD)
    for row, each in zip(tokens, found, strict=True):
        row[: len(each.ids)] = torch.tensor(each.ids)
    spans = ([without_space(text, *span) for span in each.offsets] for text, each in zip(texts, found, strict=True))
    return TextBatch(tokens), [TextGeometry(text, tuple(each)) for text, each in zip(texts, spans, strict=True)]


def without_space(text: str, first: int, last: int) -> tuple[int, int]:
    """The stretch without the space before it, which the tokenizer counts to a word."""
    return first + len(text[first:last]) - len(text[first:last].lstrip()), last


def hide(text: TextBatch, keep: torch.Tensor, model: Any) -> TextBatch:
    """The sentence without those pieces, the others moved together."""
    kept = torch.where(keep.to(text.tokens.device), text.tokens, PAD)  # (G, S)
    order = (kept == PAD).to(torch.uint8).argsort(dim=1, stable=True)
    return TextBatch(kept.gather(1, order))


SENSE = Sense(
    kind="text",
    item=Text,
    config=TextEncoderConfig,
    encoder=TextEncoder,
    files=text_files,
    read=read,
    batch=batch,
    figure="multimodal_attn.figures.matrix.render_text",
    media="multimodal_attn.senses.text.viewer.text_media",
    pieces=pieces,
    problem=lambda text: text.problem,
    size=lambda text: len(text.text),
    ahead=AHEAD,
    hide=hide,
    closes_up=True,
    columns={"source": lambda trace: trace.geometry.text},
)
