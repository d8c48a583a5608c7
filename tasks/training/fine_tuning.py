"""Going on from a released model with one's own data: `fit --from FOLDER --data.root mine/`."""

import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_info
from tokenizers import Tokenizer
from torch import Tensor

from multimodal_attn.checkpoint import describe, model_from_dict
from multimodal_attn.model import Model
from multimodal_attn.parameters import fill_from_state
from tasks.training.resume import RUNS

# little data makes few steps of small batches; the encoder is good already
SCHEDULE = {"frozen_epochs": 0, "self_critical_epochs": 0, "lr": 2e-3, "encoder_lr": 1e-4, "warmup_steps": 20}
# a published model has learned from far more, and forgets it at such rates; some of its tokens are never said
SCHEDULE_OF_PUBLISHED = SCHEDULE | {"lr": 1e-5, "encoder_lr": 1e-5}
LOSS_OF_PUBLISHED = {"label_smoothing": 0.0}
N_EPOCHS = 10
BATCH_SIZE = 8


def fine_tuning_config(config: dict[str, Any], folder: Path, task: str, of_root: Collection[str]) -> dict[str, Any]:
    """The config that a released model was trained with, made one to go on from it with other data; one without `data`
    is of a model that was not trained here."""
    model, data, trainer = (dict(config.get(name) or {}) for name in ("model", "data", "trainer"))
    schedule, loss = (SCHEDULE, {}) if data else (SCHEDULE_OF_PUBLISHED, LOSS_OF_PUBLISHED)
    model |= {"encoder_from": None, "schedule": dict(model.get("schedule") or {}) | schedule}
    model |= {"loss": dict(model.get("loss") or {}) | loss}
    data = {name: value for name, value in data.items() if name not in (*of_root, "root", "min_count", "val_share")}
    data |= {"batch_size": BATCH_SIZE} if "batch_size" in data else {}
    if "splice" in data.get("augmentation", {}):
        data["augmentation"] = data["augmentation"] | {"splice": 0.0}  # by word times, which other data lacks
    trainer |= {"max_epochs": N_EPOCHS, "max_steps": -1, "check_val_every_n_epoch": 1, "log_every_n_steps": 1}
    trainer |= {"default_root_dir": str(RUNS / task / f"from-{folder.resolve().name}")}
    others = {name: value for name, value in config.items() if name not in ("model", "data", "trainer", "ckpt_path")}
    for saver in ("best", "last"):
        others[saver] = dict(others.get(saver) or {}) | {"dirpath": None}
    return others | {"model": model, "data": data, "trainer": trainer}


def extend_vocabulary(model: Model, fresh: Tokenizer, fresh_source: Tokenizer | None = None) -> Model:
    """The model with the words, or letters, of another vocabulary that its own lacks: each begins as the mean of all.

    fresh_source: for what it reads, where it reads by a vocabulary of its own; else `fresh` is of both.
    A language model and a word model know nothing of them, and are left out then. The model itself where there is none.
    """
    tokenizer = extended(model.tokenizer, fresh.get_vocab())
    source, of_source = model.source_tokenizer, fresh if fresh_source is None else fresh_source
    source = None if source is None else extended(source, of_source.get_vocab())
    n_new = tokenizer.get_vocab_size() - model.tokenizer.get_vocab_size()
    if not n_new and (source is None or source.get_vocab_size() == model.source_tokenizer.get_vocab_size()):
        return model
    rank_zero_info(f"vocabulary: {n_new} tokens more than the {model.tokenizer.get_vocab_size()} of the model")
    described = describe(model) | {"language": None, "words": None}
    wider = model_from_dict(described, tokenizer, Path("the model"), source)
    known = model.state_dict()
    fill_from_state(wider, {name: widened(known[name], like) for name, like in wider.state_dict().items()}, "the model")
    return wider


def extended(tokenizer: Tokenizer, tokens: Iterable[str]) -> Tokenizer:
    """With those tokens that it lacks: words, or of pieces the single letters, which all others can be spelled by."""
    content = json.loads(tokenizer.to_str())
    vocabulary, of_words = content["model"]["vocab"], content["model"]["type"] == "WordLevel"
    new = sorted(token for token in tokens if token not in vocabulary and (of_words or len(token) == 1))
    content["model"]["vocab"] = vocabulary | {token: len(vocabulary) + n for n, token in enumerate(new)}
    return Tokenizer.from_str(json.dumps(content))


def widened(known: Tensor, like: Tensor) -> Tensor:
    """Rows (V, ...) and, for every further one that `like` has, their mean."""
    n_new = len(like) - len(known) if like.dim() else 0
    if not n_new:
        return known
    return torch.cat([known, known.mean(0, keepdim=True).expand(n_new, *known.shape[1:])])
