"""What all tasks train by: a model, phases, free-running evaluation, and checkpoints that describe themselves."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import functional

from multimodal_attn.attention import Choice, reinforce
from multimodal_attn.checkpoint import describe, load_checkpoint
from multimodal_attn.decoders import DecoderConfig
from multimodal_attn.errors import ConfigError
from multimodal_attn.losses import coverage, cross_entropy, doubly_stochastic, grounding, guided_attention, mean_entropy
from multimodal_attn.memory import Memory
from multimodal_attn.model import Model, build_model, decode
from multimodal_attn.search import SearchConfig
from multimodal_attn.search.ctc import ctc_loss
from multimodal_attn.tokens import PAD, START
from multimodal_attn.trace import AttentionTrace, Origin
from tasks.training.data import Batch, SequenceData, pad_sentences
from tasks.training.fine_tuning import extend_vocabulary
from tasks.training.resume import described_model, restore_model, start_encoder
from tasks.training.schedule import Phase, Schedule, follow, limit


@dataclass(frozen=True)
class LossConfig:
    """What cross-entropy training minimises.

    Args:
        label_smoothing: share of the target spread over the vocabulary.
        doubly_stochastic: weight of the regulariser that asks for every place to be looked at (Xu et al. 2015, eq. 14).
        ctc: share of the CTC loss, the rest is cross-entropy's (Kim, Hori, Watanabe 2017, eq. 8); 0 for no CTC head.
        coverage: weight of the regulariser against looking twice at a place (See, Liu, Manning 2017, eq. 13).
        guided: weight of the one that asks for a diagonal of tokens and time (Tachibana 2018, section 4.1); for sounds.
        grounding: weight of the one that asks the places a token looks at to name it, each by itself.
        entropy: price of a nat of the weights' mean entropy; below 0 it is a reward, for a wider look.
    """

    label_smoothing: float = 0.1
    doubly_stochastic: float = 0.0
    ctc: float = 0.0
    coverage: float = 0.0
    guided: float = 0.0
    grounding: float = 0.0
    entropy: float = 0.0


# shared options that not every task can honour, and the values that leave them out
OPTIONAL = {"loss.ctc": 0.0, "loss.guided": 0.0, "schedule.self_critical_epochs": 0}


class SequenceModule(pl.LightningModule):
    """Base of all tasks. The model is built when the data is known, since the vocabulary comes from it.

    monitor: the validation score that decides which checkpoint is best. lower_is_better: whether it is an error.
    scores: those that the table of a comparison shows. honours: the OPTIONAL options that the task knows what to do
    with; another one that is set is a ConfigError. written: what its sentences are called. ready: the encoder that the
    config describes is a trained one. trained_whole: a comparison trains an encoder in every row. measured: patterns of
    the names of all scores, of which callbacks may watch one.
    """

    monitor: str
    measured: tuple[str, ...]
    lower_is_better = False
    scores: tuple[str, ...]
    honours: frozenset[str] = frozenset()
    written = "sentences"
    ready = False
    trained_whole = False
    resumes = False  # from a checkpoint of its own

    def __init__(
        self,
        encoder: Any,
        decoder: DecoderConfig,
        attention: dict[str, Any] | None,
        search: SearchConfig,
        loss: LossConfig,
        schedule: Schedule,
        encoder_from: str | None,
        checkpoint: str | None,
    ) -> None:
        super().__init__()
        self.encoder_config = encoder
        self.decoder_config = replace(decoder, attention=attention) if attention else decoder
        self.search, self.loss, self.schedule = search, loss, schedule
        check_honoured(self.honours, {"loss": loss, "schedule": schedule})
        self.encoder_from, self.checkpoint = encoder_from, checkpoint
        self.model: Model | None = None
        self.results: dict[int, AttentionTrace] = {}

    def configure_model(self) -> None:
        if self.checkpoint and self.resumes:
            return  # the run's own checkpoint brings the whole model, see on_load_checkpoint
        if self.model is None and self.checkpoint:
            self.model = load_checkpoint(Path(self.checkpoint))[0].train()
            if self.loss.ctc and not self.model.ctc:
                raise ConfigError(f"model.loss.ctc: {self.checkpoint} has no CTC head; set it to 0")
            if self.trainer.training:
                data = self.trainer.datamodule
                fresh = data.build_tokenizer(), data.build_source_tokenizer()
                self.model = extend_vocabulary(self.model, *fresh).train()
        elif self.model is None and self.trainer.training:
            data = self.trainer.datamodule
            configs, tokenizer = (self.encoder_config, self.decoder_config), data.build_tokenizer()
            source = data.build_source_tokenizer()
            self.model = build_model(*configs, tokenizer, self.loss.ctc > 0, source_tokenizer=source)
            if self.encoder_from and not self.trainer.ckpt_path:
                start_encoder(self.model.encoder, Path(self.encoder_from))

    @property
    def lr(self) -> float:
        """The decoder's peak learning rate, which Lightning's LearningRateFinder sets by this name."""
        return self.schedule.lr

    @lr.setter
    def lr(self, lr: float) -> None:
        self.schedule = replace(self.schedule, lr=lr)

    # -- steps --------------------------------------------------------------------------------------------------------

    @property
    def phase(self) -> Phase:
        return self.schedule.phase(self.current_epoch, limit(self.trainer.max_epochs))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        return self.joint_loss(self.read_memory(batch.inputs), batch.tokens)

    def read_memory(self, inputs: Any) -> Memory:
        """The encoder's output; in the frozen phase only the layers that were added to a ready encoder learn."""
        self.model.encoder.set_trainable(self.phase == "fine_tune")
        with torch.set_grad_enabled(self.phase != "self_critical"):
            return self.encode(inputs)

    def encode(self, inputs: Any) -> Memory:
        """What the decoder trains on: the encoder's output, and whatever a task changes on the way there."""
        return self.model.encoder(inputs)

    def sentence_loss(self, memory: Memory, tokens: Tensor) -> Tensor:
        """Cross-entropy of the sentences tokens (B, M, T) and the regularisers."""
        decoder = self.model.decoder
        features, weights, choice = decoder.unroll_choices(shift_right(tokens), decoder.read(memory))
        real = tokens != PAD
        logits = decoder.logits(features[real])
        loss = cross_entropy(logits, tokens[real], self.loss.label_smoothing)
        self.log("train/cross_entropy", loss, prog_bar=True)
        if choice is not None:
            loss = loss + draw_loss(choice, logits, tokens)
        if not weights.shape[-2]:
            return loss
        if self.loss.grounding:
            places = decoder.logits(decoder.bridged(memory).values).log_softmax(-1)
            grounded = grounding(weights.float(), places, tokens, real)
            self.log("train/grounding", grounded)
            loss = loss + self.loss.grounding * grounded
        return loss + self.regularisers(weights, real, memory)

    def regularisers(self, weights: Tensor, real: Tensor, memory: Memory) -> Tensor | float:
        """What the weights (B, M, T, N, S) of the real tokens cost, apart from the words."""
        config, weights = self.loss, weights.float()
        entropy = mean_entropy(weights if config.entropy else weights.detach(), real)
        self.log("train/attention_entropy", entropy)
        cost = config.entropy * entropy if config.entropy else 0.0
        if config.doubly_stochastic:
            cost = cost + config.doubly_stochastic * doubly_stochastic(weights, real)
        if config.coverage:
            cost = cost + config.coverage * coverage(weights, real)
        if config.guided:
            cost = cost + config.guided * guided_attention(weights, real, memory.n_places)
        return cost

    def joint_loss(self, memory: Memory, tokens: Tensor) -> Tensor:
        """The decoder's loss and the CTC head's, for one sentence per input: tokens (B, 1, T)."""
        share = self.loss.ctc
        loss = self.sentence_loss(memory, tokens) if share < 1 else 0.0
        if not share:
            return loss
        ctc = ctc_loss(self.model.ctc(memory), memory.mask, tokens[:, 0])
        self.log("train/ctc", ctc, prog_bar=True)
        return (1 - share) * loss + share * ctc

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        # Dropout and sampling are a function of the step, so a resumed run draws what the first would have drawn.
        torch.manual_seed(hash((self.trainer.datamodule.seed, self.global_rank, self.global_step)) % 2**63)

    def configure_optimizers(self) -> dict[str, Any]:
        encoder = list(self.model.encoder.parameters())
        known = set(encoder)
        others = [parameter for parameter in self.model.parameters() if parameter not in known]
        groups = [{"params": others}, {"params": encoder, "lr": self.schedule.encoder_lr}]
        fused = self.trainer.precision != "16-mixed"
        optimizer = torch.optim.AdamW(groups, self.schedule.lr, weight_decay=self.schedule.weight_decay, fused=fused)
        return follow(self.schedule, optimizer, self.trainer)

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        # Lightning refuses to clip for fused optimisers, which is needed only where gradients are scaled (fp16).
        if gradient_clip_val:
            torch.nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)

    # -- free-running evaluation --------------------------------------------------------------------------------------

    def search_batch(self, batch: Batch) -> dict[int, AttentionTrace]:
        """Sentences searched without looking at the references, by the input's index among the examples."""
        traces = decode(self.model, batch.inputs, batch.geometries, self.search, Origin())
        return dict(zip(batch.index.tolist(), traces, strict=True))

    def score(self, results: dict[int, AttentionTrace]) -> dict[str, float]:
        """The task's metrics over sentences and the examples' references."""
        raise NotImplementedError

    def report(self, results: dict[int, AttentionTrace]) -> str:
        """What `test` writes beside the scores, for people to read; empty for nothing."""
        return ""

    @property
    def data(self) -> SequenceData:
        """The task's."""
        return self.trainer.datamodule

    @property
    def examples(self) -> list[Any]:
        """What is being evaluated now."""
        return self.data.examples[self.data.split if self.trainer.testing or self.trainer.predicting else "val"]

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.results |= self.search_batch(batch)
        examples = [self.examples[index] for index in batch.index.tolist()]
        tokens = pad_sentences(self.data.sentences(self.model.tokenizer, examples)).to(batch.index.device)
        loss = self.reference_loss(self.model.encoder(batch.inputs), tokens)
        self.log("val/loss", loss, batch_size=int((tokens != PAD).sum()), sync_dist=self.trainer.world_size > 1)

    def reference_loss(self, memory: Memory, tokens: Tensor) -> Tensor:
        """What training minimises, without label smoothing and regularisers: tokens (B, M, T), in nats a token."""
        decoder, share, real = self.model.decoder, self.loss.ctc, tokens != PAD
        features, _ = decoder.unroll(shift_right(tokens), decoder.read(memory))
        loss = cross_entropy(decoder.logits(features[real]), tokens[real])
        if not share:
            return loss
        return (1 - share) * loss + share * ctc_loss(self.model.ctc(memory), memory.mask, tokens[:, 0])

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.results |= self.search_batch(batch)

    def predict_step(self, batch: Any, batch_idx: int) -> None:
        self.results |= self.search_batch(batch)

    def on_validation_epoch_start(self) -> None:
        self.results = {}

    def on_validation_epoch_end(self) -> None:
        self._finish("val")

    def on_test_epoch_end(self) -> None:
        self._finish("test")

    def on_predict_epoch_end(self) -> None:
        self.results = self._gather(self.results)

    def _finish(self, stage: str) -> None:
        self.results = self._gather(self.results)
        for name, value in self.score(self.results).items():
            self.log(f"{stage}/{name}", value, prog_bar=name == self.monitor)

    def _gather(self, results: dict[int, AttentionTrace]) -> dict[int, AttentionTrace]:
        """The results of all ranks, each input once."""
        if self.trainer.world_size == 1:
            return results
        shares: list[Any] = [None] * self.trainer.world_size
        torch.distributed.all_gather_object(shares, results)
        return {index: trace for share in shares for index, trace in share.items()}

    # -- checkpoints --------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["tokenizer"] = self.model.tokenizer.to_str()
        if self.model.source_tokenizer is not None:
            checkpoint["source_tokenizer"] = self.model.source_tokenizer.to_str()
        checkpoint["model_config"] = describe(self.model) | {"search": asdict(self.search)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Evaluation takes architecture and vocabulary from the checkpoint; Lightning then fills the parameters."""
        if self.model is None:
            self.model = restore_model(checkpoint)[0].train(self.trainer.training)
        _, self.model.tokenizer, self.model.source_tokenizer = described_model(checkpoint)


def shift_right(tokens: Tensor) -> Tensor:
    """What stands before each of tokens (..., T)."""
    return torch.cat([torch.full_like(tokens[..., :1], START), tokens[..., :-1]], -1)


def check_honoured(honours: frozenset[str], parts: dict[str, Any]) -> None:
    """Raises ConfigError for an OPTIONAL option that is set and that the task does not honour."""
    for option, unset in OPTIONAL.items():
        part, _, name = option.partition(".")
        if option not in honours and getattr(parts[part], name) != unset:
            raise ConfigError(f"model.{option}: this task does nothing with it; leave it at {unset:g}")


def draw_loss(choice: Choice, logits: Tensor, tokens: Tensor) -> Tensor:
    """REINFORCE for the places that hard attention drew: choice (B, M, T, N), logits (n, V) of the real ones of tokens
    (B, M, T). A sentence's baseline is the mean log-likelihood of the other sentences' tokens."""
    real = tokens != PAD
    logp = torch.zeros(tokens.shape, device=tokens.device)
    logp[real] = -functional.cross_entropy(logits.detach().float(), tokens[real], reduction="none")
    total, n = logp.sum(-1, keepdim=True), real.sum(-1, keepdim=True)  # (B, M, 1)
    baseline = (total.sum() - total) / (n.sum() - n).clamp_min(1)
    return reinforce(choice, logp, real, baseline)
