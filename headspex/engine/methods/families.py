"""Sets of players that enter a spectrum with all their subsets at once.

If five players interact, all their 31 terms together may be significant although no single one is.
For k new terms with squared signals s (1 on average for noise), the gain in twice the log evidence
under one common prior variance is S - k - k log(S / k), S = sum s.
"""

from collections.abc import Collection
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import gammaln

from headspex.engine.characters import characters
from headspex.engine.observations import Observations
from headspex.engine.terms import Term

SCREENED = 1024  # players whose pairs are tested, those with the strongest single effects
PLAYERS = 128  # combined beyond pairs
BEAM = 3000  # sets of each order that are extended, at most
PRODUCTS = 6_000_000  # sets times masks; with more masks fewer sets are uncertain
MAX_ORDER = 5
WORTH = 4.0  # least worth of the best set; pure noise reaches 1.5
MASKS_PER_MOMENT = 100  # for squared signals to be nearly chi-squared
AT_ONCE = 8  # families added per round; later ones are searched in the new residual

Sets = Int[np.ndarray, "sets order"]


def families(
    data: Observations,
    residual: Float[np.ndarray, " masks"],
    precision: float,
    known: Collection[Term],
) -> list[Term]:
    """New terms of the sets whose joint evidence exceeds the cost of selecting them.

    Args:
        data: masks and values.
        residual: C^-1 y, float32; a term's squared signal is (chi_T @ pull)² / precision.
        precision: mean of chi_T^T C^-1 chi_T.
        known: terms already in the model; they add no evidence.
    """
    widest = min(MAX_ORDER, data.tame_order(MASKS_PER_MOMENT), data.n_players)
    if widest < 2:
        return []
    signals = _Signals(data, residual, precision, frozenset(known))
    chosen: list[Term] = []
    covered: list[set[int]] = []
    candidates = sorted(signals.candidates(widest), reverse=True)
    if not candidates or candidates[0][0] < WORTH:
        return []
    for _, players in candidates:
        if len(covered) == AT_ONCE:
            break
        # A set that shares a pair with a chosen one is judged again in the next round.
        if all(len(other.intersection(players)) < 2 for other in covered):
            covered.append(set(players))
            chosen += [
                term
                for order in range(1, len(players) + 1)
                for term in combinations(players, order)
                if term not in signals.known
            ]
    return sorted(set(chosen), key=lambda term: (len(term), term))


