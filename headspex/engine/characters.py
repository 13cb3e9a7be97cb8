"""The characters: the orthonormal basis of functions of a mask, for any keep probability.

chi_i(m) = (p_i - m_i) / sqrt(p_i (1 - p_i)); a term's character is the product over its players.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Float32

from headspex.engine.terms import Term
from headspex.errors import UsageError
from headspex.players import Masks, check_masks
from headspex.support.arrays import as_array, as_numbers

Keep: TypeAlias = float | Sequence[float] | np.ndarray  # one probability, or one per player

MASKS_AT_ONCE = 512
_TILE = 1 << 17  # products held at once: 1 MB of float64, about an L2 cache


def keep_vector(keep: Keep, n_players: int) -> Float[np.ndarray, " players"]:
    """`keep` as read-only float64 [players].

    Raises:
        UsageError: a probability outside (0, 1), or not one per player.
    """
    vector = as_numbers(keep, "keep").copy()
    if vector.ndim == 0:
        vector = np.full(n_players, float(vector))
    if vector.shape != (n_players,):
        raise UsageError(
            f"keep is one number or one per player ({n_players}), "
            f"but got the shape {list(vector.shape)}"
        )
    if not ((vector > 0) & (vector < 1)).all():
        raise UsageError(
            "keep is a probability strictly between 0 and 1, "
            f"but got {vector[~((vector > 0) & (vector < 1))][0]}"
        )
    vector.setflags(write=False)
    return vector


def basis_name(keep: Float[np.ndarray, " players"]) -> str:
    """How outputs name a basis: "p = 0.8", or "p by player"."""
    return f"p = {keep[0]:g}" if (keep == keep[0]).all() else "p by player"


def characters(
    masks: npt.ArrayLike, terms: Sequence[Term], keep: Keep
) -> Float32[np.ndarray, "masks terms"]:
    """The design matrix: prod_{i in T} chi_i(m) for every mask and term.

    Terms may be in any order. The result is Fortran-ordered: a column (a term) is contiguous.

    Raises:
        UsageError: invalid masks, or a term's column out of range.
    """
    array = as_array(masks, "masks")
    array = check_masks(array, array.shape[-1] if array.ndim else 0)
    n_masks, n_players = array.shape
    keep = keep_vector(keep, n_players)
    design = np.empty((len(terms), n_masks), dtype=np.float32)
    orders = np.fromiter(map(len, terms), dtype=np.int64, count=len(terms))
    groups = []
    for order in np.unique(orders):
        rows = np.flatnonzero(orders == order)
        columns = np.array([terms[row] for row in rows.tolist()], dtype=np.int64).reshape(
            len(rows), order
        )
        if columns.size and not (columns.min() >= 0 and columns.max() < n_players):
            raise UsageError(f"terms name columns outside 0..{n_players - 1}")
        groups.append((rows, columns))
    for start in range(0, n_masks, MASKS_AT_ONCE):
        part = slice(start, start + MASKS_AT_ONCE)
        factors = factors_of(array[part], keep, np.float32)
        for rows, columns in groups:
            for chosen, products in products_of(factors, columns):
                design[rows[chosen], part] = products
    return design.T


def factors_of(
    masks: Masks, keep: Float[np.ndarray, " players"], dtype: type[np.floating[Any]]
) -> npt.NDArray[Any]:
    """chi_i of each mask, [players, masks]: a player's row is contiguous."""
    on = -np.sqrt((1 - keep) / keep)
    off = np.sqrt(keep / (1 - keep))
    # Without the copy the result inherits the transpose's layout and each gather strides.
    players_first = np.ascontiguousarray(masks.T)
    factors: npt.NDArray[Any] = np.where(
        players_first, on.astype(dtype)[:, None], off.astype(dtype)[:, None]
    )
    return factors


def products_of(
    factors: npt.NDArray[Any], columns: npt.NDArray[Any]
) -> Iterator[tuple[slice, npt.NDArray[Any]]]:
    """The products over the rows of `columns`, [terms, masks], some terms at a time."""
    n_masks = factors.shape[1]
    step = max(1, _TILE // max(1, n_masks))
    for start in range(0, len(columns), step):
        rows = slice(start, start + step)
        chosen = columns[rows]
        if chosen.shape[1] == 0:
            yield rows, np.ones((len(chosen), n_masks), dtype=factors.dtype)
            continue
        products = factors[chosen[:, 0]]
        for position in range(1, chosen.shape[1]):
            products *= factors[chosen[:, position]]
        yield rows, products
