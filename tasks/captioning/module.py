"""Captioning under Lightning: cross-entropy, then self-critical training on CIDEr; validation by free-running search."""

from typing import Any

import torch
from torch import Tensor

from multimodal_attn.decoders import DecoderConfig
from multimodal_attn.encoders import ImageEncoderConfig
from multimodal_attn.losses import self_critical
from multimodal_attn.memory import Memory
from multimodal_attn.model import decode
from multimodal_attn.search import SearchConfig, sample
from multimodal_attn.tokens import END, PAD, START
from multimodal_attn.trace import AttentionTrace, Origin
from tasks.captioning.datamodule import CaptionBatch
from tasks.captioning.metrics import CIDEr, caption_scores
from tasks.module import LossConfig, Schedule, SequenceModule


class CaptioningModule(SequenceModule):
    """A picture in, a sentence out.

    Args:
        encoder: the CNN that reads pictures.
        decoder: the attention decoder that writes.
        search: how sentences are searched in validation, test and prediction.
        loss: what cross-entropy training minimises.
        schedule: when and how fast what is trained.
        n_samples: sentences drawn per picture in self-critical training.
    """

    def __init__(
        self,
        encoder: ImageEncoderConfig = ImageEncoderConfig(),  # noqa: B008 (frozen)
        decoder: DecoderConfig = DecoderConfig(),  # noqa: B008
        search: SearchConfig = SearchConfig(),  # noqa: B008
        loss: LossConfig = LossConfig(),  # noqa: B008
        schedule: Schedule = Schedule(),  # noqa: B008
        n_samples: int = 5,
    ) -> None:
        super().__init__(encoder, decoder, search, loss, schedule)
        self.n_samples = n_samples
        self.rewards: CIDErRewards | None = None
        self.results: list[tuple[int, AttentionTrace]] = []

    def training_step(self, batch: CaptionBatch, batch_idx: int) -> Tensor:
        memory = self.read_memory(batch.pictures)
        if self.phase == "self_critical":
            return self.reward_loss(memory, batch)
        return self.sentence_loss(memory, batch.tokens)

    def reward_loss(self, memory: Memory, batch: CaptionBatch) -> Tensor:
        """Draw sentences without dropout, score each with CIDEr, and make the better ones more probable."""
        if self.rewards is None:
            self.rewards = CIDErRewards(self.trainer.train_dataloader.dataset.captions)
        decoder = self.model.decoder.eval()
        with torch.no_grad():
            tokens = sample(decoder, decoder.read(memory), self.n_samples, self.search.max_length)
        rewards = self.rewards(tokens, batch.index).to(tokens.device)
        decoder.train()
        before = torch.cat([torch.full_like(tokens[..., :1], START), tokens[..., :-1]], -1)
        features, _ = decoder.unroll(before, decoder.read(memory))
        real = tokens != PAD
        logp = torch.zeros(tokens.shape, device=tokens.device)
        chosen = decoder.logits(features[real]).float().log_softmax(-1).gather(-1, tokens[real].unsqueeze(-1))
        logp[real] = chosen.squeeze(-1)
        self.log("train/sample_cider", rewards.mean(), prog_bar=True)
        return self_critical(logp, rewards, real)

    # -- free-running validation and test -----------------------------------------------------------------------------

    def caption(self, batch: CaptionBatch) -> list[AttentionTrace]:
        geometries = [self.model.encoder.geometry(*size) for size in batch.sizes.tolist()]
        return decode(self.model, batch.pictures, geometries, self.search, Origin())

    def validation_step(self, batch: CaptionBatch, batch_idx: int) -> None:
        self.results += zip(batch.index.tolist(), self.caption(batch), strict=True)

    def test_step(self, batch: CaptionBatch, batch_idx: int) -> None:
        self.validation_step(batch, batch_idx)

    def predict_step(self, batch: CaptionBatch, batch_idx: int) -> list[tuple[int, AttentionTrace]]:
        return list(zip(batch.index.tolist(), self.caption(batch), strict=True))

    def on_validation_epoch_end(self) -> None:
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        self._log_scores("test")

    def _log_scores(self, stage: str) -> None:
        examples = self.trainer.datamodule.examples["val" if stage == "val" else self.trainer.datamodule.split]
        texts = {index: trace.text for index, trace in self._gather(self.results)}
        self.results = []
        scores = caption_scores(list(texts.values()), [list(examples[index].captions) for index in texts])
        for name, value in scores.items():
            self.log(f"{stage}/{name}", value, prog_bar=name == "cider")

    def _gather(self, results: list[Any]) -> list[Any]:
        """The results of all ranks, each input once."""
        if self.trainer.world_size == 1:
            return results
        shares: list[Any] = [None] * self.trainer.world_size
        torch.distributed.all_gather_object(shares, results)
        return [result for share in shares for result in share]


class CIDErRewards:
    """CIDEr-D of sampled ids against each training picture's captions; END counts as a word, so that a sentence that
    breaks off earns less."""

    def __init__(self, captions: list[list[list[int]]]) -> None:
        self.cider = CIDEr(captions)
        self.references = [self.cider.prepare(group) for group in captions]

    def __call__(self, tokens: Tensor, index: Tensor) -> Tensor:
        """tokens (B, M, T) of the pictures index (B,) -> rewards (B, M)."""
        sentences = [ids[: ids.index(END) + 1] for ids in tokens.flatten(0, 1).tolist()]
        references = [self.references[i] for i in index.tolist() for _ in range(tokens.shape[1])]
        return torch.from_numpy(self.cider.score(sentences, references)).float().view(tokens.shape[:2])
