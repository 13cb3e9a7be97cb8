"""Pruning orders by an importance of each player; adding one is adding an entry.

Common pruning criteria besides the spectra in `headspex.engine.methods.baselines`. They come from
the model, at a counted cost in forward passes, or from a spectrum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from headspex.engine.spectrum import Spectrum
from headspex.scores.judge import Judge


@dataclass(frozen=True, eq=False)
class Known:
    """Inputs of an importance.

    Attributes:
        judge: scores masks with the model.
        search: positions, in the judge, of the questions it may use.
        metric: that schedules are found by.
        smooth: the metric whose gradient is taken.
        spectrum: of the run.
    """

    judge: Judge
    search: Int[np.ndarray, " questions"]
    metric: str
    smooth: str
    spectrum: Spectrum


@dataclass(frozen=True)
class Order:
    """A pruning criterion: the least important player goes first.

    Attributes:
        title: display name.
        importance: float [players]; players with higher values go later.
        passes: (players, questions) -> forward passes; a backward pass counts as two.
    """

    title: str
    importance: Callable[[Known], Float[np.ndarray, " players"]]
    passes: Callable[[int, int], int]


def shapley_values(known: Known) -> Float[np.ndarray, " players"]:
    """Shapley values of the run's spectrum."""
    values = known.spectrum.interactions("shapley", order=1)
    return np.array([values.get((i,), 0.0) for i in range(known.spectrum.n_players)])


def gradient_importance(known: Known) -> Float[np.ndarray, " players"]:
    """Mean |d log p(right answer) / d gate|, summed over the gates of a player's heads.

    Of a metric of one's own the gradient is that of the metric.

    Raises:
        NoGradientError: the score has none.
    """
    whole = np.ones((len(known.search), len(known.judge.players)))
    found = known.judge.gate_gradients(whole, known.search, metric=known.smooth)
    return np.asarray(np.abs(found).mean(axis=0))


def leave_one_out(known: Known) -> Float[np.ndarray, " players"]:
    """Loss of the whole model's score without each player."""
    n = known.spectrum.n_players
    masks = np.concatenate([np.ones((1, n), dtype=np.bool_), ~np.eye(n, dtype=np.bool_)])
    scores = known.judge.ask_all(masks, known.search, metrics=[known.metric], what="leave one out")
    means = scores[known.metric].mean(axis=1)
    return np.asarray(means[0] - means[1:])


def magnitude(known: Known) -> Float[np.ndarray, " players"]:
    """Norm of a player's output weights."""
    squares = np.square(known.judge.output_norms())
    return np.asarray(np.sqrt(known.judge.players.sums(squares[None])[0]))


ORDERS: dict[str, Order] = {
    "shapley": Order("Shapley values", shapley_values, lambda n, q: 0),
    "gradient": Order("gradient importance", gradient_importance, lambda n, q: 3 * q),
    "leave-one-out": Order("leave-one-out", leave_one_out, lambda n, q: (n + 1) * q),
    "magnitude": Order("magnitude of weights", magnitude, lambda n, q: 0),
}
