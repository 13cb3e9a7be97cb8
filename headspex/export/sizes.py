"""Sizes of a checkpoint, counted from its configuration without loading it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from headspex.hooks.placement import parameters


@dataclass(frozen=True)
class Sizes:
    """Sizes of a model.

    Attributes:
        parameters: tied ones counted once.
        bytes: of its weights.
        kv_bytes: of keys and values, per token of the context.
    """

    parameters: int
    bytes: int
    kv_bytes: int


def sizes(config: Any, architecture: str, dtype: torch.dtype) -> Sizes:
    """The sizes of a transformers model; no weights are allocated.

    Args:
        config: of the model.
        architecture: its class, such as "LlamaForCausalLM".
        dtype: of its weights, keys and values.
    """
    count = parameters(config, architecture)
    heads = int(getattr(config, "num_key_value_heads", None) or config.num_attention_heads)
    width = int(
        getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    )
    return Sizes(
        parameters=count,
        bytes=count * dtype.itemsize,
        kv_bytes=2 * int(config.num_hidden_layers) * heads * width * dtype.itemsize,
    )
