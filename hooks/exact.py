"""The same computation in float64: what a model would answer if nothing were rounded."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

_ROUNDED = (torch.float32, torch.float16, torch.bfloat16)


def can_be_exact(device: torch.device) -> bool:
    """Whether a device has float64."""
    return device.type != "mps"


@contextmanager
def exactly() -> Iterator[None]:
    """Compute in float64 inside the block, whatever the weights' type and whatever code asks for.

    Weights are turned one at a time, where they are used, and stay as they are. Attention and norms
    that ask for float32, as those of transformers do, get float64 too.
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
        # A table of embeddings is large and only looked up: what is found is turned.
        if func is not functional.embedding:
            args, kwargs = tree_map(_turned, (tuple(args), dict(kwargs or {})))
        if func is torch.Tensor.float:
            func = torch.Tensor.double
        return tree_map(_turned, func(*args, **(kwargs or {})))


def _turned(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.double() if value.dtype in _ROUNDED else value
    if isinstance(value, torch.dtype) and value in _ROUNDED:
        return torch.float64
    return value
