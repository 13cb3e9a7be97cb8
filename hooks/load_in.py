"""Weights quantised while they are loaded, by bitsandbytes: a search in less memory."""

import logging
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from headspex.errors import UsageError, argument
from headspex.hooks.sources import Source

LOAD_IN = ("8bit", "4bit")


def check_load_in(load_in: str | None, source: Source, device: str) -> None:
    """Refuse what bitsandbytes cannot quantise, before anything is read.

    Raises:
        UsageError: an unknown kind, a missing package, a device that it does not support, or
            weights that are merged or quantised already.
    """
    if load_in is None:
        return
    flag = argument("load_in")
    if load_in not in LOAD_IN:
        raise UsageError(f"{flag} must be {' or '.join(LOAD_IN)}, but is {load_in!r}")
    if source.gguf is not None or source.adapter is not None:
        other = "a GGUF file" if source.adapter is None else "an adapter"
        raise UsageError(
            f"{flag} quantises plain weights, but {source.name} has {other}; leave one out, or "
            "save the merged model with transformers and name its folder"
        )
    if find_spec("bitsandbytes") is None:
        raise UsageError(
            f"{flag} needs bitsandbytes, which is not installed; pip install 'headspex[quantised]'"
        )
    supported = _supported()
    kind = torch.device(device).type
    if kind not in supported:
        raise UsageError(
            f"the installed bitsandbytes computes on {', '.join(sorted(supported))}, but "
            f"{argument('device')} is {device}; leave {flag} out, or choose another device"
        )


def _supported() -> set[str]:
    """The kinds of devices that the installed bitsandbytes computes on."""
    import bitsandbytes

    return set(getattr(bitsandbytes, "supported_torch_devices", {"cuda"}))


def quantisation(load_in: str, dtype: torch.dtype) -> Any:
    """The configuration of transformers: int8 with outliers apart, or NF4.

    Args:
        load_in: "8bit" (Dettmers et al. 2022, LLM.int8) or "4bit" (Dettmers et al. 2023, QLoRA).
        dtype: of the computation in 4bit; in 8bit it is float16.
    """
    from transformers import BitsAndBytesConfig

    # It warns at every product that inputs become float16, as LLM.int8 wants them.
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    if load_in == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
    )


def packed_types(model: Any, load_in: str | None) -> dict[str, Any] | None:
    """The types of weights that are quantised, by name: all linear layers but the logits'.

    Args:
        model: of transformers, from `headspex.hooks.placement.blueprint`.
        load_in: None: none are.
    """
    if load_in is None:
        return None
    from accelerate.utils import CustomDtype

    kind = CustomDtype.INT4 if load_in == "4bit" else torch.int8
    return {
        f"{name}.weight": kind
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not model.get_output_embeddings()
    }


def is_quantised(model: nn.Module) -> bool:
    """Whether some weights are codes."""
    return not all(weight.is_floating_point() for weight in model.parameters())


def keep_codes(model: nn.Module) -> None:
    """Let 4-bit layers on a CPU decode their codes, on every CPU.

    Where a CPU has AVX-512 BF16, bitsandbytes rewrites the codes of a layer at its first call, for
    a faster product in bfloat16: scores would depend on the CPU, and `plain_weight` and gradients
    would read codes of another layout.
    """
    modules: Iterable[Any] = model.modules()
    for module in modules:
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def plain_weight(module: Any) -> Tensor:
    """A module's weight, from its codes if it is quantised."""
    weight: Tensor = module.weight
    if weight.is_floating_point():
        return weight.detach()
    from transformers.integrations.bitsandbytes import dequantize_bnb_weight

    found: Tensor = dequantize_bnb_weight(weight, getattr(module, "state", None))
    return found.detach()
