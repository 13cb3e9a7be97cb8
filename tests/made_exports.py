"""Masks of many shapes, and checkpoints exported under them."""

from pathlib import Path
from typing import Any

import numpy as np

from headspex.export.exporting import Exported, export_mask
from headspex.export.shapes import Shape
from headspex.hooks import Fill, load_model
from headspex.mask_file import MaskFile, pruned_heads


def mask_of(
    model: str, keep: np.ndarray, *, mlps_off: tuple[int, ...] = (), **how: Any
) -> MaskFile:
    """The mask file of a keep grid."""
    loaded = load_model(model)
    fields: dict[str, Any] = {"ablation": "zero", "rescale": False, **how}
    return MaskFile(
        model=model, fingerprint=loaded.fingerprint, n_layers=keep.shape[0], n_heads=keep.shape[1],
        pruned_heads=pruned_heads(keep), sparsity=float((~keep).mean()), task="mini", score=None,
        unit="head,mlp" if mlps_off else "head", pruned_mlps=mlps_off, **fields,
    )  # fmt: skip


def export(mask: MaskFile, to: Path, how: str, fill: np.ndarray | None = None) -> Exported:
    means = None if fill is None else Fill(fill)
    return export_mask(mask, to, how=how, fill=means, timed=False)


def ragged(layers: int, heads: int, seed: int = 0) -> np.ndarray:
    """Heads off at random, and one layer without any."""
    keep = np.random.default_rng(seed).random((layers, heads)) < 0.6
    keep[1] = False
    return keep


def even(layers: int, groups: int, heads: int, shape: Shape, seed: int = 0) -> np.ndarray:
    """A mask of this shape, other heads in each layer."""
    rng = np.random.default_rng(seed)
    keep = np.zeros((layers, groups, heads), dtype=bool)
    for layer in keep:
        for group in rng.choice(groups, shape.groups, replace=False):
            layer[group, rng.choice(heads, shape.heads, replace=False)] = True
    return keep.reshape(layers, -1)
