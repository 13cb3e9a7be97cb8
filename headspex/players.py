"""A column of a mask is an attention head; a mask says which heads stay on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float, Int

from headspex.errors import UsageError

Masks: TypeAlias = Bool[np.ndarray, "masks players"]  # True = the player stays on
Values: TypeAlias = Float[np.ndarray, " masks"]  # the value of each mask, in the metric's unit


def check_masks(masks: npt.ArrayLike, n_players: int) -> Masks:
    """Return `masks` as a bool array [masks, n_players].

    Raises:
        UsageError: the array is not bool, not two-dimensional, or has another width.
    """
    array = np.asarray(masks)
    if array.ndim != 2:
        raise UsageError(
            f"masks must have the shape [masks, players], but got {list(array.shape)}; "
            "wrap a single mask as mask[None]"
        )
    if array.shape[1] != n_players:
        raise UsageError(
            f"masks have {array.shape[1]} players, but {n_players} are expected; "
            "give one column per player"
        )
    if array.dtype != np.bool_:
        raise UsageError(
            f"masks must be bool (True = the player stays on), but got {array.dtype}; "
            "convert with masks.astype(bool)"
        )
    return array


@dataclass(frozen=True)
class Players:
    """The heads that a study switches: one column per head, layer by layer.

    Attributes:
        n_layers: layers of the whole model.
        n_heads: query heads per layer.
        layers: layers whose heads are switched, ascending, counted from 0.

    Raises:
        UsageError: no layer, or layers that are not ascending within 0..n_layers-1.
    """

    n_layers: int
    n_heads: int
    layers: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse layers that the model does not have."""
        if self.n_layers < 1 or self.n_heads < 1:
            raise UsageError(
                "a model has at least one layer and one head per layer, "
                f"but got {self.n_layers} layers x {self.n_heads} heads"
            )
        ascending = all(a < b for a, b in zip(self.layers, self.layers[1:], strict=False))
        if not self.layers or not ascending or self.layers[0] < 0:
            raise UsageError(
                f"layers must be ascending, distinct and not empty, but got {self.layers}"
            )
        if self.layers[-1] >= self.n_layers:
            raise UsageError(
                f"layer {self.layers[-1]} does not exist: the model has {self.n_layers} layers "
                f"(0-{self.n_layers - 1})"
            )

    @classmethod
    def heads(cls, n_layers: int, n_heads: int, layers: Iterable[int] | None = None) -> Players:
        """The heads of `layers` (any order), or of all layers."""
        chosen = range(n_layers) if layers is None else sorted(layers)
        return cls(n_layers=n_layers, n_heads=n_heads, layers=tuple(int(x) for x in chosen))

    def __len__(self) -> int:
        """How many columns a mask has."""
        return len(self.layers) * self.n_heads

    def __getitem__(self, column: int) -> tuple[int, int]:
        """(layer, head) of a column."""
        if not 0 <= column < len(self):
            raise IndexError(f"column {column} is outside 0..{len(self) - 1}")
        position, head = divmod(int(column), self.n_heads)
        return self.layers[position], head

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """(layer, head) of every column, in their sequence."""
        return ((layer, head) for layer in self.layers for head in range(self.n_heads))

    def index(self, layer: int, head: int) -> int:
        """The column of a head.

        Raises:
            UsageError: the head does not exist or its layer is not switched.
        """
        if layer not in self.layers or not 0 <= head < self.n_heads:
            raise UsageError(
                f"{_label(layer, head)} is not a player: heads are 0-{self.n_heads - 1} "
                f"of layers {format_layers(self.layers)}"
            )
        return self.layers.index(layer) * self.n_heads + head

    @property
    def layer_of(self) -> Int[np.ndarray, " players"]:
        """The layer of each column."""
        return np.repeat(np.asarray(self.layers, dtype=np.int64), self.n_heads)

    def label(self, column: int) -> str:
        """The name of a column, such as "L13H3"."""
        return _label(*self[column])

    def labels(self, columns: Iterable[int]) -> str:
        """The names of several columns, such as "L13H3 L14H0"."""
        return " ".join(self.label(column) for column in columns)

    def parse_label(self, label: str) -> int:
        """The column of "L13H3".

        Raises:
            UsageError: not a label, or not a player of this study.
        """
        return self.index(*parse_label(label))

    def grid(
        self, masks: Bool[np.ndarray, "*batch players"]
    ) -> Bool[np.ndarray, "*batch n_layers n_heads"]:
        """The masks over the whole model; heads outside `layers` stay on.

        Raises:
            UsageError: the last axis is not one column per player.
        """
        if masks.shape[-1] != len(self):
            raise UsageError(
                f"masks have {masks.shape[-1]} players, but this study has {len(self)} "
                f"({len(self.layers)} layers x {self.n_heads} heads)"
            )
        batch = masks.shape[:-1]
        grid = np.ones((*batch, self.n_layers, self.n_heads), dtype=np.bool_)
        grid[..., list(self.layers), :] = masks.reshape(*batch, len(self.layers), self.n_heads)
        return grid


def parse_label(label: str) -> tuple[int, int]:
    """(layer, head) of a label such as "L13H3".

    Raises:
        UsageError: the text is not of this form.
    """
    found = re.fullmatch(r"L(\d{1,6})H(\d{1,6})", label.strip(), flags=re.ASCII)
    if found is None:
        raise UsageError(f"a head is written like L13H3 (layer 13, head 3), but got {label!r}")
    return int(found[1]), int(found[2])


def parse_layers(text: str, n_layers: int) -> tuple[int, ...]:
    """The layers named by text such as "0-2,13": from 0, ranges inclusive.

    Raises:
        UsageError: bad syntax, a reversed range, a layer named twice or out of range.
    """
    layers: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d{1,6})\s*(?:-\s*(\d{1,6})\s*)?", part, flags=re.ASCII)
        if found is None:
            raise UsageError(f"layers are written like 0-2,13, but got {text!r}")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise UsageError(f"the range {first}-{last} is reversed; write {last}-{first}")
        if last >= n_layers:
            raise UsageError(
                f"layer {last} does not exist: the model has {n_layers} layers (0-{n_layers - 1})"
            )
        layers.extend(range(first, last + 1))
    twice = sorted({layer for layer in layers if layers.count(layer) > 1})
    if twice:
        raise UsageError(f"layer {twice[0]} is named twice in {text!r}; name each layer once")
    return tuple(sorted(layers))


def format_layers(layers: Iterable[int]) -> str:
    """The inverse of `parse_layers`: (0, 1, 2, 13) -> "0-2,13"."""
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][1] + 1:
            runs[-1][1] = layer
        else:
            runs.append([layer, layer])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def _label(layer: int, head: int) -> str:
    return f"L{layer}H{head}"
