"""The best mask with the same shape in every layer, so that it can become a smaller model."""

from __future__ import annotations

from itertools import product

import numpy as np
from jaxtyping import Bool, Int

from headspex.engine.spectrum import Spectrum
from headspex.schedules.exact import PRODUCTS
from headspex.schedules.local_search import LEAST
from headspex.schedules.program import RemovalProgram, Row

NODES = 200  # of the solver's search tree; if they do not suffice, the mask of exchanges is kept
Table = Int[np.ndarray, "layers groups heads"]  # the column of each head


def best_of_shape(
    spectrum: Spectrum, columns: Table, groups: int, heads: int, *, nodes: int = NODES
) -> Bool[np.ndarray, " players"]:
    """The best mask that keeps `heads` heads in each of `groups` KV groups of every layer.

    Layer after layer makes its best exchange of a head or a group, until none helps; an integer
    program may then find a better mask.

    Args:
        spectrum: predicts the value of a mask, the higher the better.
        columns: every player once.
        groups, heads: numbers that stay, at least 1 and at most all.
        nodes: of the solver's search tree; 0 skips the program.
    """
    mask = _exchanged(spectrum, columns, _first(spectrum, columns, groups, heads))
    program = RemovalProgram.of(spectrum)
    if nodes > 0 and len(program.products) <= PRODUCTS:
        rows = _shape_rows(columns, groups, heads)
        found, _ = program.maximise(rows, n_extra=columns[..., 0].size, nodes=nodes)
        if found is not None:
            both = np.stack([mask, found])
            mask = both[int(spectrum.predict(both).argmax())]
    return mask


def _first(
    spectrum: Spectrum, columns: Table, groups: int, heads: int
) -> Bool[np.ndarray, " players"]:
    """A first mask by each head's mean effect over sampled masks (its first-order coefficient)."""
    effect = np.zeros(spectrum.n_players)
    linear = [block for block in spectrum.blocks if block.order == 1]
    for block in linear:
        effect[block.columns[:, 0]] = -block.coefficients
    mask = np.zeros(spectrum.n_players, dtype=np.bool_)
    for layer in columns:
        best = np.argsort(-effect[layer], axis=1, kind="stable")[:, :heads]
        inside = np.take_along_axis(layer, best, axis=1)
        chosen = np.argsort(-effect[inside].sum(axis=1), kind="stable")[:groups]
        mask[inside[chosen]] = True
    return mask


def _exchanged(
    spectrum: Spectrum, columns: Table, mask: Bool[np.ndarray, " players"]
) -> Bool[np.ndarray, " players"]:
    value = float(spectrum.predict(mask[None])[0])
    least = LEAST * float(np.abs(spectrum.coefficients).sum())
    better = True
    while better:
        better = False
        for layer in columns:
            others = _neighbours(mask, layer)
            if not len(others):
                continue
            values = spectrum.predict(others)
            best = int(values.argmax())
            if values[best] > value + least:
                mask, value, better = others[best], float(values[best]), True
    return mask


def _neighbours(
    mask: Bool[np.ndarray, " players"], layer: Int[np.ndarray, "groups heads"]
) -> Bool[np.ndarray, "masks players"]:
    """Masks that swap one head within its group, or one group for another of equal size."""
    on = mask[layer]
    kept, gone = np.flatnonzero(on.any(axis=1)), np.flatnonzero(~on.any(axis=1))
    found = []
    for group in kept:
        for out, back in product(layer[group][on[group]], layer[group][~on[group]]):
            found.append(_with(mask, off=[out], on=[back]))
    heads = int(on.sum(axis=1).max(initial=0))
    for group, other in product(kept, gone):
        taken = layer[group][on[group]]
        same = layer[other][on[group]]
        found.append(_with(mask, off=taken, on=same))
        # Places in a group have no meaning, so the first ones are worth trying too.
        found.append(_with(mask, off=taken, on=layer[other][:heads]))
    return np.array(found, dtype=np.bool_).reshape(len(found), len(mask))


def _with(mask: Bool[np.ndarray, " players"], *, off: object, on: object) -> np.ndarray:
    changed = mask.copy()
    changed[np.asarray(off)] = False
    changed[np.asarray(on)] = True
    return changed


def _shape_rows(columns: Table, groups: int, heads: int) -> list[Row]:
    """The shape as constraints, with one binary variable for each group, 1 if the group stays."""
    n_players, (n_layers, n_groups, n_heads) = columns.size, columns.shape
    rows = []
    for layer in range(n_layers):
        first = n_players + layer * n_groups
        rows.append(Row(range(first, first + n_groups), [1] * n_groups, groups, groups))
        for group in range(n_groups):
            # removed + heads * stays = all
            variables = (*columns[layer, group].tolist(), first + group)
            rows.append(Row(variables, [*[1] * n_heads, heads], n_heads, n_heads))
    return rows
