"""Speech under Lightning: cross-entropy of the attention decoder joined with CTC; free-running validation."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from multimodal_attn.decoders import DecoderConfig
from multimodal_attn.memory import Memory
from multimodal_attn.search import SearchConfig
from multimodal_attn.senses.sound.encoder import AudioEncoderConfig
from multimodal_attn.senses.sound.logmel import SoundBatch
from multimodal_attn.senses.sound.whisper import WhisperEncoderConfig
from multimodal_attn.trace import AttentionTrace
from multimodal_attn.trace.times import start_errors
from tasks.speech.datasets import Utterance
from tasks.speech.metrics import error_report, speech_scores
from tasks.speech.spoken import spoken_text
from tasks.speech.transforms import Augmentation, change_features, change_sounds
from tasks.training.module import LossConfig, SequenceModule
from tasks.training.schedule import Schedule


class SpeechModule(SequenceModule):
    """A sound in, its transcript out.

    Args:
        encoder: the network that listens.
        decoder: the attention decoder that writes.
        attention: the mechanism, in place of the decoder's own: {score, align, heads, ...}, see `attention list`.
        search: how transcripts are searched in validation, test and prediction.
        loss: what training minimises.
        schedule: when and how fast what is trained.
        encoder_from: a checkpoint, folder or file, whose encoder's parameters training starts from; that encoder may
            have fewer layers.
        checkpoint: a checkpoint folder to start from; its architecture and vocabulary replace those named here.
    """

    monitor = "wer"
    lower_is_better = True
    measured = ("loss", "wer*", "cer*", "substitutions", "deletions", "insertions", "start_*", "attention/*")
    scores = ("wer", "cer", "start_ms/attention")
    honours = frozenset({"loss.ctc", "loss.guided"})
    written = "transcripts"

    def __init__(
        self,
        encoder: AudioEncoderConfig | WhisperEncoderConfig = AudioEncoderConfig(),  # noqa: B008 (frozen)
        decoder: DecoderConfig = DecoderConfig(dim=256),  # noqa: B008
        attention: dict[str, Any] | None = None,
        search: SearchConfig = SearchConfig(no_repeat=0, max_length=120),  # noqa: B008
        loss: LossConfig = LossConfig(ctc=0.5),  # noqa: B008
        schedule: Schedule = Schedule(frozen_epochs=0, encoder_lr=1e-3),  # noqa: B008
        encoder_from: str | None = None,
        checkpoint: str | None = None,
    ) -> None:
        super().__init__(encoder, decoder, attention, search, loss, schedule, encoder_from, checkpoint)

    def encode(self, inputs: SoundBatch) -> Memory:
        """Sounds and their features are changed at random on the way."""
        encoder, options = self.model.encoder, self.augmentation
        with torch.no_grad():
            features = change_features(encoder.features(change_sounds(inputs, options)), options)
        return encoder.encode(features)

    @property
    def augmentation(self) -> Augmentation:
        return self.trainer.datamodule.augmentation

    def score(self, results: dict[int, AttentionTrace]) -> dict[str, float]:
        examples = [self.examples[index] for index in results]
        texts, true = both_spoken(results, examples)
        scores = speech_scores(texts, true, [example.set for example in examples])
        return scores | self.timing_scores(results)

    def timing_scores(self, results: dict[int, AttentionTrace]) -> dict[str, float]:
        """Median distance in ms from the true start of every word that was recognised, by attention and by CTC."""
        times = self.data.word_times
        pairs = [(trace.words, times.get(self.examples[index].id, [])) for index, trace in results.items()]
        pairs = [([replace(word, text=spoken_text(word.text)) for word in words], true) for words, true in pairs]
        by_ctc = [([replace(w, start=w.ctc[0]) for w in words if w.ctc], true) for words, true in pairs]
        errors = {
            name: np.concatenate([start_errors(words, true) for words, true in some] or [np.zeros(0)])
            for name, some in (("attention", pairs), ("ctc", by_ctc))
        }
        scores = {f"start_ms/{name}": float(np.median(np.abs(found))) for name, found in errors.items() if len(found)}
        lags = {f"start_lag_ms/{name}": float(np.median(found)) for name, found in errors.items() if len(found)}
        return scores | lags

    def report(self, results: dict[int, AttentionTrace]) -> str:
        """Every utterance's errors, aligned, and the most frequent confusions."""
        examples = [self.examples[index] for index in results]
        return error_report(*both_spoken(results, examples), [example.id for example in examples])


def both_spoken(results: dict[int, AttentionTrace], examples: Sequence[Utterance]) -> tuple[list[str], list[str]]:
    """What was heard and what was said, both as it is spoken."""
    return [spoken_text(trace.text) for trace in results.values()], [spoken_text(example.text) for example in examples]


MODULE = SpeechModule
