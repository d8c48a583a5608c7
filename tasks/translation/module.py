"""Translation under Lightning: cross-entropy of the attention decoder; free-running validation."""

from typing import Any

from multimodal_attn.decoders import DecoderConfig
from multimodal_attn.search import SearchConfig
from multimodal_attn.senses.text.encoder import TextEncoderConfig
from multimodal_attn.trace import AttentionTrace
from tasks.training.module import LossConfig, SequenceModule
from tasks.training.schedule import Schedule
from tasks.translation.metrics import translation_scores


class TranslationModule(SequenceModule):
    """A sentence in, its translation out.

    Args:
        encoder: the network that reads.
        decoder: the attention decoder that writes.
        attention: the mechanism, in place of the decoder's own: {score, align, heads, ...}, see `attention list`.
        search: how translations are searched in validation, test and prediction.
        loss: what training minimises.
        schedule: when and how fast what is trained.
        encoder_from: a checkpoint, folder or file, whose encoder's parameters training starts from.
        checkpoint: a checkpoint folder to start from; its architecture and vocabulary replace those named here.
    """

    monitor = "bleu"
    measured = ("loss", "bleu", "chrf", "attention/*")
    scores = ("bleu", "chrf")
    written = "translations"
    trained_whole = True

    def __init__(
        self,
        encoder: TextEncoderConfig = TextEncoderConfig(),  # noqa: B008 (frozen)
        decoder: DecoderConfig = DecoderConfig(dim=256),  # noqa: B008
        attention: dict[str, Any] | None = None,
        search: SearchConfig = SearchConfig(no_repeat=0, max_length=100),  # noqa: B008
        loss: LossConfig = LossConfig(),  # noqa: B008
        schedule: Schedule = Schedule(frozen_epochs=0, encoder_lr=1e-3),  # noqa: B008
        encoder_from: str | None = None,
        checkpoint: str | None = None,
    ) -> None:
        super().__init__(encoder, decoder, attention, search, loss, schedule, encoder_from, checkpoint)

    def score(self, results: dict[int, AttentionTrace]) -> dict[str, float]:
        texts = [trace.text for trace in results.values()]
        references = [self.examples[index].target for index in results]
        return translation_scores(texts, references, self.data.target)

    def report(self, results: dict[int, AttentionTrace]) -> str:
        """Every sentence, its translation and the reference."""
        examples = ((self.examples[index], trace) for index, trace in sorted(results.items()))
        return "\n".join(f"{pair.row}\n  {pair.source}\n  {trace.text}\n= {pair.target}\n" for pair, trace in examples)


MODULE = TranslationModule
