"""A model's computation in float64, where rounding is negligible."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from headspex.hooks.load_in import is_quantised
from headspex.hooks.offload import device_of, is_offloaded

_ROUNDED = (torch.float32, torch.float16, torch.bfloat16)
_CONVERTED = 2**24  # weights of a matrix at once: 128 MiB in float64
_QUESTIONS = ("__get__", "is_floating_point", "size", "dim", "numel")  # "__get__": attributes


def can_be_exact(model: nn.Module) -> bool:
    """Whether a model's device has float64, and its weights are plain numbers in memory."""
    away = any(map(is_offloaded, model.modules())) or is_quantised(model)
    return device_of(model).type != "mps" and not away


@contextmanager
def exactly() -> Iterator[None]:
    """Compute in float64 inside the block, whatever the weights' dtype.

    Weights are converted where they are used, a part of a matrix at a time, and are not changed.
    Code that casts to float32, as attention and norms of transformers do, gets float64.
    """
    with torch.no_grad(), _Exact():
        yield


class _Exact(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is functional.linear:
            return _linear(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        # A vocabulary's table is large: convert the rows that are looked up, and not a whole table
        # for a question about it, such as its device.
        if func is not functional.embedding and name not in _QUESTIONS:
            args, kwargs = tree_map(_as_float64, (tuple(args), dict(kwargs or {})))
        if func is torch.Tensor.float:
            func = torch.Tensor.double
        if name == "_grouped_mm":
            return _grouped(*args, **(kwargs or {}))
        return tree_map(_as_float64, func(*args, **(kwargs or {})))


def _linear(
    rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """As `functional.linear`; that of a vocabulary would not fit beside the model."""
    size = max(1, _CONVERTED // weight.shape[1])
    rows = rows.double()
    found = torch.cat([rows @ part.double().mT for part in torch.split(weight, size)], dim=-1)
    return found if bias is None else found + bias.double()


def _grouped(rows: torch.Tensor, experts: torch.Tensor, offs: Any, **others: Any) -> torch.Tensor:
    """Consecutive rows times the matrix of their expert; torch's own has no float64."""
    begins, ends = [0, *offs.tolist()], offs.tolist()
    parts = zip(begins, ends, experts, strict=False)
    return torch.cat([rows[begin:end] @ expert for begin, end, expert in parts])


def _as_float64(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.double() if value.dtype in _ROUNDED else value
    if isinstance(value, torch.dtype) and value in _ROUNDED:
        return torch.float64
    return value
