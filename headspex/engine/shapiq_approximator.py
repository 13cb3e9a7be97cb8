"""headspex as an approximator of shapiq, for its benchmarks. It needs shapiq."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from headspex.engine.fit import ValueFunction
from headspex.engine.indices import interactions
from headspex.engine.observations import Observations
from headspex.engine.pair_indices import PAIR_INDICES
from headspex.engine.pairwise import interaction_values
from headspex.engine.search import search
from headspex.engine.shapiq_bridge import MISSING, NAMES
from headspex.engine.shapley import shapley_values
from headspex.engine.terms import Term

try:
    from shapiq import InteractionValues
    from shapiq.approximator.base import Approximator
    from shapiq.game_theory.indices import is_index_valid
except ImportError as error:
    raise ImportError(MISSING) from error

_OURS = {theirs: ours for ours, theirs in NAMES.items() if ours != "shapley"}


class Headspex(Approximator):  # type: ignore[misc] # shapiq has no types for mypy
    """Estimates Shapley values, or the interactions of groups of up to `max_order` players.

    Shapley values come from `headspex.shapley_values`, pairs alone (`top_order`) from
    `headspex.interaction_values`, and all else from the spectrum that `headspex.explain` fits.
    With a budget of all masks they are exact.

    Args:
        n: number of players.
        max_order: largest group.
        index: of shapiq's.
        top_order: only groups of `max_order` players.
        random_state: the seed; None is 0.
    """

    valid_indices = tuple(filter(is_index_valid, ("SV", "k-SII", "BV", *_OURS)))

    def __init__(
        self,
        n: int,
        max_order: int = 2,
        index: str = "k-SII",
        *,
        top_order: bool = False,
        random_state: int | None = None,
    ) -> None:
        super().__init__(
            n, max_order, index, top_order=top_order, random_state=random_state,
            initialize_dict=False,
        )  # fmt: skip

    def approximate(self, budget: int, game: ValueFunction, **kwargs: Any) -> Any:
        """The index as an `InteractionValues`; its baseline is the value of the empty mask.

        Args:
            budget: masks scored.
            game: bool [masks, players] -> float [masks].
            kwargs: ignored, as by shapiq's own.

        Raises:
            UsageError: a budget that is too small.
        """
        n, order, index = self.n, self.max_order, _OURS[self.approximation_index]
        seed = self._random_state or 0
        if index == "sii" and order == 1:
            shapley = shapley_values(game, n, budget=budget, seed=seed)
            values: dict[Term, float] = {
                (i,): value for i, value in enumerate(shapley.values.tolist())
            }
            return self._of(values, _empty(shapley.data), shapley.n_evaluations, shapley.exact)
        if index in PAIR_INDICES and order == 2 and self.top_order:
            pairs = interaction_values(game, n, budget=budget, index=index, seed=seed)
            values = {(i, j): float(pairs.values[i, j]) for i, j in combinations(range(n), 2)}
            return self._of(values, _empty(pairs.data), pairs.n_evaluations, pairs.exact)
        found = search(game, n, budget=budget, seed=seed)
        values = interactions(found.spectrum, index, order=order, keep=0.5)
        none = np.zeros((1, n), dtype=np.bool_)
        start = float(found.spectrum.predict(none)[0])
        if index == "fourier":
            values[()] = float(found.spectrum.coefficients[0])
        return self._of(values, start, len(found.masks), found.exact)

    def _of(self, values: dict[Term, float], start: float, budget: int, exact: bool) -> Any:
        kept = {term: value for term, value in values.items() if len(term) >= self.min_order}
        return InteractionValues(
            kept, interaction_lookup={term: place for place, term in enumerate(kept)},
            index=self.approximation_index, target_index=self.index, n_players=self.n,
            min_order=self.min_order, max_order=self.max_order, baseline_value=start,
            estimated=not exact, estimation_budget=budget,
        )  # fmt: skip


def _empty(data: Observations) -> float:
    """The value of the empty mask, which is among the data."""
    return float(data.values[~data.masks.any(axis=1)][0])
