"""Importances by gradients at the whole model, on the way to it, and at random masks.

Written from the papers' formulas; adding one is adding a function, and its entry in
`headspex.comparison.orders`.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from headspex.comparison.known import Known
from headspex.errors import UsageError
from headspex.gates.ascent import mean_at
from headspex.gates.hard_concrete import levels_of
from headspex.scores.block import SLOPE_PASSES
from headspex.support.seeds import stream

Importance = Float[np.ndarray, " players"]

POINTS = 10  # of an integral over gates


def gradient_importance(known: Known) -> Importance:
    """Mean |d score / d gate|, summed over the gates of a player's heads.

    Michel et al. 2019, arXiv 1905.10650, equation 4. The score is the log-probability of the right
    answer, or a metric of one's own.

    Raises:
        NoGradientError: the score has no gradient.
    """
    return np.asarray(np.abs(_at_whole(known)).mean(axis=0))


def attribution(known: Known) -> Importance:
    """Mean d score / d gate: what a player's ablation costs, to first order.

    Attribution patching (Syed et al. 2023, arXiv 2310.10348) towards what replaces ablated players:
    zeros, means, or outputs on the corrupted prompt.

    Raises:
        NoGradientError: the score has no gradient.
    """
    return np.asarray(_at_whole(known).mean(axis=0))


def gim(known: Known) -> Importance:
    """As `attribution`, by a backward pass that interactions do not hide; see `hooks.gim`.

    Edin et al. 2025, arXiv 2505.17630.

    Raises:
        NoGradientError: the score has no gradient, or the model lacks a hook that this needs.
    """
    return np.asarray(_at_whole(known, gim=True).mean(axis=0))


def integrated_gradients(known: Known) -> Importance:
    """Mean of d score / d gate with all gates equal, from `1 / POINTS` to 1.

    Sundararajan et al. 2017, arXiv 1703.01365, along the gates.
    """
    questions = min(len(known.search), known.budget // (POINTS * SLOPE_PASSES))
    _needs(questions, POINTS * SLOPE_PASSES, known.budget)
    total = np.zeros(known.n_players)
    with known.slopes(POINTS * questions, "integrated gradients") as gradient:
        for point in range(1, POINTS + 1):
            gates = np.full(known.n_players, point / POINTS)
            total += mean_at(gradient, gates, np.arange(questions))
    return total / POINTS


def gradients_at_masks(known: Known) -> Importance:
    """Mean of d score / d gate at masks like the run's."""
    rows = known.budget // SLOPE_PASSES
    _needs(rows, SLOPE_PASSES, known.budget)
    rng = stream(known.seed, "gradients at masks")
    masks = rng.random((rows, known.n_players)) < known.spectrum.keep
    with known.slopes(rows, "gradients at masks") as gradient:
        found = gradient(levels_of(masks), rng.integers(len(known.search), size=rows))
    return np.asarray(found.mean(axis=0))


def _at_whole(known: Known, *, gim: bool = False) -> Float[np.ndarray, "questions players"]:
    whole = np.ones((len(known.search), known.n_players))
    return known.judge.gate_gradients(whole, known.search, metric=known.smooth, gim=gim)


def _needs(units: int, each: int, budget: int) -> None:
    if not units:
        raise UsageError(
            f"it needs {each} passes, but the run's search and refinement took {budget}"
        )
