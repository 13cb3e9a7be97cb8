"""Masks, their values, and the spectrum: exact for few players, fitted for many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Float

from headspex.engine.characters import Keep, keep_vector
from headspex.engine.fit import ValueFunction, explain, scored
from headspex.engine.methods.baselines import lasso_heads
from headspex.engine.observations import observe
from headspex.engine.scaling import in_own_unit
from headspex.engine.spectrum import Spectrum
from headspex.engine.walsh import walsh_hadamard
from headspex.players import Masks, Values
from headspex.support.scale import exponent_of, scaled_by
from headspex.support.validation import whole, whole_seed

MOST_ENUMERATED = 16  # players; 65,536 masks
NEGLIGIBLE = 1e-12  # share of the values' range below which an exact coefficient is rounding
ROUNDING = 8 * np.finfo(np.float64).eps  # share of the largest value; matters under an offset


@dataclass(frozen=True, eq=False)
class Search:
    """The scored masks of a value function, and its spectrum.

    Attributes:
        masks, values: all that were scored.
        spectrum: of the function.
        exact: whether all 2^n masks were scored, so that nothing was fitted.
    """

    masks: Masks
    values: Values
    spectrum: Spectrum
    exact: bool

    def lasso(self, *, seed: int = 0) -> Spectrum:
        """The LASSO on single players, fitted to the same masks."""
        data = observe(self.masks, self.values, keep=self.spectrum.keep)
        return in_own_unit(data, lambda scaled: lasso_heads(scaled, seed=seed))


def search(
    value_function: ValueFunction, n_players: int, *, budget: int, keep: Keep = 0.5, seed: int = 0
) -> Search:
    """Score masks and find their spectrum.

    If the budget pays for all 2^n masks, the spectrum is their transform: exact for a function
    without noise. Otherwise masks are drawn and fitted with `headspex.explain`.

    Args:
        value_function: bool [masks, players] -> float [masks].
        n_players: columns of a mask.
        budget: masks scored, at most.
        keep, seed: as in `headspex.explain`.

    Raises:
        UsageError: as `headspex.explain`.
    """
    n_players, budget = whole("n_players", n_players, 1), whole("budget", budget, 1)
    seed = whole_seed(seed)
    if n_players <= MOST_ENUMERATED and 2**n_players <= budget:
        keep, masks = keep_vector(keep, n_players), all_masks(n_players)
        values = scored(value_function, masks)
        return Search(masks, values, exact_spectrum(values).with_keep(keep), exact=True)
    asked: list[tuple[Masks, Values]] = []

    def remembered(masks: Masks) -> Values:
        values = scored(value_function, masks)
        asked.append((masks, values))
        return values

    spectrum = explain(remembered, n_players, budget=budget, keep=keep, seed=seed)
    masks, values = asked[0]
    return Search(masks, values, spectrum, exact=False)


def all_masks(n_players: int) -> Masks:
    """All 2^n masks; bit i of a row's number says whether player i stays."""
    numbers = np.arange(2**n_players, dtype=np.int64)
    return (numbers[:, None] >> np.arange(n_players) & 1).astype(np.bool_)


def exact_spectrum(values: npt.ArrayLike) -> Spectrum:
    """The spectrum, at keep 1/2, of the values of `all_masks`: their Walsh-Hadamard transform."""
    given: Float[np.ndarray, " masks"] = np.array(values, dtype=np.float64)
    exponent = exponent_of(given)
    table = scaled_by(given, -exponent)
    n_players = len(table).bit_length() - 1
    least = max(NEGLIGIBLE * np.ptp(table), ROUNDING * np.abs(table).max())
    table = walsh_hadamard(table)  # a bit is a player, its character 1 when off and -1 when on
    kept = np.flatnonzero(np.abs(table) > least).tolist()
    members = {k: tuple(i for i in range(n_players) if k >> i & 1) for k in kept}
    table = scaled_by(table, exponent)
    coefficients = {members[k]: float(table[k]) for k in kept}
    return Spectrum.from_dict(coefficients, n_players=n_players)
