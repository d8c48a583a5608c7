"""Any CNN of torchvision or timm by its name, without its head: pixels in, the feature maps of chosen stages out."""

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import timm
import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn

from multimodal_attn.errors import ConfigError
from multimodal_attn.senses.picture.centres import Centre, map_centres

IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and deviation of its colours
TIMM = "timm/"  # in front of a name that torchvision has too


@dataclass(frozen=True)
class Native:
    """What a network was made for: the side of its pictures in pixels, and mean and deviation of its colours."""

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


class TorchvisionTrunk(nn.Sequential):
    """The network's blocks; forward(x) gives the maps (B, D, n, n) behind the blocks `taps`."""

    def __init__(self, blocks: list[nn.Module], taps: list[int]) -> None:
        super().__init__(*blocks[: taps[-1] + 1])
        self.taps = taps

    @property
    def blocks(self) -> list[nn.Module]:
        return list(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for position, block in enumerate(self):
            x = block(x)
            if position in self.taps:
                maps.append(x)
        return maps


class TimmTrunk(nn.Module):
    """The network itself; forward(x) gives the maps (B, D, n, n) of its stages `taps`, and of its end if `whole`."""

    def __init__(self, model: nn.Module, taps: list[int], whole: bool) -> None:
        super().__init__()
        self.model, self.taps, self.whole = model, taps, whole
        if not whole:
            model.prune_intermediate_layers(taps, prune_norm=True)

    @property
    def blocks(self) -> list[nn.Module]:
        children = (list(child) if isinstance(child, nn.Sequential) else [child] for child in self.model.children())
        return [block for group in children for block in group]

    def forward(self, x: Tensor) -> list[Tensor]:
        if not self.taps:
            return [self.model.forward_features(x)]
        if not self.whole:
            return self.model.forward_intermediates(x, indices=self.taps, stop_early=True, intermediates_only=True)
        last, maps = self.model.forward_intermediates(x, indices=self.taps)
        return [*maps, last]


Trunk = TorchvisionTrunk | TimmTrunk


def build_trunk(name: str, weights: str | None, stride: int, finer: str) -> tuple[Trunk, Native]:
    """The CNN `name` and what it was made for; of other arguments see ImageEncoderConfig.

    Raises ConfigError for a name that neither library has, a network that gives no such grid, and a file of weights
    that does not fit.
    """
    build = _build_torchvision if name in _torchvision_names() else _build_timm
    if build is _build_timm and not timm.is_model(name.removeprefix(TIMM)):
        near = get_close_matches(name, [*_torchvision_names(), *timm.list_models()], 5, 0.5)
        raise ConfigError(
            f"encoder: neither torchvision nor timm has {name!r}; near it are {', '.join(near) or 'none'}"
        )
    return build(name.removeprefix(TIMM), weights, stride, finer)


def trunk_maps(trunk: Trunk, size: int, name: str) -> list[tuple[int, Centre]]:
    """(channels, centre) of every map, finest first. Raises ConfigError for a network that gives no grid."""
    try:
        return map_centres(trunk, size)
    except Exception as error:  # a network of another kind fails in its own way
        why = " ".join(str(error).split())[:150]
        raise ConfigError(f"encoder: {name} gives no grid for {size} x {size} pixels: {why}; take a CNN") from error


def _torchvision_names() -> list[str]:
    """Without its RegNets, which cannot be built without memory; timm has them too."""
    return torchvision.models.list_models(torchvision.models, exclude="regnet*")


def _build_torchvision(name: str, weights: str | None, stride: int, finer: str) -> tuple[Trunk, Native]:
    model = _fresh(torchvision.models.get_model, name, weights, weights="DEFAULT" if weights == "DEFAULT" else None)
    if weights and weights != "DEFAULT":
        load_parameters(model, weights)
    made_for = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    native = Native(made_for.crop_size[0], tuple(made_for.mean), tuple(made_for.std))
    blocks = _blocks(model)
    if finer == "dilate":
        _dilate(nn.Sequential(*blocks), stride)
        return TorchvisionTrunk(blocks, [len(blocks) - 1]).eval(), native
    every = TorchvisionTrunk(blocks, list(range(len(blocks)))).eval()
    strides = [centre.stride for _, centre in trunk_maps(every, native.size, name)]
    if stride not in strides[:-1]:
        raise ConfigError(f"encoder: {name} has no stage of stride {stride}; its strides are {sorted(set(strides))}")
    early = max(position for position, each in enumerate(strides) if each == stride)
    last = [len(blocks) - 1] if finer == "join" and early < len(blocks) - 1 else []
    return TorchvisionTrunk(blocks, [early, *last]).eval(), native


def _build_timm(name: str, weights: str | None, stride: int, finer: str) -> tuple[Trunk, Native]:
    options = {"output_stride": stride} if finer == "dilate" and stride < 32 else {}
    options |= {"pretrained": weights == "DEFAULT", "num_classes": 0, "global_pool": ""}
    model = _fresh(timm.create_model, name, weights, **options)
    if weights and weights != "DEFAULT":
        load_parameters(model, weights, model.pretrained_cfg.get("classifier") or ())
    known = model.pretrained_cfg
    native = Native(known["input_size"][-1], tuple(known["mean"]), tuple(known["std"]))
    if finer == "dilate":
        return TimmTrunk(model, [], True).eval(), native
    strides = [stage["reduction"] for stage in model.feature_info]
    if stride not in strides or not hasattr(model, "forward_intermediates"):
        raise ConfigError(f"encoder: {name} has no stage of stride {stride}; its strides are {sorted(set(strides))}")
    early = len(strides) - 1 - strides[::-1].index(stride)
    return TimmTrunk(model, [early], finer == "join").eval(), native


def _fresh(create: Callable[..., nn.Module], name: str, source: str | None, **options: Any) -> nn.Module:
    try:
        return create(name, **options)
    except Exception as error:  # of the network's own or of the connection
        why = " ".join(str(error).split())[:150]
        if source == "DEFAULT":
            raise ConfigError(f"encoder weights: DEFAULT cannot be downloaded ({why}); give a file, or null") from error
        raise ConfigError(f"encoder: {name} cannot be built so: {why}") from error


def load_parameters(model: nn.Module, path: str, head: str | tuple[str, ...] = ()) -> None:
    """Fill a model from a state dict in a file; parameters of layers called `head`, which was taken off, are left.

    Raises ConfigError when the file is missing or does not fit.
    """
    heads = tuple(f"{each}." for each in ((head,) if isinstance(head, str) else head))
    try:
        safe = str(path).endswith(".safetensors")
        state = load_file(path) if safe else torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict({key: value for key, value in state.items() if not (heads and key.startswith(heads))})
    except FileNotFoundError as error:
        raise ConfigError(f"encoder weights: no file {path}; give a path, DEFAULT (downloads), or null") from error
    except Exception as error:  # a file of another kind makes the readers raise nearly every class there is
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise ConfigError(f"encoder weights: {path} does not fit {type(model).__name__}: {why}") from error


def _blocks(model: nn.Module) -> list[nn.Module]:
    """A torchvision classifier's parts up to its pooling, in order."""
    for name in ("features", "layers"):
        if isinstance(getattr(model, name, None), nn.Sequential):
            return list(getattr(model, name))
    blocks = []
    for name, child in model.named_children():
        if isinstance(child, nn.AdaptiveAvgPool2d | nn.Linear):
            break
        if not name.lower().startswith("aux"):  # a second head, for training
            blocks.append(child)
    return blocks


def _dilate(blocks: nn.Sequential, stride: int) -> None:
    """Turn every stride past `stride` into dilation of what follows: the same function on a finer grid (a trous)."""
    total, dilation = 1, 1
    for name, window in blocks.named_modules():
        if not isinstance(window, nn.Conv2d | nn.MaxPool2d):
            continue
        step = _first(window.stride)
        if "downsample" in name:  # a shortcut, which runs beside the path before it
            window.stride = (step, step) if dilation == 1 else (1, 1)
        elif total * step <= stride:
            total *= step
            if dilation > 1:
                window.dilation, window.padding = (dilation, dilation), "same"
        else:
            window.stride, window.dilation, window.padding = (1, 1), (dilation, dilation), "same"
            dilation *= step


def _first(value: int | tuple[int, ...]) -> int:
    return value[0] if isinstance(value, tuple) else value
