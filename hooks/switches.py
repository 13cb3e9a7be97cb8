"""The hooks at which heads and MLPs are ablated, and checks of their masks."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool

from headspex.errors import UsageError


def hook_name(layer: int) -> str:
    """The hook on a layer's head outputs: [batch pos head d_head], query heads, before W_O.

    After W_O the heads are summed and can no longer be separated.
    """
    return f"blocks.{layer}.attn.hook_z"


def mlp_hook_name(layer: int) -> str:
    """The hook on an MLP's output: [batch pos d_model], before it joins the residual stream."""
    return f"blocks.{layer}.mlp.hook_out"


def check_switches(
    bridge: Any, keep_masks: Any, keep_mlps: Any
) -> Bool[torch.Tensor, "masks layers switches"]:
    """Check the masks and join them: each layer's heads, then its MLP; `masks` is batch or 1.

    Raises:
        UsageError: wrong shape or type, or MLPs that the bridge has no hook for.
    """
    n_layers, n_heads = int(bridge.cfg.n_layers), int(bridge.cfg.n_heads)
    heads = (
        torch.ones(1, n_layers, n_heads, dtype=torch.bool)
        if keep_masks is None
        else check_masks(keep_masks, n_layers, n_heads)
    )
    mlps = torch.ones(1, n_layers, dtype=torch.bool)
    if keep_mlps is not None:
        mlps = _check_mlps(bridge, keep_mlps, n_layers).to(heads.device)
    if 1 != len(heads) != len(mlps) != 1:
        raise UsageError(
            f"keep_masks and keep_mlps must have one mask per row of the batch, but they have "
            f"{len(heads)} and {len(mlps)}; give the same number of both"
        )
    count = max(len(heads), len(mlps))
    parts = heads.expand(count, -1, -1), mlps.expand(count, -1)[..., None]
    return torch.cat(parts, dim=-1)


def check_masks(keep_masks: Any, n_layers: int, n_heads: int) -> torch.Tensor:
    """The masks of heads as a bool tensor [batch or 1, n_layers, n_heads]."""
    masks = as_tensor(keep_masks)
    if masks is None or masks.dtype != torch.bool:
        found = str(masks.dtype).removeprefix("torch.") if masks is not None else "no array"
        raise UsageError(
            f"keep_masks must be bool (True = the head stays on), but it is {found}; "
            "convert it with .astype(bool)"
        )
    if masks.ndim not in (2, 3) or tuple(masks.shape[-2:]) != (n_layers, n_heads):
        raise UsageError(
            f"keep_masks must have shape [{n_layers}, {n_heads}] (layers, heads) or "
            f"[batch, {n_layers}, {n_heads}], but it has {list(masks.shape)}; "
            "build it with Players.grid(mask)"
        )
    return masks if masks.ndim == 3 else masks[None]


def as_tensor(array: Any) -> torch.Tensor | None:
    """An array or tensor of numbers as a tensor; None for anything else."""
    if isinstance(array, torch.Tensor):
        return array
    if isinstance(array, np.ndarray) and array.dtype.kind in "biuf":
        return torch.from_numpy(np.ascontiguousarray(array))
    return None


def _check_mlps(bridge: Any, keep_mlps: Any, n_layers: int) -> Bool[torch.Tensor, "masks layers"]:
    masks = as_tensor(keep_mlps)
    fits = masks is not None and masks.ndim in (1, 2) and masks.shape[-1] == n_layers
    if masks is None or not fits or masks.dtype != torch.bool:
        found = "no array" if masks is None else f"{masks.dtype} of shape {list(masks.shape)}"
        raise UsageError(
            f"keep_mlps must be bool of shape [{n_layers}] (layers) or [batch, {n_layers}], but it "
            f"is {found.removeprefix('torch.')}; build it with Players.mlps(mask)"
        )
    masks = masks.reshape(-1, n_layers)
    off = (~masks.all(dim=0)).nonzero().flatten().tolist()
    if absent := [name for name in map(mlp_hook_name, off) if name not in bridge.hook_dict]:
        raise UsageError(
            f"MLPs are ablated by hooks, but this bridge has no {absent[0]}; ablate heads only"
        )
    return masks
