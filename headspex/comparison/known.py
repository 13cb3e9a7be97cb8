"""What a pruning criterion may use: the model, at a counted cost, and the run's spectrum."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8

from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError, argument
from headspex.gates.ascent import Gradient
from headspex.schedules.schedule import Schedule
from headspex.scores.block import SLOPE_PASSES
from headspex.scores.judge import Judge
from headspex.scores.store import ScoreStore


@dataclass(frozen=True, eq=False)
class Known:
    """Inputs of an importance.

    Attributes:
        judge: scores masks with the model.
        search: positions, in the judge, of the questions it may use.
        metric: that schedules are found by.
        smooth: the metric whose gradient at the whole model is taken.
        climbed: the metric that gates climb: `metric` where it has a gradient, else `smooth`.
        unit: a difference of that metric that matters.
        spectrum: of the run.
        budget: forward passes that a criterion may take: those of the run's search and refinement.
        gradients: store for gradients of `climbed`.
        seed: of what is drawn.
        lasso: the LASSO's spectrum of the run's search; None without one.
        refined: the run's refinement, started from another spectrum; None without one.
    """

    judge: Judge
    search: Int[np.ndarray, " questions"]
    metric: str
    smooth: str
    climbed: str
    unit: float
    spectrum: Spectrum
    budget: int
    gradients: ScoreStore
    seed: int = 0
    lasso: Spectrum | None = None
    refined: Callable[[Spectrum], Schedule] | None = None

    @property
    def n_players(self) -> int:
        """Columns of a mask."""
        return self.spectrum.n_players

    @contextmanager
    def slopes(self, rows: int, what: str) -> Iterator[Gradient]:
        """Stored gradients of `climbed`, `rows` in all; questions are places in `search`."""
        with self.judge.progress(SLOPE_PASSES * rows, what) as report:

            def gradient(
                levels: UInt8[np.ndarray, "rows players"], questions: Int[np.ndarray, " rows"]
            ) -> Float[np.ndarray, "rows players"]:
                return self.judge.stored_gradients(
                    levels, self.search[questions], metric=self.climbed, store=self.gradients,
                    progress=report,
                )  # fmt: skip

            yield gradient


def places(order: Sequence[int]) -> Float[np.ndarray, " players"]:
    """Importances of players that go in this order."""
    found = np.empty(len(order))
    found[list(order)] = np.arange(len(order))
    return found


def too_few(needed: int, budget: int) -> UsageError:
    """The error of a criterion that needs more passes than it may take."""
    return UsageError(
        f"it needs {needed} passes, but may take {budget}; give more by {argument('order_budget')}"
    )
