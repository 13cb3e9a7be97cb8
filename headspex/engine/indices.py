"""Interaction indices, computed exactly from a spectrum.

All are effects of players being *on*. With M(S) the coefficients of the products of masks
(the Moebius transform), f(m) = sum_S M(S) prod_{i in S} m_i, each index is a weighted sum over the
supersets of a group; the weights are those of the SPEX and ProxySPEX papers (arXiv 2502.13870,
2505.17495) and of Tsai, Yeh, Ravikumar (arXiv 2203.00870) for FSII and FBII.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import combinations
from math import comb
from typing import TypeAlias

import numpy as np
from jaxtyping import Float

from headspex.engine.characters import Keep
from headspex.engine.effects import block_effects
from headspex.engine.polynomial import Polynomial
from headspex.engine.terms import Block, Term, collect, substitute
from headspex.errors import UsageError
from headspex.support.validation import whole

# (spectrum, order, keep) -> one block per group size, 1..order; keep is the measure, where the
# index has one.
Index: TypeAlias = Callable[[Polynomial, int, Keep], list[Block]]


def interactions(
    spectrum: Polynomial, index: str = "fourier", *, order: int = 2, keep: Keep | None = None
) -> dict[Term, float]:
    """The index of every group of 1..order players, groups with identically 0 left out.

    Args:
        spectrum: in any basis.
        index: a name in `INDICES`.
        order: largest group; the "l" of STII, FSII and FBII.
        keep: the measure of fourier, banzhaf, fbii and influence; the spectrum's own if None.

    Raises:
        UsageError: unknown index, or an order below 1.
    """
    if index not in INDICES:
        raise UsageError(f"no index {index!r}; known: {', '.join(INDICES)}")
    order = whole("order", order, 1)
    blocks = INDICES[index](spectrum, order, spectrum.keep if keep is None else keep)
    return {
        term: value
        for block in blocks
        for term, value in zip(block.terms(), block.coefficients.tolist(), strict=True)
    }


def moebius_transform(spectrum: Polynomial) -> list[Block]:
    """The coefficients of the products of masks, one block per order, () included."""
    keep = spectrum.keep
    scale = np.sqrt(keep * (1 - keep))
    return substitute(spectrum.blocks, keep / scale, -1 / scale, spectrum.n_players)


def shapley_of(spectrum: Polynomial) -> Float[np.ndarray, " players"]:
    """Shapley values of a spectrum."""
    found = np.zeros(spectrum.n_players)
    for (player,), value in interactions(spectrum, "shapley", order=1).items():
        found[player] = value
    return found


def _fourier(spectrum: Polynomial, order: int, keep: Keep) -> list[Block]:
    return _up_to(spectrum.with_keep(keep).blocks, order)


def _moebius(spectrum: Polynomial, order: int, keep: Keep) -> list[Block]:
    return _up_to(moebius_transform(spectrum), order)


def _banzhaf(spectrum: Polynomial, order: int, keep: Keep) -> list[Block]:
    based = spectrum.with_keep(keep)
    return [
        Block(block.columns, block_effects(block, based.keep))
        for block in _up_to(based.blocks, order)
    ]


def _shapley(spectrum: Polynomial, order: int, keep: Keep) -> list[Block]:
    return _sii(spectrum, 1, keep)


def _sii(spectrum: Polynomial, order: int, keep: Keep) -> list[Block]:
    blocks = moebius_transform(spectrum)
    return _superset_sums(blocks, order, lambda size, group: 1 / (size - group + 1), spectrum)


def _stii(spectrum: Polynomial, order: int, keep: Keep) -> list[Block]:
    def weight(size: int, group: int) -> float:
        if group == order:
            return 1 / comb(size, order)
        return float(size == group)

    return _superset_sums(moebius_transform(spectrum), order, weight, spectrum)


def _fsii(spectrum: Polynomial, order: int, keep: Keep) -> list[Block]:
    def weight(size: int, group: int) -> float:
        if size == group:
            return 1.0
        if size <= order:
            return 0.0
        sign = 1.0 if (order - group) % 2 == 0 else -1.0
        share = group / (order + group) * comb(order, group)
        return sign * share * comb(size - 1, order) / comb(size + order - 1, order + group)

    return _superset_sums(moebius_transform(spectrum), order, weight, spectrum)


def _fbii(spectrum: Polynomial, order: int, keep: Keep) -> list[Block]:
    # The best approximation of an order is the truncated spectrum; its products are the index.
    return _up_to(moebius_transform(spectrum.with_keep(keep).truncate(max_order=order)), order)


def _influence(spectrum: Polynomial, order: int, keep: Keep) -> list[Block]:
    based = spectrum.with_keep(keep)
    size = float(np.abs(based.coefficients[1:]).max(initial=0.0))
    if size and not 1e-150 < size < 1e150:
        raise UsageError(
            f"influence is a square, and that of {size:g} is beyond float64; "
            "give values in a unit in which they are nearer to 1"
        )
    blocks = [Block(block.columns, np.square(block.coefficients)) for block in based.blocks]
    return _superset_sums(blocks, 1, lambda size, group: 1.0, spectrum)


INDICES: dict[str, Index] = {
    "fourier": _fourier,
    "moebius": _moebius,
    "banzhaf": _banzhaf,
    "shapley": _shapley,
    "sii": _sii,
    "stii": _stii,
    "fsii": _fsii,
    "fbii": _fbii,
    "influence": _influence,  # sum of squares of all terms with the player: its share of variance
}


def _up_to(blocks: Iterable[Block], order: int) -> list[Block]:
    return [block for block in blocks if 1 <= block.order <= order]


def _superset_sums(
    blocks: Iterable[Block],
    order: int,
    weight: Callable[[int, int], float],
    spectrum: Polynomial,
) -> list[Block]:
    """For each group T of 1..order players, the sum over S >= T of weight(|S|, |T|) * S's value."""

    def parts() -> Iterator[Block]:
        for block in blocks:
            for group in range(1, min(order, block.order) + 1):
                factor = weight(block.order, group)
                if factor == 0.0:
                    continue
                for chosen in combinations(range(block.order), group):
                    yield Block(block.columns[:, chosen], factor * block.coefficients)

    return collect(parts(), spectrum.n_players)
