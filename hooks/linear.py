"""Matrix products of linear layers by oneDNN, in float32 on the CPU.

torch multiplies float32 matrices with MKL, which leaves half of the speed of AMD's CPUs unused:
there oneDNN, which comes with torch too, is 2.2 times as fast.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


def use_onednn(model: nn.Module) -> None:
    """Let the linear layers of a copied model multiply with oneDNN where they can.

    Layers of other types, such as quantised ones, stay as they are.
    """
    if _product() is None:
        return
    for module in model.modules():
        if type(module) is nn.Linear:
            module.__class__ = _Linear
        elif type(module).__qualname__ == "Conv1D":  # of transformers, in GPT-2
            module.__class__ = _transposed(type(module))


class _Linear(nn.Linear):
    """A linear layer of torch."""

    def forward(self, input: Tensor) -> Tensor:
        return _linear(input, self.weight, self.bias)


def _transposed(base: Any) -> Any:
    """transformers' linear layer, whose weight is [in, out]."""

    def forward(module: Any, x: Tensor) -> Tensor:
        return _linear(x, module.weight.T, module.bias)

    return type("Conv1D", (base,), {"forward": forward})


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """As `torch.nn.functional.linear`."""
    plain = (
        x.dtype == weight.dtype == torch.float32 and x.device.type == weight.device.type == "cpu"
    )
    if not plain or (torch.is_grad_enabled() and weight.requires_grad):
        return functional.linear(x, weight, bias)
    found: Tensor = _Product.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return found


class _Product(torch.autograd.Function):
    """A product with fixed weights, and its derivative."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(weight)
        return _onednn(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (weight,) = ctx.saved_tensors
        return _onednn(gradient, weight.T, None), None, None


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    product = _product()
    assert product is not None
    return product(x, weight, bias, "none", [], "")


def _product() -> Callable[..., Tensor] | None:
    """The product that torch's compiler uses; None if this torch has no oneDNN."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)
