"""Statistics of heads' outputs over tokens, by which criteria of compression rank heads."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from headspex.hooks.fill import Parts
from headspex.hooks.outputs import each_output
from headspex.hooks.switches import hook_name

HEADS = Parts(mlps=False)


@dataclass(frozen=True, eq=False)
class HeadStatistics:
    """Of every head's output before W_O, over all tokens except padding.

    Attributes:
        square: mean square of each dimension.
        variance: of each dimension, that of a sample.
        norm: mean Euclidean norm.
    """

    square: Float[np.ndarray, "layers heads d_head"]
    variance: Float[np.ndarray, "layers heads d_head"]
    norm: Float[np.ndarray, "layers heads"]


def head_statistics(
    bridge: Any,
    tokens: Int[Tensor, "sequences pos"],
    lengths: Int[Tensor, " sequences"],
    *,
    batch_size: int = 64,
    progress: Callable[[int], object] = lambda sequences: None,
) -> HeadStatistics:
    """Run the model once on some sequences; arguments and errors are those of `mean_outputs`."""
    shape = int(bridge.cfg.n_layers), int(bridge.cfg.n_heads), int(bridge.cfg.d_head)
    total, squares = (torch.zeros(shape, dtype=torch.float64) for _ in range(2))
    norms = torch.zeros(shape[:2], dtype=torch.float64)
    layers = {hook_name(layer): layer for layer in range(shape[0])}

    def add(outputs: Tensor, name: str, real: Bool[Tensor, "batch pos"]) -> None:
        own, layer = outputs[real].double(), layers[name]
        total[layer] += own.sum(0).cpu()
        squares[layer] += own.square().sum(0).cpu()
        norms[layer] += own.norm(dim=-1).sum(0).cpu()

    each_output(bridge, tokens, lengths, add, parts=HEADS, batch_size=batch_size, progress=progress)
    count = int(lengths.sum())
    spread = (squares - total.square() / count).clamp_min(0) / max(1, count - 1)
    return HeadStatistics((squares / count).numpy(), spread.numpy(), (norms / count).numpy())
