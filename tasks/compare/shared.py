"""What the rows of a comparison have in common: one frozen encoder's features of the data, or only the data."""

from copy import copy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytorch_lightning as pl
import torch
from tokenizers import Tokenizer
from torch import nn

from multimodal_attn.configs import config_from_json
from multimodal_attn.decoders import DecoderConfig, build_decoder
from multimodal_attn.errors import ConfigError
from multimodal_attn.model import Model, build_model
from tasks.compare.features import FeatureData, FeatureReader, module_on_features, open_features, parameters_sha256
from tasks.training.data import SequenceData
from tasks.training.loader import ResumableLoader
from tasks.training.module import SequenceModule


class Variant(NamedTuple):
    """What a row has of its own: its mechanism, and options of encoder and decoder in place of those of all."""

    attention: dict[str, Any]
    encoder: dict[str, Any]
    decoder: dict[str, Any]

    @classmethod
    def of(cls, mechanism: dict[str, Any]) -> "Variant":
        attention = {key: value for key, value in mechanism.items() if key not in ("encoder", "decoder")}
        return cls(attention, mechanism.get("encoder", {}), mechanism.get("decoder", {}))

    def decoder_config(self, base: DecoderConfig) -> DecoderConfig:
        """Raises ConfigError for an option that does not exist."""
        decoder = with_options(base, self.decoder, "decoder")
        return replace(decoder, attention=self.attention)


def with_options(config: Any, options: dict[str, Any], part: str) -> Any:
    """A config with some options changed. Raises ConfigError for one that does not exist or has no such value."""
    known = asdict(config)
    if unknown := [name for name in options if name not in known]:
        raise ConfigError(f"attention: {part} has no option {unknown[0]!r}; known: {', '.join(known)}")
    return config_from_json(type(config), known | options, part)


class Shared(Protocol):
    """data: what is trained and validated on, in the order of a seed. module: a fresh one of a row. batches: the
    training set once. whole: the model that is saved. reading: of a saved model, what validates on `data`. check:
    raises ConfigError for a row that cannot be built. facts: what the results depend on. words: the same for people."""

    tokenizer: Tokenizer
    facts: dict[str, Any]
    words: str

    def data(self, seed: int) -> pl.LightningDataModule: ...
    def module(self, variant: Variant) -> SequenceModule: ...
    def batches(self) -> ResumableLoader: ...
    def whole(self, model: Model) -> Model: ...
    def reading(self, model: Model) -> Model: ...
    def check(self, variant: Variant) -> None: ...


class FrozenEncoder:
    """One encoder, whose features of every input are computed once, so that only decoders are trained."""

    def __init__(self, base: SequenceModule, data: SequenceData, encoder: nn.Module, folder: Path) -> None:
        self.base, self.examples, self.encoder = base, data, encoder.requires_grad_(False).eval()
        self.stores = {split: open_features(folder, self.encoder, data, split) for split in ("train", "val")}
        self.tokenizer = data.build_tokenizer()
        self.facts = {"config": asdict(encoder.config), "sha256": parameters_sha256(encoder)}
        self.words = (
            f"the frozen encoder {encoder.config.name} ({self.facts['sha256'][:12]}), whose features of the whole "
            f"{encoder.sense}s were computed once, without augmentation; a fresh decoder"
        )

    def data(self, seed: int) -> FeatureData:
        return FeatureData(self.examples, self.stores, self.tokenizer, seed)

    def module(self, variant: Variant) -> SequenceModule:
        return module_on_features(self.base, self.encoder, variant.decoder_config(self.base.decoder_config))

    def batches(self) -> ResumableLoader:
        return self.data(self.examples.seed).train_dataloader()

    def whole(self, model: Model) -> Model:
        return Model(self.encoder, model.decoder, model.tokenizer)

    def reading(self, model: Model) -> Model:
        return Model(FeatureReader(model.encoder), model.decoder, model.tokenizer)

    def check(self, variant: Variant) -> None:
        if variant.encoder:
            raise ConfigError("attention: all rows share one frozen encoder; leave `encoder` out")
        config = variant.decoder_config(self.base.decoder_config)
        with torch.device("meta"):
            build_decoder(config, self.encoder.dim, self.tokenizer.get_vocab_size())


class WholeModels:
    """Only the data and its vocabulary: every row trains an encoder of its own too."""

    def __init__(self, base: SequenceModule, data: SequenceData) -> None:
        self.base, self.examples = base, data
        self.tokenizer, self.source_tokenizer = data.build_tokenizer(), data.build_source_tokenizer()
        self.facts = {"config": asdict(base.encoder_config)}
        self.words = f"a fresh encoder ({base.encoder_config.name}), a fresh decoder"

    def data(self, seed: int) -> SequenceData:
        data = copy(self.examples)
        data.seed = seed
        return data

    def module(self, variant: Variant) -> SequenceModule:
        base = self.base
        encoder = with_options(base.encoder_config, variant.encoder, "encoder")
        decoder = variant.decoder_config(base.decoder_config)
        own = {"vocabularies": (self.tokenizer, self.source_tokenizer)}
        kind = type(f"{type(base).__name__}FromSeed", (FromSeed, type(base)), own)
        return kind(encoder, decoder, search=base.search, loss=base.loss, schedule=base.schedule)

    def batches(self) -> ResumableLoader:
        return self.examples.training(self._build(Variant({}, {}, {})))

    def whole(self, model: Model) -> Model:
        return model

    def reading(self, model: Model) -> Model:
        return model

    def check(self, variant: Variant) -> None:
        self._build(variant)

    def _build(self, variant: Variant) -> Model:
        """Without memory for parameters."""
        with torch.device("meta"):
            return self.module(variant).build()


class FromSeed(SequenceModule):
    """Mixed into a task's module: its first parameters are a function of the data's seed."""

    vocabularies: tuple[Tokenizer, Tokenizer | None]

    def configure_model(self) -> None:
        if self.model is None:
            torch.manual_seed(self.trainer.datamodule.seed)
            self.model = self.build()

    def build(self) -> Model:
        tokenizer, source = self.vocabularies
        return build_model(self.encoder_config, self.decoder_config, tokenizer, source_tokenizer=source)
