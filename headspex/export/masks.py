"""Masks for other tools: JSON, safetensors, and `torch.nn.utils.prune`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.utils import prune

from headspex.errors import UsageError
from headspex.hooks import Fill
from headspex.hooks.output_weights import output_weights
from headspex.mask_file import MaskFile
from headspex.scores.fill import write_fill
from headspex.support.files import write_bytes
from headspex.support.new_folder import new_folder


def write_masks(mask: MaskFile, fill: Fill | None, to: Path) -> None:
    """Write `headspex_mask.json`, and its booleans as `headspex_mask.safetensors`.

    The tensors are `heads` [layers, heads] and `mlps` [layers], True = it stays; the means of mean
    ablation are written beside them.

    Raises:
        UsageError: the folder exists or cannot be written; then no folder is left behind.
    """
    from safetensors.numpy import save

    with new_folder(to) as folder:
        if fill is not None:
            mask = replace(mask, fill=write_fill(folder, fill))
        mask.write(folder / "headspex_mask.json")
        tensors = {"heads": mask.keep_grid(), "mlps": mask.keep_mlps()}
        write_bytes(folder / "headspex_mask.safetensors", save(tensors))


def prune_modules(model: Any, mask: MaskFile) -> None:
    """Prune a transformers model in place with `torch.nn.utils.prune`, zero ablation only.

    The output projections then hold `weight_orig` and `weight_mask`: pruned weights stay zero
    during training, and `prune.remove` makes them permanent.

    Raises:
        UsageError: another model's shape, a mask that zeros cannot express, or output weights
            with names of their own.
    """
    if mask.ablation != "zero" or mask.rescale:
        raise UsageError(
            "torch.nn.utils.prune only sets weights to zero, but this mask has ablation "
            f"{mask.ablation!r} and rescale {mask.rescale}; export it with --format zeroed"
        )
    n_layers, n_heads = int(model.config.num_hidden_layers), int(model.config.num_attention_heads)
    mask.check_shape("the model", n_layers=n_layers, n_heads=n_heads)
    state = dict(model.named_parameters())
    names = output_weights(state, type(model).__name__, n_layers)
    for own, heads, mlp in zip(names, mask.keep_grid(), mask.keep_mlps(), strict=True):
        if not heads.all():
            kept = torch.ones_like(state[own.heads])
            columns = own.columns(kept)
            columns *= torch.from_numpy(np.repeat(heads, columns.shape[1] // len(heads))).to(
                columns
            )
            _prune(model, own.heads, kept)
        for name in () if mlp else own.mlp:
            _prune(model, name, torch.zeros_like(state[name]))


def _prune(model: torch.nn.Module, name: str, kept: torch.Tensor) -> None:
    path, _, name = name.rpartition(".")
    module = model.get_submodule(path)
    kept = kept.to(getattr(module, name).device)
    prune.custom_from_mask(module, name, kept)  # type: ignore[no-untyped-call]
