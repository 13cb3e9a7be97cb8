"""Masks and players: a column of a mask is a player, usually an attention head."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float, Int

from headspex.errors import UsageError
from headspex.support.arrays import as_array
from headspex.units import UNITS, parse_units, plural

Masks: TypeAlias = Bool[np.ndarray, "masks players"]  # True = the player stays on
Values: TypeAlias = Float[np.ndarray, " masks"]  # the value of each mask, in the metric's unit


def check_masks(masks: npt.ArrayLike, n_players: int) -> Masks:
    """Return `masks` as a bool array [masks, n_players]; 1 and 0 count as True and False.

    Raises:
        UsageError: other entries, or another shape.
    """
    array = as_array(masks, "masks")
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
    if array.dtype == np.bool_:
        return array
    if array.dtype.kind not in "iuf" or not ((array == 0) | (array == 1)).all():
        raise UsageError(
            "masks must hold only True and False (or 1 and 0; True = the player stays on), but "
            f"got other entries of type {array.dtype}"
        )
    return array.astype(np.bool_)


@dataclass(frozen=True)
class Players:
    """The parts of a model that a study switches: one column per player, layer by layer.

    Attributes:
        n_layers: layers of the whole model.
        n_heads: query heads per layer.
        layers: layers with players, ascending, counted from 0.
        units: names of the kinds of players, in the order of `headspex.units.UNITS`.
        n_kv_heads: KV heads per layer, needed only for KV groups.

    Raises:
        UsageError: no layers, layers that do not ascend within 0..n_layers-1, impossible units, or
            KV heads that do not divide the query heads.
    """

    n_layers: int
    n_heads: int
    layers: tuple[int, ...]
    units: tuple[str, ...] = ("head",)
    n_kv_heads: int | None = None

    def __post_init__(self) -> None:
        """Check layers and units against the model."""
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
        if parse_units(self.unit) != self.units:
            raise UsageError(
                f"units must be in the order {', '.join(UNITS)}, but got {self.units}; "
                "make them with parse_units"
            )
        groups = self.n_kv_heads
        if "kv-group" in self.units and (not groups or self.n_heads % groups):
            raise UsageError(
                f"n_kv_heads must divide the {self.n_heads} heads of a layer, but is {groups}; "
                "pass the model's"
            )

    @classmethod
    def heads(cls, n_layers: int, n_heads: int, layers: Iterable[int] | None = None) -> Players:
        """The heads of `layers` (any order), or of all layers."""
        return cls.of_unit("head", n_layers, n_heads, layers)

    @classmethod
    def of_unit(
        cls,
        unit: str,
        n_layers: int,
        n_heads: int,
        layers: Iterable[int] | None = None,
        *,
        n_kv_heads: int | None = None,
    ) -> Players:
        """The players of a unit such as "head,mlp", in `layers` (any order) or in all.

        Raises:
            UsageError: as for the class.
        """
        chosen = range(n_layers) if layers is None else sorted(layers)
        return cls(n_layers, n_heads, tuple(map(int, chosen)), parse_units(unit), n_kv_heads)

    @classmethod
    def of_run(cls, results: Mapping[str, Any]) -> Players:
        """The players of a finished run, from the results in its `run.json`."""
        return cls.of_unit(
            results.get("unit", "head"),  # old runs had only heads
            results["n_layers"],
            results["n_heads"],
            results["layers"],
            n_kv_heads=results.get("n_kv_heads"),
        )

    @property
    def unit(self) -> str:
        """The kinds of players as one text, such as "head" or "head,mlp"."""
        return ",".join(self.units)

    def __len__(self) -> int:
        """The number of columns of a mask."""
        return len(self.layers) * len(self._parts)

    def __getitem__(self, column: int) -> tuple[int, int]:
        """(layer, head) of a column; for other units, (layer, number within the layer)."""
        layer, number, _ = self._at(column)
        return layer, number

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """(layer, head) of every column, in order; see `__getitem__`."""
        return ((layer, number) for layer in self.layers for number, _ in self._parts)

    def index(self, layer: int, head: int, unit: str = "head") -> int:
        """The column of a head, or of another unit by its number within the layer.

        Raises:
            UsageError: there is no such player.
        """
        parts = self._parts
        if layer not in self.layers or (head, unit) not in parts:
            places = f"0-{parts[-1][0]} " if len(self.units) == 1 else ""
            raise UsageError(
                f"{_label(layer, head, unit)} is not a player: {plural(self.unit)} are {places}"
                f"of layers {format_layers(self.layers)}"
            )
        return self.layers.index(layer) * len(parts) + parts.index((head, unit))

    @property
    def layer_of(self) -> Int[np.ndarray, " players"]:
        """The layer of each column."""
        return np.repeat(np.asarray(self.layers, dtype=np.int64), len(self._parts))

    @property
    def names_in_layer(self) -> tuple[str, ...]:
        """Names of one layer's columns: 0, 1, ... for heads; H0, ..., M if mixed."""
        parts = (_label(0, *part).removeprefix("L0") for part in self._parts)
        plain = self.units in (("head",), ("kv-group",))
        return tuple(name[1:] if plain else name for name in parts)

    def label(self, column: int) -> str:
        """The name of a column, such as "L13H3", "L13G0", "L13A" (attention) or "L13M" (MLP)."""
        return _label(*self._at(column))

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
        """The masks over all heads of the model; heads that belong to no player stay on.

        Raises:
            UsageError: the last axis is not one column per player.
        """
        per_layer = {"head": self.n_heads, "kv-group": self.n_kv_heads or 1, "layer": 1}
        unit = next((unit for unit in self.units if unit in per_layer), None)
        if unit is None:
            return self._over_model(masks, [None] * self.n_heads)
        groups = (head * per_layer[unit] // self.n_heads for head in range(self.n_heads))
        return self._over_model(masks, [(group, unit) for group in groups])

    def mlps(
        self, masks: Bool[np.ndarray, "*batch players"]
    ) -> Bool[np.ndarray, "*batch n_layers"]:
        """The masks over all MLPs of the model; MLPs that belong to no player stay on.

        Raises:
            UsageError: the last axis is not one column per player.
        """
        return self._over_model(masks, [(0, "mlp") if "mlp" in self.units else None])[..., 0]

    def gates(
        self, values: Float[np.ndarray, "rows players"]
    ) -> Float[np.ndarray, "rows n_layers switches"]:
        """Each player's value at all its switches, and 1 at switches that belong to no player.

        A layer's switches are its heads, then its MLP.
        """
        switched = self._switched
        return np.asarray(1.0 + np.einsum("rp,pls->rls", values - 1.0, switched))

    def sums(
        self, by_switch: Float[np.ndarray, "rows n_layers switches"]
    ) -> Float[np.ndarray, "rows players"]:
        """Sums over the switches of each player."""
        return np.asarray(np.einsum("rls,pls->rp", by_switch, self._switched))

    @property
    def _switched(self) -> Bool[np.ndarray, "players n_layers switches"]:
        """The switches of each player."""
        alone = ~np.eye(len(self), dtype=np.bool_)
        return np.append(~self.grid(alone), ~self.mlps(alone)[..., None], axis=-1)

    def _at(self, column: int) -> tuple[int, int, str]:
        if not 0 <= column < len(self):
            raise IndexError(f"column {column} is outside 0..{len(self) - 1}")
        parts = self._parts
        position, part = divmod(int(column), len(parts))
        return self.layers[position], *parts[part]

    @property
    def _parts(self) -> list[tuple[int, str]]:
        """(number, unit) of each column of one layer."""
        count = {"head": self.n_heads, "kv-group": self.n_kv_heads or 0, "layer": 1, "mlp": 1}
        return [(number, unit) for unit in self.units for number in range(count[unit])]

    def _over_model(
        self, masks: Bool[np.ndarray, "*batch players"], holders: list[tuple[int, str] | None]
    ) -> Bool[np.ndarray, "*batch n_layers switches"]:
        """Masks over switches; `holders` has each switch's part, or None for one that stays on."""
        parts, n_layers = self._parts, len(self.layers)
        if masks.shape[-1] != len(self):
            raise UsageError(
                f"masks have {masks.shape[-1]} players, but this study has {len(self)} "
                f"({n_layers} layers x {len(parts)} {plural(self.unit)})"
            )
        batch = masks.shape[:-1]
        by_layer = masks.reshape(*batch, n_layers, len(parts))
        always_on = np.ones((*batch, n_layers, 1), dtype=np.bool_)
        columns = [len(parts) if part is None else parts.index(part) for part in holders]
        grid = np.ones((*batch, self.n_layers, len(holders)), dtype=np.bool_)
        grid[..., list(self.layers), :] = np.append(by_layer, always_on, axis=-1)[..., columns]
        return grid


def parse_label(label: str) -> tuple[int, int, str]:
    """(layer, number, unit) of a label such as "L13H3", (13, 3, "head").

    Raises:
        UsageError: the text has another form.
    """
    for name, unit in UNITS.items():
        number = r"(\d{1,6})" if unit.numbered else "()"
        found = re.fullmatch(rf"L(\d{{1,6}}){unit.letter}{number}", label.strip(), flags=re.ASCII)
        if found is not None:
            return int(found[1]), int(found[2] or 0), name
    raise UsageError(
        "a player is written like L13H3 (layer 13, head 3), L13G0 (KV group), L13A (attention) or "
        f"L13M (MLP), but got {label!r}"
    )


def parse_layers(text: str, n_layers: int) -> tuple[int, ...]:
    """The layers in text such as "0-2,13": counted from 0, ranges inclusive.

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


def _label(layer: int, number: int, unit: str) -> str:
    shown = number if UNITS[unit].numbered else ""
    return f"L{layer}{UNITS[unit].letter}{shown}"
