"""A function of masks as a sparse multilinear polynomial, in the basis of a keep probability.

    f(m) = sum_T F(T) prod_{i in T} chi_i(m),   chi_i(m) = (p_i - m_i) / sqrt(p_i (1 - p_i))

where p_i is the probability that a sampled mask keeps player i. The chi are orthonormal under that
sampling, and at p = 1/2 they are the signs 1 - 2 m_i of the Fourier transform in ProxySPEX
(arXiv 2505.17495). A head that helps has a negative coefficient.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from jaxtyping import Float

from headspex.engine.characters import (
    MASKS_AT_ONCE,
    Keep,
    factors_of,
    keep_vector,
    products_of,
)
from headspex.engine.terms import Block, Term, blocks_of, check_blocks, collect, substitute
from headspex.errors import UsageError
from headspex.players import Values, check_masks
from headspex.support.scale import exponent_of, scaled_by


@dataclass(frozen=True, eq=False, repr=False)
class Polynomial:
    """A sparse multilinear polynomial in the orthonormal basis of its `keep`.

    Attributes:
        terms: ascending columns of each term, sorted by (order, columns); () comes first.
        coefficients: float64 [terms], in the unit of the value.
        n_players: columns of a mask.
        keep: float64 [players], each within (0, 1); one number stands for all players.

    Raises:
        UsageError: terms unsorted, repeated or out of range, coefficients or keep not finite or
            of the wrong length.
    """

    terms: tuple[Term, ...]
    coefficients: Float[np.ndarray, " terms"]
    n_players: int
    keep: Float[np.ndarray, " players"]

    def __post_init__(self) -> None:
        """Refuse what is not a polynomial, and make the arrays float64 and read-only."""
        if self.n_players < 1:
            raise UsageError(f"a spectrum has at least one player, but got {self.n_players}")
        coefficients = np.array(self.coefficients, dtype=np.float64)
        if coefficients.shape != (len(self.terms),):
            raise UsageError(
                f"one coefficient per term: {len(self.terms)} terms, "
                f"but coefficients of shape {list(coefficients.shape)}"
            )
        if not np.isfinite(coefficients).all():
            raise UsageError("coefficients must be finite, but some are NaN or infinite")
        coefficients.setflags(write=False)
        object.__setattr__(self, "coefficients", coefficients)
        object.__setattr__(self, "keep", keep_vector(self.keep, self.n_players))
        check_blocks(self.blocks, self.n_players)

    @classmethod
    def from_dict(
        cls,
        coefficients: Mapping[Any, float],
        *,
        n_players: int,
        keep: Keep = 0.5,
    ) -> Self:
        """The polynomial of {columns in any order: coefficient}; the constant defaults to 0.

        Raises:
            UsageError: a set of players given twice, columns repeated or out of range.
        """
        table: dict[Term, float] = {(): 0.0}
        given = {tuple(sorted(int(i) for i in key)): float(v) for key, v in coefficients.items()}
        if len(given) != len(coefficients):
            raise UsageError("a set of players is given twice; add up its coefficients")
        table.update(given)
        terms = tuple(sorted(table, key=lambda term: (len(term), term)))
        values = np.array([table[term] for term in terms])
        return cls(terms, values, n_players, keep_vector(keep, n_players))

    @classmethod
    def from_blocks(cls, blocks: Iterable[Block], *, n_players: int, keep: Keep) -> Self:
        """The polynomial of sorted blocks, one per order, orders ascending."""
        blocks = list(blocks)
        if not blocks or blocks[0].order != 0:
            blocks.insert(0, Block(np.zeros((1, 0), dtype=np.int32), np.zeros(1)))
        terms = tuple(term for block in blocks for term in block.terms())
        values = np.concatenate([block.coefficients for block in blocks])
        return cls(terms, values, n_players, keep_vector(keep, n_players))

    @classmethod
    def weighted_sum(cls, parts: Sequence[tuple[float, Polynomial]]) -> Self:
        """The sum of weight * polynomial, all of the same players and in the same basis."""
        scaled = (
            Block(block.columns, weight * block.coefficients)
            for weight, part in parts
            for block in part.blocks
        )
        n_players, keep = parts[0][1].n_players, parts[0][1].keep
        return cls.from_blocks(collect(scaled, n_players), n_players=n_players, keep=keep)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The terms as arrays, one block per order."""
        return tuple(blocks_of(self.terms, self.coefficients))

    @property
    def order(self) -> int:
        """The most players in one term."""
        return self.blocks[-1].order

    @property
    def variance(self) -> float:
        """Variance of the value over masks sampled with `keep`: all squares but the constant's.

        Infinite or 0 if it is beyond float64; `shares` are correct even then.
        """
        with np.errstate(over="ignore"):
            return float(np.square(self.coefficients[1:]).sum())

    @cached_property
    def energies(self) -> Float[np.ndarray, " terms"]:
        """Squared coefficients, in a unit in which the largest is near 1; 0 for the constant."""
        # In that unit no square overflows or vanishes. A power of two changes no digit.
        varying = np.where(np.arange(len(self.terms)) > 0, self.coefficients, 0.0)
        return np.asarray(np.square(scaled_by(varying, -exponent_of(varying))))

    @property
    def shares(self) -> Float[np.ndarray, " terms"]:
        """Share of each term in the variance; 0 for the constant."""
        return np.asarray(self.energies / (self.energies[1:].sum() or 1.0))

    def predict(self, masks: npt.ArrayLike) -> Values:
        """The value of each mask, float64 [masks]; takes a few MB beyond the masks.

        Args:
            masks: bool [masks, players], True = the player stays on; or exact 1 and 0.

        Raises:
            UsageError: not masks, or of the wrong width.
        """
        masks = check_masks(masks, self.n_players)
        values = np.empty(len(masks))
        for start in range(0, len(masks), MASKS_AT_ONCE):
            part = slice(start, start + MASKS_AT_ONCE)
            factors = factors_of(masks[part], self.keep, np.float64)
            values[part] = 0.0
            for block in self.blocks:
                for rows, products in products_of(factors, block.columns):
                    values[part] += block.coefficients[rows] @ products
        return values

    def to_dict(self) -> dict[Term, float]:
        """Term -> coefficient, in the basis of `keep`."""
        return dict(zip(self.terms, self.coefficients.tolist(), strict=True))

    def to_fourier(self) -> dict[Term, float]:
        """Term -> coefficient at p = 1/2, the constant included."""
        return self.with_keep(0.5).to_dict()

    def with_keep(self, keep: Keep) -> Self:
        """The same function in the basis of another `keep`: exact, nothing is refitted.

        Far from the keep the masks were sampled with, this extrapolates: errors of an order-k
        term grow like (1 / (2 sqrt(p (1 - p))))^k. A term of order k may expand to 2^k terms.

        Raises:
            UsageError: a probability outside (0, 1), or too many terms result.
        """
        target = keep_vector(keep, self.n_players)
        if np.array_equal(target, self.keep):
            return self
        # chi_old = (p - m) / s_old, and m = q - s_new chi_new.
        old_scale = np.sqrt(self.keep * (1 - self.keep))
        stay = (self.keep - target) / old_scale
        take = np.where(target == self.keep, 1.0, np.sqrt(target * (1 - target)) / old_scale)
        blocks = substitute(self.blocks, stay, take, self.n_players)
        return type(self).from_blocks(blocks, n_players=self.n_players, keep=target)

    def truncate(
        self,
        *,
        max_terms: int | None = None,
        min_share: float = 0.0,
        max_order: int | None = None,
    ) -> Self:
        """Keep the strongest terms; the constant always stays.

        Args:
            max_terms: at most this many terms beside the constant; ties go to the earlier term.
            min_share: the least share of `variance` a term must have, 0..1.
            max_order: the most players a term may have.

        Raises:
            UsageError: a negative limit, or a share outside 0..1.
        """
        if min(max_terms or 0, max_order or 0) < 0 or not 0 <= min_share <= 1:
            raise UsageError(
                "limits must not be negative, and min_share must be within 0..1, but got "
                f"{max_terms=}, {min_share=}, {max_order=}"
            )
        kept = self.shares >= min_share
        if max_order is not None:
            kept &= np.fromiter(map(len, self.terms), dtype=np.int64) <= max_order
        kept[0] = False
        ranked = np.flatnonzero(kept)
        ranked = ranked[np.argsort(-self.energies[ranked], kind="stable")][:max_terms]
        chosen = np.sort(np.concatenate([[0], ranked])).tolist()
        if len(chosen) == len(self.terms):
            return self
        terms = tuple(self.terms[i] for i in chosen)
        return type(self)(terms, self.coefficients[chosen], self.n_players, self.keep)
