"""Pruning orders by an importance of each player; adding one is adding an entry.

Beside the spectra in `headspex.engine.methods.baselines` these are what people prune heads by. They
come from the model itself, at a cost in forward passes that is counted, or from a spectrum.
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
    """What an importance may be made of.

    Attributes:
        judge: scores masks, and holds model and questions.
        search: the questions that may be used, by their position in the judge.
        metric: the value that the run explains.
        spectrum: the run's.
    """

    judge: Judge
    search: Int[np.ndarray, " questions"]
    metric: str
    spectrum: Spectrum


@dataclass(frozen=True)
class Order:
    """How much every player is worth keeping.

    Attributes:
        title: what people call it.
        importance: the higher the later a player goes, float [players].
        passes: forward passes it takes, by players and questions; a backward pass counts two.
    """

    title: str
    importance: Callable[[Known], Float[np.ndarray, " players"]]
    passes: Callable[[int, int], int]


def shapley_values(known: Known) -> Float[np.ndarray, " players"]:
    """Shapley values of the run's spectrum."""
    values = known.spectrum.interactions("shapley", order=1)
    return np.array([values.get((i,), 0.0) for i in range(known.spectrum.n_players)])


def gradient_importance(known: Known) -> Float[np.ndarray, " players"]:
    """Mean |d log p(right answer) / d gate|, gates of a player's heads together.

    Raises:
        UsageError: the task's answers have no log-probability.
    """
    whole = np.ones((len(known.search), len(known.judge.players)), dtype=np.bool_)
    found = known.judge.gate_gradients(whole, known.search, metric="logprob")
    return np.asarray(np.abs(found).mean(axis=0))


def leave_one_out(known: Known) -> Float[np.ndarray, " players"]:
    """What the whole model's score loses without each player."""
    n = known.spectrum.n_players
    masks = np.concatenate([np.ones((1, n), dtype=np.bool_), ~np.eye(n, dtype=np.bool_)])
    scores = known.judge.ask_all(
        masks, known.search, metrics=[known.metric], what="leave one out"
    )[known.metric].mean(axis=1)  # fmt: skip
    return np.asarray(scores[0] - scores[1:])


def magnitude(known: Known) -> Float[np.ndarray, " players"]:
    """Norm of the weights through which a player writes."""
    squares = np.square(known.judge.output_norms())
    return np.asarray(np.sqrt(known.judge.players.sums(squares[None])[0]))


ORDERS: dict[str, Order] = {
    "shapley": Order("Shapley values", shapley_values, lambda n, q: 0),
    "gradient": Order("gradient importance", gradient_importance, lambda n, q: 3 * q),
    "leave-one-out": Order("leave-one-out", leave_one_out, lambda n, q: (n + 1) * q),
    "magnitude": Order("magnitude of weights", magnitude, lambda n, q: 0),
}
