"""A spectrum's variance, split into single players, within layers, and across layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int

from headspex.engine.characters import basis_name
from headspex.engine.polynomial import Polynomial
from headspex.errors import UsageError
from headspex.players import Players
from headspex.units import plural

P = TypeVar("P", bound=Polynomial)


@dataclass(frozen=True, eq=False)
class LayerEnergy:
    """Shares of the energy: of the squared coefficients of all terms but the constant.

    In the basis of the sampling distribution these are shares of the variance that the spectrum
    explains. All are 0 for a constant spectrum; otherwise linear + within + across = 1.

    Attributes:
        linear: terms of one head (or other player).
        within: terms of several heads of one layer.
        across: terms of heads of several layers.
        layers: the layer of each row and column of `matrix`.
        matrix: [layers, layers], symmetric. A term's energy is shared equally among its pairs of
            heads; half of the share of two different layers stands on each side of the diagonal,
            so matrix.sum() + linear_by_layer.sum() = 1.
        linear_by_layer: [layers], the terms of one head.
        basis: the measure behind the energies, such as "p = 0.8".
    """

    linear: float
    within: float
    across: float
    layers: tuple[int, ...]
    matrix: Float[np.ndarray, "layers layers"]
    linear_by_layer: Float[np.ndarray, " layers"]
    basis: str


def layer_energy(spectrum: Polynomial, players: Players) -> LayerEnergy:
    """Split the energy of `spectrum` by layers, in the basis of its `keep`.

    For another basis pass `spectrum.with_keep(...)`.

    Raises:
        UsageError: spectrum and players differ in number.
    """
    if len(players) != spectrum.n_players:
        raise UsageError(
            f"the spectrum has {spectrum.n_players} players, but {len(players)} "
            f"{plural(players.unit)} are given"
        )
    n_layers = len(players.layers)
    row_of = np.searchsorted(players.layers, players.layer_of)
    linear_by_layer = np.zeros(n_layers)
    matrix = np.zeros((n_layers, n_layers))
    within = across = 0.0
    ends = np.cumsum([len(block.coefficients) for block in spectrum.blocks])
    energies = np.split(spectrum.energies, ends[:-1])
    for block, energy in zip(spectrum.blocks[1:], energies[1:], strict=True):
        rows = row_of[block.columns]
        if block.order == 1:
            np.add.at(linear_by_layer, rows[:, 0], energy)
            continue
        one_layer = _same_layer(rows)
        within += float(energy[one_layer].sum())
        across += float(energy[~one_layer].sum())
        share = energy / comb(block.order, 2)
        for first, second in combinations(range(block.order), 2):
            np.add.at(matrix, (rows[:, first], rows[:, second]), share)
    linear = float(linear_by_layer.sum())
    # Dividing by the sum of the parts, not by the variance, makes the shares add up to 1.
    total = linear + within + across or 1.0
    return LayerEnergy(
        linear=linear / total,
        within=within / total,
        across=across / total,
        layers=players.layers,
        matrix=(matrix + matrix.T) / (2 * total),
        linear_by_layer=linear_by_layer / total,
        basis=basis_name(spectrum.keep),
    )


def averaged_over_others(spectrum: P, players: Players, layers: Sequence[int]) -> P:
    """The spectrum of the value averaged over sampled masks of all heads outside `layers`.

    It keeps the terms of the heads of `layers` alone, with the same coefficients: the characters of
    all other heads have mean 0.
    """
    others = frozenset(np.flatnonzero(~np.isin(players.layer_of, layers)).tolist())
    kept = {term: value for term, value in spectrum.to_dict().items() if others.isdisjoint(term)}
    return type(spectrum).from_dict(kept, n_players=spectrum.n_players, keep=spectrum.keep)


def _same_layer(rows: Int[np.ndarray, "terms order"]) -> Bool[np.ndarray, " terms"]:
    same: Bool[np.ndarray, " terms"] = (rows == rows[:, :1]).all(axis=1)
    return same
