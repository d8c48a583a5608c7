"""Captioning under Lightning: cross-entropy, then self-critical training on CIDEr; free-running validation."""

from typing import Any

import torch
from torch import Tensor

from multimodal_attn.decoders import DecoderConfig
from multimodal_attn.losses import self_critical
from multimodal_attn.memory import Memory
from multimodal_attn.search import SearchConfig, sample, without_specials
from multimodal_attn.senses.picture.encoder import ImageEncoderConfig
from multimodal_attn.tokens import END, START
from multimodal_attn.trace import AttentionTrace
from tasks.captioning.metrics import CIDEr, caption_scores
from tasks.training.data import Batch
from tasks.training.module import LossConfig, SequenceModule
from tasks.training.schedule import Schedule


class CaptioningModule(SequenceModule):
    """A picture in, a sentence out.

    Args:
        encoder: the CNN that reads pictures.
        decoder: the attention decoder that writes.
        attention: the mechanism, in place of the decoder's own: {score, align, heads, ...}, see `attention list`.
        search: how sentences are searched in validation, test and prediction.
        loss: what cross-entropy training minimises.
        schedule: when and how fast what is trained.
        n_samples: sentences drawn per picture in self-critical training.
        meteor: score METEOR too in `test`; needs Java and the extra `meteor`.
        encoder_from: a checkpoint, folder or file, whose encoder's parameters training starts from; that encoder may
            have fewer layers.
        checkpoint: a checkpoint folder to start from; its architecture and vocabulary replace those named here.
    """

    monitor = "cider"
    measured = ("loss", "bleu*", "rouge_l", "cider", "attention/*")
    scores = ("cider", "bleu4", "rouge_l")
    honours = frozenset({"schedule.self_critical_epochs"})
    written = "captions"
    ready = True

    def __init__(
        self,
        encoder: ImageEncoderConfig = ImageEncoderConfig(),  # noqa: B008 (frozen)
        decoder: DecoderConfig = DecoderConfig(),  # noqa: B008
        attention: dict[str, Any] | None = None,
        search: SearchConfig = SearchConfig(),  # noqa: B008
        loss: LossConfig = LossConfig(),  # noqa: B008
        schedule: Schedule = Schedule(),  # noqa: B008
        n_samples: int = 5,
        meteor: bool = False,
        encoder_from: str | None = None,
        checkpoint: str | None = None,
    ) -> None:
        super().__init__(encoder, decoder, attention, search, loss, schedule, encoder_from, checkpoint)
        self.n_samples, self.meteor = n_samples, meteor
        self.rewards: CIDErRewards | None = None

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        if self.phase == "self_critical":
            return self.reward_loss(self.read_memory(batch.inputs), batch)
        return super().training_step(batch, batch_idx)

    def reward_loss(self, memory: Memory, batch: Batch) -> Tensor:
        """Draw sentences, score each with CIDEr, and make the better ones more probable.

        Without dropout: it would make the gradient that of another policy than the one that drew, and bad sentences,
        improbable already, would be pushed down without end.
        """
        if self.rewards is None:
            self.rewards = CIDErRewards(self.trainer.train_dataloader.dataset.captions)
        decoder = self.model.decoder
        decoder.set_dropout(False)
        source = decoder.read(memory)
        tokens, drawn = sample(decoder, source, self.n_samples, self.search.max_length)
        rewards = self.rewards(tokens, batch.index).to(tokens.device)
        before = torch.cat([torch.full_like(tokens[..., :1], START), tokens[..., :-1]], -1)
        features, _ = decoder.unroll(before, source)
        decoder.set_dropout(True)
        chances = without_specials(decoder.logits(features[drawn]).float()).log_softmax(-1)
        logp = torch.zeros(tokens.shape, device=tokens.device)
        logp[drawn] = chances.gather(-1, tokens[drawn].unsqueeze(-1)).squeeze(-1)
        self.log("train/sample_cider", rewards.mean(), prog_bar=True)
        self.log("train/sample_length", drawn.sum(-1).float().mean())
        return self_critical(logp, rewards, drawn)

    def score(self, results: dict[int, AttentionTrace]) -> dict[str, float]:
        references = [list(self.examples[index].captions) for index in results]
        with_meteor = self.meteor and self.trainer.testing
        return caption_scores([trace.text for trace in results.values()], references, with_meteor)


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


MODULE = CaptioningModule
