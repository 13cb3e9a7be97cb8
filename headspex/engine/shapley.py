"""Shapley values from about n log n evaluations.

Shapley values do not change when f(S) is replaced by half of f(S) - f(not S): interactions of two,
four, ... players cancel in a pair of opposite masks. So masks come in such pairs:

- one pair per player from rows of Hadamard matrices, columns and signs shuffled: two players are on
  together as often as apart, which separates their effects with the least noise (a foldover design;
  Box & Hunter, Technometrics 1961);
- then sets of the sizes that the Shapley kernel 1 / (s (n - s)) favours, small ones and their
  complements (Lundberg & Lee 2017), made of the players used least so far.

If the budget is too small for pairs, players are switched on one after the other in random order,
which covers every player once.

The values are fitted by ridge regression on all terms of all orders, with a relevance for each
player (`headspex.engine.methods.kernel`): it discards players without effect, and a few evaluations
suffice for the others. The Shapley values of the fitted spectrum are exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.linalg import hadamard

from headspex.engine.fit import ValueFunction, scored
from headspex.engine.indices import shapley_of
from headspex.engine.methods.kernel import kernel_ridge
from headspex.engine.observations import Observations, observe
from headspex.engine.scaling import in_own_unit
from headspex.engine.search import MOST_ENUMERATED, all_masks, exact_spectrum
from headspex.engine.spectrum import Spectrum
from headspex.players import Masks
from headspex.support.seeds import stream
from headspex.support.validation import whole, whole_seed

FEWEST_MASKS = 3  # all players, none, and one between
PAIRED_FROM = 1.25  # masks per player; with fewer, pairs are too few to separate players
# Of the relevances; squared errors are 13-20 % below those with the kernel's default.
PRIOR_PRECISION = 0.3
ROUNDS = 100  # of drawing before missing pairs count as impossible


@dataclass(frozen=True, eq=False)
class ShapleyEstimate:
    """Shapley values, and the spectrum behind them.

    Attributes:
        values: [players]; they add up to the value of all players minus that of none.
        spectrum: of the function.
        n_evaluations: number of masks scored.
        exact: whether all 2^n masks were scored.
    """

    values: Float[np.ndarray, " players"]
    spectrum: Spectrum
    n_evaluations: int
    exact: bool

    def top(self, count: int) -> tuple[int, ...]:
        """The players with the largest absolute values, largest first.

        Raises:
            UsageError: a count below 0.
        """
        count = whole("count", count, 0)
        order = np.argsort(-np.abs(self.values), kind="stable")
        return tuple(order[:count].tolist())


def shapley_values(
    value_function: ValueFunction, n_players: int, *, budget: int, seed: int = 0
) -> ShapleyEstimate:
    """Estimate every player's Shapley value.

    Args:
        value_function: bool [masks, players] -> float [masks]; called once with all masks.
        n_players: columns of a mask.
        budget: masks scored, at most; at least 3. The full and the empty mask are among them.
        seed: fixes the masks.

    Raises:
        UsageError: fewer than 3 masks, no players, an invalid seed, or a value function that
            returns another shape or NaN.
    """
    n_players, seed = whole("n_players", n_players, 1), whole_seed(seed)
    budget = whole("budget of Shapley values", budget, FEWEST_MASKS)
    exact = n_players <= MOST_ENUMERATED and 2**n_players <= budget
    masks = all_masks(n_players) if exact else shapley_masks(n_players, budget, seed=seed)
    values = scored(value_function, masks)

    def fitted(data: Observations) -> Spectrum:
        if exact:
            return exact_spectrum(data.values)
        if data.constant:
            return Spectrum.from_dict({(): data.mean}, n_players=n_players)
        return kernel_ridge(data, prior_precision=PRIOR_PRECISION, seed=seed)

    spectrum = in_own_unit(observe(masks, values), fitted)
    sizes = masks.sum(axis=1)
    total = float(values[sizes.argmax()] - values[sizes.argmin()])
    return ShapleyEstimate(_adding_up(shapley_of(spectrum), total), spectrum, len(masks), exact)


def shapley_masks(n_players: int, budget: int, *, seed: int = 0) -> Masks:
    """The masks of `shapley_values`, all different, at most `budget`."""
    rng = stream(seed, "shapley")
    ends = np.array([[True] * n_players, [False] * n_players])
    if budget < PAIRED_FROM * n_players:
        masks = np.zeros((n_players - 1, n_players), dtype=np.bool_)
        masks[:, rng.permutation(n_players)] = np.tri(n_players - 1, n_players, dtype=np.bool_)
        return np.concatenate([ends, masks[: budget - 2]])
    n_pairs = budget // 2
    used = np.zeros(n_players)
    pairs = _different(np.concatenate([ends[:1], _orthogonal_sets(n_players, rng)]))[:n_pairs]
    for _ in range(ROUNDS):
        if len(pairs) == n_pairs:
            break
        more = _balanced_sets(n_pairs - len(pairs), used, rng)
        pairs = _different(np.concatenate([pairs, more]))
    return np.concatenate([pairs, ~pairs])


def _different(sets: Bool[np.ndarray, "sets players"]) -> Bool[np.ndarray, "some players"]:
    """One mask of each complementary pair, the one with the first player, without repeats."""
    sets = sets ^ ~sets[:, :1]
    first = np.unique(np.packbits(sets, axis=1), axis=0, return_index=True)[1]
    return np.asarray(sets[np.sort(first)])


def _orthogonal_sets(
    n_players: int, rng: np.random.Generator
) -> Bool[np.ndarray, "players players"]:
    """`n_players` rows of a Hadamard matrix, with shuffled columns and signs."""
    size = 1 << (n_players - 1).bit_length()
    rows = hadamard(size)[rng.permutation(size)[:n_players]][:, rng.permutation(size)[:n_players]]
    return np.asarray((rows > 0) ^ (rng.random(n_players) < 0.5))


def _balanced_sets(
    count: int, used: Float[np.ndarray, " players"], rng: np.random.Generator
) -> Bool[np.ndarray, "sets players"]:
    """Sets of up to half of the players, those used least so far; updates the counts `used`."""
    n_players = len(used)
    sizes = np.arange(1, n_players // 2 + 1)
    share = np.cumsum(1 / (sizes * (n_players - sizes)))
    # Evenly spread quantiles: every size has its expected frequency, up to one set.
    quantiles = (rng.permutation(count) + rng.random()) / count * share[-1]
    rows = np.zeros((count, n_players), dtype=np.bool_)
    for row, size in zip(rows, sizes[np.searchsorted(share, quantiles)], strict=True):
        least = np.lexsort((rng.random(n_players), used))[:size]
        row[least] = True
        used[least] += 1
    return rows


def _adding_up(values: Float[np.ndarray, " players"], total: float) -> np.ndarray:
    """Values that sum to `total`: the difference is shared in proportion to their sizes."""
    sizes = np.abs(values)
    share = sizes / sizes.sum() if sizes.any() else np.full(len(values), 1 / len(values))
    return np.asarray(values + (total - values.sum()) * share)
