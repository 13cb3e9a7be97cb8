"""An integer program that maximises a spectrum over the players to remove.

With u_i = 1 if player i is removed, a spectrum is a polynomial in u. Each product of k factors u_i
becomes a variable z, with the constraints z <= u_i for each i if its coefficient is positive, and
z >= sum u_i - (k - 1) if it is negative (Fortet 1960). So the value is linear, and HiGHS maximises
it.

Products of removed players are mostly zero, as few players are removed together: with products of
kept players the same programs took 2 to 40 times as long on spectra of `mini`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array

from headspex.engine.spectrum import Spectrum
from headspex.engine.terms import Term, substitute
from headspex.schedules.constraints import Constraints

_ZERO = 1e-12  # share of the largest coefficient below which terms have cancelled


@dataclass(frozen=True)
class Row:
    """low <= sum of values x variables <= high."""

    variables: Sequence[int]
    values: Sequence[float]
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class RemovalProgram:
    """constant + linear @ u + sum of coefficient x product of u.

    Attributes:
        constant: the value of the whole model.
        linear: of each player.
        products: of two or more players.
        coefficients: of the products.
    """

    constant: float
    linear: Float[np.ndarray, " players"]
    products: tuple[Term, ...]
    coefficients: Float[np.ndarray, " products"]

    @classmethod
    def of(cls, spectrum: Spectrum) -> RemovalProgram:
        """The same function in removed players: chi_i = (p_i - 1 + u_i) / sqrt(p_i (1 - p_i))."""
        keep = spectrum.keep
        scale = np.sqrt(keep * (1 - keep))
        blocks = substitute(spectrum.blocks, (keep - 1) / scale, 1 / scale, spectrum.n_players)
        constant, linear = 0.0, np.zeros(spectrum.n_players)
        products: list[Term] = []
        coefficients: list[float] = []
        largest = max((float(np.abs(b.coefficients).max(initial=0.0)) for b in blocks), default=0.0)
        for block in blocks:
            if block.order == 0:
                constant = float(block.coefficients[0])
            elif block.order == 1:
                linear[block.columns[:, 0]] = block.coefficients
            else:
                alive = np.abs(block.coefficients) > _ZERO * largest
                products += [tuple(row) for row in block.columns[alive].tolist()]
                coefficients += block.coefficients[alive].tolist()
        return cls(constant, linear, tuple(products), np.array(coefficients))

    @property
    def scale(self) -> float:
        """The largest coefficient, in the unit of the value."""
        both = np.abs(np.concatenate([self.linear, self.coefficients]))
        return float(both.max()) or 1.0

    def loose_bound(self, n_pruned: int) -> float:
        """An upper bound for masks of this size: a product is at most the mean of its factors."""
        shares = self.linear.copy()
        for term, coefficient in zip(self.products, self.coefficients, strict=True):
            if coefficient > 0:
                shares[list(term)] += coefficient / len(term)
        return self.constant + float(np.sort(shares)[len(shares) - n_pruned :].sum())

    def maximise(
        self, rows: Sequence[Row], *, n_extra: int = 0, nodes: int
    ) -> tuple[Bool[np.ndarray, " players"] | None, float]:
        """The best mask that the solver found, and an upper bound for all masks.

        Args:
            rows: linear constraints; the variables are the players, then `n_extra` binary ones.
            n_extra: number of extra binary variables.
            nodes: of the search tree, at most.

        Returns:
            True = the player stays on; None if the solver found no mask within its nodes.
        """
        n_integer = len(self.linear) + n_extra
        every = [*rows, *self._product_rows(n_integer)]
        n_variables = n_integer + len(self.products)
        objective = np.concatenate([self.linear, np.zeros(n_extra), self.coefficients])
        matrix = coo_array(
            (
                np.concatenate([row.values for row in every]),
                (
                    np.repeat(np.arange(len(every)), [len(row.variables) for row in every]),
                    np.concatenate([row.variables for row in every]).astype(np.int64),
                ),
            ),
            shape=(len(every), n_variables),
        ).tocsr()
        found = milp(
            -objective / self.scale,  # the solver's tolerances are absolute
            integrality=np.repeat([1, 0], [n_integer, len(self.products)]),
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(matrix, [r.low for r in every], [r.high for r in every]),
            options={"node_limit": nodes, "mip_rel_gap": 0.0},
        )
        bound = found.mip_dual_bound
        top = np.inf if bound is None else self.constant - float(bound) * self.scale
        if found.x is None:
            return None, top
        return found.x[: len(self.linear)] < 0.5, top

    def _product_rows(self, first: int) -> list[Row]:
        rows = []
        for z, (term, coefficient) in enumerate(
            zip(self.products, self.coefficients, strict=True), first
        ):
            if coefficient > 0:
                rows += [Row((z, i), (1, -1), -np.inf, 0) for i in term]
            else:
                rows.append(Row((z, *term), (1, *[-1] * len(term)), 1 - len(term), np.inf))
        return rows


def size_rows(constraints: Constraints, n_pruned: int, removed: Sequence[int]) -> list[Row]:
    """Exactly `n_pruned` players go, `removed` among them, within the constraints."""
    n_players = constraints.n_players
    rows = [Row(range(n_players), [1] * n_players, n_pruned, n_pruned)]
    rows += [Row((column,), (1,), 1, 1) for column in removed]
    rows += [
        Row(limit.columns, [1] * len(limit.columns), 0, limit.removed)
        for limit in constraints.limits
    ]
    return rows
