"""Predictor: one object from a file to a trace. `load("checkpoints/captioning-flickr8k")("dog.jpg")`."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from multimodal_attn.checkpoint import load_checkpoint
from multimodal_attn.errors import ConfigError, MediaError
from multimodal_attn.media import Picture, Source, read_picture
from multimodal_attn.model import Model, decode
from multimodal_attn.search import SearchConfig
from multimodal_attn.trace import AttentionTrace, Origin


class Predictor:
    """A released model, ready for people's files. Holds no state between calls, so threads may share one."""

    def __init__(
        self, model: Model, search: SearchConfig, config: dict[str, Any], name: str, device: str = "cpu"
    ) -> None:
        self.model = model
        self.search, self.config, self.name, self.device = search, config, name, device

    def __call__(self, source: Source | Picture, **options: Any) -> AttentionTrace:
        """The trace of one picture: a path, bytes, a PIL image, an array, or a Picture that was read before.

        options override the checkpoint's search defaults: beam, length_penalty, no_repeat, min_length, max_length.
        Raises MediaError for a picture that cannot be used, ConfigError for an option that does not exist.
        """
        return self.batch([self.read(source)], **options)[0]

    def read(self, source: Source | Picture) -> Picture:
        """Decode a picture, no larger than the encoder needs."""
        return (
            source
            if isinstance(source, Picture)
            else read_picture(source, min_side_hint=self.model.encoder.config.size)
        )

    def batch(self, pictures: Sequence[Picture], **options: Any) -> list[AttentionTrace]:
        """The traces of several pictures, encoded and searched together; each as if it were alone."""
        if not pictures:
            return []
        search, encoder = search_with(self.search, options), self.model.encoder
        frames = torch.stack([encoder.framing.frame(picture.image) for picture in pictures]).to(self.device)
        geometries = [encoder.geometry(picture.width, picture.height) for picture in pictures]
        return decode(self.model, frames, geometries, search, self.origin(search))

    def stream(
        self, sources: Sequence[Source], batch_size: int = 32, **options: Any
    ) -> Iterator[tuple[Source, AttentionTrace | MediaError]]:
        """(source, trace or the reason why there is none) for every source, in order; one bad picture stops nothing."""
        search_with(self.search, options)
        for start in range(0, len(sources), batch_size):
            some = sources[start : start + batch_size]
            read = [self._try_read(source) for source in some]
            traces = iter(self.batch([picture for picture in read if isinstance(picture, Picture)], **options))
            for source, picture in zip(some, read, strict=True):
                yield source, picture if isinstance(picture, MediaError) else next(traces)

    def origin(self, search: SearchConfig) -> Origin:
        return Origin(self.name, self.config["sha256"]["model.safetensors"], asdict(search))

    def _try_read(self, source: Source) -> Picture | MediaError:
        try:
            return self.read(source)
        except MediaError as error:
            return error


def load(path: str | Path, device: str = "cpu") -> Predictor:
    """Open a checkpoint folder. Raises CheckpointError when it is missing, damaged, or of another format."""
    folder = Path(path)
    model, search, config = load_checkpoint(folder)
    try:
        model.to(device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device {device!r} cannot be used here; cpu always can") from error
    return Predictor(model, search, config, folder.resolve().name, device)


def search_with(search: SearchConfig, options: dict[str, Any]) -> SearchConfig:
    """The search defaults with some changed; options that are None change nothing."""
    if unknown := sorted(set(options) - set(asdict(search))):
        raise ConfigError(f"no search option {unknown[0]!r}; known: {', '.join(asdict(search))}")
    return replace(search, **{key: value for key, value in options.items() if value is not None})
