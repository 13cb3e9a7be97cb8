"""Shapes: the masks that a stock architecture can express with fewer heads."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from headspex.errors import UsageError

Grid = Bool[np.ndarray, "layers heads"]  # True = the head stays on


@dataclass(frozen=True, order=True)
class Shape:
    """The heads of every layer: the same in all layers, as configurations hold one number.

    Attributes:
        groups: KV heads per layer.
        heads: query heads per KV head.
    """

    groups: int
    heads: int

    @property
    def per_layer(self) -> int:
        """Query heads per layer."""
        return self.groups * self.heads

    @classmethod
    def parse(cls, text: str) -> Shape:
        """Read "3x2": three KV groups of two query heads.

        Raises:
            UsageError: the text has another form.
        """
        found = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text.strip(), flags=re.ASCII)
        if found is None or not int(found[1]) or not int(found[2]):
            raise UsageError(
                f"a shape is written like 3x2 (KV groups x heads per group), but got {text!r}"
            )
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.groups}x{self.heads}"


def shapes_within(whole: Shape, *, whole_groups: bool = False) -> list[Shape]:
    """Every shape that a model of shape `whole` can be cut to, the largest first.

    With `whole_groups` only whole groups are removed.
    """
    least = whole.heads if whole_groups else 1
    return [
        Shape(groups, heads)
        for groups in range(whole.groups, 0, -1)
        for heads in range(whole.heads, least - 1, -1)
    ]


def nearest_shapes(whole: Shape, per_layer: float, *, whole_groups: bool = False) -> list[Shape]:
    """The shapes with the number of heads nearest to `per_layer`; on a tie, the smaller number."""
    possible = shapes_within(whole, whole_groups=whole_groups)
    best = min((abs(shape.per_layer - per_layer), shape.per_layer) for shape in possible)
    return [shape for shape in possible if shape.per_layer == best[1]]


def shape_of(mask: Grid, n_kv_heads: int) -> Shape | None:
    """The shape of a mask; None if its layers, or the groups within one, differ.

    Layers without heads fit every shape, as they are kept as zeros.
    """
    counts = _per_group(mask, n_kv_heads)
    found = {Shape(int((row > 0).sum()), int(row.max())) for row in counts if row.any()}
    even = all(len(set(row[row > 0].tolist())) <= 1 for row in counts)
    if not even or len(found) > 1:
        return None
    return found.pop() if found else Shape(1, 1)


def kept_heads(mask: Grid, n_kv_heads: int) -> Int[np.ndarray, "layers kept"]:
    """The heads that each layer keeps, ascending; placeholders in a layer that keeps none.

    Raises:
        UsageError: the mask has no shape.
    """
    shape = shape_of(mask, n_kv_heads)
    if shape is None:
        raise UsageError(_ragged(mask, n_kv_heads))
    size = mask.shape[1] // n_kv_heads
    placeholder = [
        group * size + head for group in range(shape.groups) for head in range(shape.heads)
    ]
    return np.array([np.flatnonzero(row) if row.any() else placeholder for row in mask])


def _per_group(mask: Grid, n_kv_heads: int) -> Int[np.ndarray, "layers groups"]:
    return np.asarray(mask.reshape(len(mask), n_kv_heads, -1).sum(axis=2))


def _ragged(mask: Grid, n_kv_heads: int) -> str:
    whole = Shape(n_kv_heads, mask.shape[1] // n_kv_heads)
    busy = mask[mask.any(axis=1)]
    near = nearest_shapes(whole, float(busy.sum(axis=1).mean()))[-1]  # the smallest cache
    counts = ", ".join(map(str, mask.sum(axis=1)[:12])) + (", ..." if len(mask) > 12 else "")
    return (
        "a smaller model needs the same number of KV groups, and of heads per group, in every "
        f"layer, but the layers of this mask keep {counts} heads, unevenly; the nearest possible "
        f"shape is {near}: use --shape {near}, or --format zeroed"
    )