class _Signals:
    """Squared signals of the terms of the combined players; 0 for known terms."""

    def __init__(
        self,
        data: Observations,
        residual: Float[np.ndarray, " masks"],
        precision: float,
        known: frozenset[Term],
    ) -> None:
        self.data, self.residual, self.precision, self.known = data, residual, precision, known
        first = data.characters()
        singles = (first.T @ residual) ** 2 / precision
        for term in known:
            singles[list(term)] += 1.0
        wide = np.argsort(-singles, kind="stable")[:SCREENED]
        pairs = (first[:, wide].T @ (first[:, wide] * residual[:, None])) ** 2 / precision
        np.fill_diagonal(pairs, 0.0)
        promise = singles[wide] + np.sort(pairs, axis=1)[:, -4:].sum(axis=1)
        best = np.argsort(-promise, kind="stable")[:PLAYERS]
        best = best[np.argsort(wide[best])]
        self.players = wide[best]
        chosen = np.ascontiguousarray(first[:, self.players])
        n = len(self.players)
        self.squares: list[np.ndarray] = [
            np.zeros(()),
            (chosen.T @ residual) ** 2 / precision,
            pairs[np.ix_(best, best)],
            np.zeros((n, n, n), dtype=np.float32),
        ]
        triples = self.squares[3]
        for i in range(n - 2):
            later = chosen[:, i + 1 :]
            block = (later.T @ (later * (chosen[:, i] * residual)[:, None])) ** 2 / precision
            triples[i, i + 1 :, i + 1 :] = block
        self.new = [np.ones(square.shape, dtype=bool) for square in self.squares]
        place = {int(player): column for column, player in enumerate(self.players)}
        for term in known:
            if 0 < len(term) <= 3 and all(player in place for player in term):
                columns = tuple(place[player] for player in term)
                for axes in {columns, columns[::-1]} if len(term) == 2 else {columns}:
                    self.new[len(term)][axes] = False
                    self.squares[len(term)][axes] = 0.0

    def candidates(self, widest: int) -> list[tuple[float, Term]]:
        """Sets of up to `widest` players and their worth: evidence minus selection cost."""
        n = len(self.players)
        found: list[tuple[float, Term]] = []
        beam = max(100, min(BEAM, PRODUCTS // len(self.data)))
        sets = np.stack(np.triu_indices(n, 1), axis=1)
        squares, counts = self._subsets(sets)
        found += self._worth(sets, squares, counts)
        for order in range(3, widest + 1):
            sets = _extended(sets, n) if order > 3 else _triples(n)
            squares, counts = self._subsets(sets)
            best = np.argsort(-_evidence(squares, counts), kind="stable")[:beam]
            sets, squares, counts = sets[best], squares[best], counts[best]
            for width in range(4, order + 1):
                more, new = self._wide_subsets(sets, width)
                squares, counts = squares + more, counts + new
            found += self._worth(sets, squares, counts)
        return found

    def _worth(
        self, sets: Sets, squares: Float[np.ndarray, " sets"], counts: Int[np.ndarray, " sets"]
    ) -> list[tuple[float, Term]]:
        n, order = self.data.n_players, sets.shape[1]
        price = 2 * float(gammaln(n + 1) - gammaln(order + 1) - gammaln(n - order + 1))
        worth = _evidence(squares, counts) - price
        good = np.flatnonzero(worth > 0)
        return [
            (float(worth[row]), tuple(self.players[sets[row]].tolist())) for row in good.tolist()
        ]

    def _subsets(self, sets: Sets) -> tuple[np.ndarray, np.ndarray]:
        """Sum of squared signals and number of each set's new subsets of up to three players."""
        squares, counts = np.zeros(len(sets)), np.zeros(len(sets), dtype=np.int64)
        for order in range(1, min(3, sets.shape[1]) + 1):
            for places in combinations(range(sets.shape[1]), order):
                columns = tuple(sets[:, place] for place in places)
                squares += self.squares[order][columns]
                counts += self.new[order][columns]
        return squares, counts

    def _wide_subsets(self, sets: Sets, order: int) -> tuple[np.ndarray, np.ndarray]:
        """The same for subsets of `order` players, from their characters."""
        squares, counts = np.zeros(len(sets)), np.zeros(len(sets), dtype=np.int64)
        for places in combinations(range(sets.shape[1]), order):
            chosen = sets[:, places]
            code = np.ravel_multi_index(tuple(chosen.T), (len(self.players),) * order)
            _, first, place = np.unique(code, return_index=True, return_inverse=True)
            terms = list(map(tuple, self.players[chosen[first]].tolist()))
            new = np.array([term not in self.known for term in terms])
            signal = characters(self.data.masks, terms, self.data.keep).T @ self.residual
            signal = np.where(new, signal**2 / self.precision, 0.0)
            squares += signal[place]
            counts += new[place]
        return squares, counts


def _evidence(
    squares: Float[np.ndarray, " sets"], counts: Int[np.ndarray, " sets"]
) -> Float[np.ndarray, " sets"]:
    """Twice the log evidence gained; 0 where the new terms are weaker than noise."""
    number = np.maximum(counts, 1)
    mean = np.maximum(squares / number, 1.0)
    return np.asarray(number * (mean - 1 - np.log(mean)))


def _triples(n: int) -> Sets:
    grid = np.arange(n)
    ordered = (grid[:, None, None] < grid[:, None]) & (grid[:, None] < grid)
    return np.stack(np.nonzero(ordered), axis=1)


def _extended(sets: Sets, n: int) -> Sets:
    """Every set extended by one player, without repeats."""
    more = np.repeat(sets, n, axis=0)
    player = np.tile(np.arange(n), len(sets))[:, None]
    fits: Bool[np.ndarray, " rows"] = ~(more == player).any(axis=1)
    wider = np.sort(np.concatenate([more, player], axis=1)[fits], axis=1)
    code = np.ravel_multi_index(tuple(wider.T), (n,) * wider.shape[1])
    return np.asarray(wider[np.unique(code, return_index=True)[1]])
