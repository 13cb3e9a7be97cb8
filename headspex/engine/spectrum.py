"""A value function as a sparse sum of interactions between players.

    f(m) = sum_T F(T) prod_{i in T} chi_i(m),   chi_i(m) = (p_i - m_i) / sqrt(p_i (1 - p_i))

where p_i is the probability that a sampled mask keeps player i. The chi are orthonormal under that
sampling, and at p = 1/2 they are the signs 1 - 2 m_i of the Fourier transform in ProxySPEX
(arXiv 2505.17495). A head that helps has a negative coefficient.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float

from headspex.engine.characters import (
    MASKS_AT_ONCE,
    Keep,
    basis_name,
    characters,
    factors_of,
    keep_vector,
    products_of,
)
from headspex.engine.terms import Block, Term, blocks_of, check_blocks, collect, substitute
from headspex.errors import UsageError
from headspex.players import Players, Values, check_masks

if TYPE_CHECKING:
    from headspex.engine.energy import LayerEnergy

__all__ = ["FitReport", "Spectrum", "Term", "characters", "keep_vector"]


@dataclass(frozen=True)
class FitReport:
    """How well a spectrum was found to generalise, and where its terms came from.

    Attributes:
        cv_r2: cross-validated R² of the method that was chosen; `low`, `high` its 95 % interval.
        method: the method that was chosen.
        methods: cross-validated R² of every method that was tried.
        sources: for each term of the spectrum, which source proposed it.
    """

    cv_r2: float
    low: float
    high: float
    method: str
    methods: dict[str, float]
    sources: tuple[str, ...]


@dataclass(frozen=True, eq=False, repr=False)
class Spectrum:
    """A sparse multilinear polynomial in the orthonormal basis of its `keep`.

    Attributes:
        terms: ascending columns of each term, sorted by (order, columns); () comes first.
        coefficients: float64 [terms], in the unit of the value.
        n_players: columns of a mask.
        keep: float64 [players], each within (0, 1); one number stands for all players.
        report: set by `fit_spectrum`.

    Raises:
        UsageError: terms unsorted, repeated or out of range, coefficients or keep not finite or
            of the wrong length.
    """

    terms: tuple[Term, ...]
    coefficients: Float[np.ndarray, " terms"]
    n_players: int
    keep: Float[np.ndarray, " players"]
    report: FitReport | None = None

    def __post_init__(self) -> None:
        """Refuse what is not a spectrum, and make the arrays float64 and read-only."""
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
        if self.report is not None and len(self.report.sources) != len(self.terms):
            raise UsageError(
                f"one source per term: {len(self.terms)} terms, "
                f"but {len(self.report.sources)} sources"
            )
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
    ) -> Spectrum:
        """The spectrum of {columns in any sequence: coefficient}; the constant defaults to 0.

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
    def from_blocks(cls, blocks: Iterable[Block], *, n_players: int, keep: Keep) -> Spectrum:
        """The spectrum of sorted blocks, one per order, orders ascending."""
        blocks = list(blocks)
        if not blocks or blocks[0].order != 0:
            blocks.insert(0, Block(np.zeros((1, 0), dtype=np.int32), np.zeros(1)))
        terms = tuple(term for block in blocks for term in block.terms())
        values = np.concatenate([block.coefficients for block in blocks])
        return cls(terms, values, n_players, keep_vector(keep, n_players))

    @classmethod
    def weighted_sum(cls, parts: Sequence[tuple[float, Spectrum]]) -> Spectrum:
        """The sum of weight * spectrum, all of the same players and in the same basis."""
        scaled = (
            Block(block.columns, weight * block.coefficients)
            for weight, spectrum in parts
            for block in spectrum.blocks
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
        """Of the value over masks sampled with `keep`: all squares but the constant's.

        Infinite, or 0, where float64 does not hold it; `shares` are right all the same.
        """
        with np.errstate(over="ignore"):
            return float(np.square(self.coefficients[1:]).sum())

    @cached_property
    def energies(self) -> Float[np.ndarray, " terms"]:
        """Squared coefficients, in a unit in which the largest is near 1; 0 for the constant."""
        # There no square overflows or vanishes. A power of two, so that no digit changes.
        varying = np.where(np.arange(len(self.terms)) > 0, self.coefficients, 0.0)
        return np.square(np.ldexp(varying, -int(np.frexp(np.abs(varying).max())[1])))

    @property
    def shares(self) -> Float[np.ndarray, " terms"]:
        """Of each term in the variance; 0 for the constant."""
        return np.asarray(self.energies / (self.energies[1:].sum() or 1.0))

    def predict(self, masks: npt.ArrayLike) -> Values:
        """The value of each mask, float64 [masks]; memory stays within some MB beyond the masks.

        Args:
            masks: bool [masks, players], True = the player stays on; or exact 1 and 0.

        Raises:
            UsageError: no masks, or of the wrong width.
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

    def with_keep(self, keep: Keep) -> Spectrum:
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
        spectrum = Spectrum.from_blocks(
            substitute(self.blocks, stay, take, self.n_players),
            n_players=self.n_players,
            keep=target,
        )
        if self.report is None:
            return spectrum
        known = dict(zip(self.terms, self.report.sources, strict=True))
        sources = tuple(known.get(term, "change of basis") for term in spectrum.terms)
        return replace(spectrum, report=replace(self.report, sources=sources))

    def truncate(
        self,
        *,
        max_terms: int | None = None,
        min_share: float = 0.0,
        max_order: int | None = None,
    ) -> Spectrum:
        """Keep the strongest terms; the constant always stays.

        What is left has no `report`, unless it is all: the fit was judged with all its terms.

        Args:
            max_terms: at most this many terms beside the constant; ties go to the earlier term.
            min_share: the least share of `variance` a term must have, 0..1.
            max_order: the most players a term may have.

        Raises:
            UsageError: a negative limit, or a share outside 0..1.
        """
        if min(max_terms or 0, max_order or 0) < 0 or not 0 <= min_share <= 1:
            raise UsageError(
                "limits are not negative and min_share is within 0..1, but got "
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
        return Spectrum(terms, self.coefficients[chosen], self.n_players, self.keep)

    def interactions(
        self, index: str = "fourier", *, order: int = 2, keep: Keep = 0.5
    ) -> dict[Term, float]:
        """An interaction index of every group of 1..order players that has one.

        Args:
            index: fourier, moebius, banzhaf, shapley, sii, stii, fsii, fbii or influence.
            order: largest group; shapley and influence are of single players whatever it is.
            keep: the measure behind fourier, banzhaf, fbii and influence; the others have none.

        Raises:
            UsageError: unknown index, or an order below 1.
        """
        from headspex.engine.indices import interactions  # indices are built on this module

        return interactions(self, index, order=order, keep=keep)

    def energy(self, players: Players) -> LayerEnergy:
        """Shares of heads, within layers and across layers; see `headspex.layer_energy`."""
        from headspex.engine.energy import layer_energy  # energies are built on this module

        return layer_energy(self, players)

    def to_json(self) -> str:
        """One line of "headspex.spectrum/1"; floats survive the round trip exactly."""
        from headspex.engine.spectrum_json import dump

        return dump(self)

    @classmethod
    def from_json(cls, text: str) -> Spectrum:
        """Read what `to_json` wrote; UsageError says where the text is something else."""
        from headspex.engine.spectrum_json import load

        return load(text)

    def to_shapiq(self, index: str = "sii", *, order: int = 2) -> Any:
        """The interactions as a `shapiq.InteractionValues`; UsageError without shapiq."""
        from headspex.engine.shapiq_bridge import interaction_values

        return interaction_values(self, index, order=order)

    def _repr_html_(self) -> str:
        """The strongest terms, for a notebook."""
        from headspex.notebook import spectrum_html

        return spectrum_html(self)

    def __repr__(self) -> str:
        """One line: size, basis, energy by order, and how well it was fitted."""
        text = (
            f"Spectrum({self.n_players} players, {len(self.terms):,} terms to order {self.order}, "
            f"{basis_name(self.keep)}"
        )
        if self.energies.any():
            orders = np.fromiter(map(len, self.terms), dtype=np.int64).clip(max=3)
            shares = np.bincount(orders, self.shares, minlength=4)[1:]
            text += "; energy {:.0%} singles, {:.0%} pairs, {:.0%} higher".format(*shares)
        if self.report is not None:
            text += f"; cross-validated R² {self.report.cv_r2:.3f} by {self.report.method}"
        return text + ")"
