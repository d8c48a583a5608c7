"""Parameters of a model that was built without memory: compared with what a file holds before any is asked for.

The model is on torch's meta device, where tensors have names, shapes and types and nothing else.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from multimodal_attn.errors import CheckpointError
from multimodal_attn.untrusted import check_header

DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}
DTYPES |= {"I64": torch.int64, "BOOL": torch.bool}


class Held(NamedTuple):
    """What a file says of one of its tensors."""

    shape: tuple[int, ...]
    dtype: torch.dtype | None


def fill_from_file(model: nn.Module, path: Path) -> None:
    """Parameters of a .safetensors file. Raises CheckpointError for one that is damaged, does not fit, or holds NaN."""
    check_header(path)
    try:
        with safe_open(path, "pt") as file:
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            held = {name: Held(tuple(part.get_shape()), DTYPES.get(part.get_dtype())) for name, part in parts.items()}
            fill(model, held, file.get_tensor, path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read: {str(error).splitlines()[0][:200]}") from error


def fill_from_state(model: nn.Module, state: Mapping[str, Tensor], where: object) -> None:
    """Parameters of a state dict. Raises CheckpointError for one that does not fit or holds NaN."""
    fill(model, {name: Held(tuple(tensor.shape), tensor.dtype) for name, tensor in state.items()}, state.get, where)


def fill(model: nn.Module, held: Mapping[str, Held], read: Callable[[str], Tensor], where: object) -> None:
    """Give a model on the meta device memory and its parameters, once all names, shapes and types are right."""
    own = model.state_dict()
    if set(held) != set(own) or not all(_fits(held[name], tensor) for name, tensor in own.items()):
        raise CheckpointError(f"{where} does not fit the architecture in its config; get the checkpoint again")
    state = {}
    for name, tensor in own.items():
        state[name] = torch.empty_like(tensor, device="cpu").copy_(read(name))  # in the model's precision and layout
        if not state[name].isfinite().all():
            raise CheckpointError(f"{where}: {name} holds NaN or infinity; get the checkpoint again")
    model.load_state_dict(state, assign=True)


def _fits(held: Held, own: Tensor) -> bool:
    if held.dtype is None or held.shape != tuple(own.shape):
        return False
    return held.dtype == own.dtype or (held.dtype.is_floating_point and own.dtype.is_floating_point)
