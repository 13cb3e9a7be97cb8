"""Importances by learned gates, at equal passes.

Written from the papers' formulas; adding one is adding a function, and its entry in
`headspex.comparison.orders`.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.special import expit, logit

from headspex.comparison.known import Known, places, too_few
from headspex.gates.annealing import learned_order
from headspex.gates.ascent import Ascent, Gradient
from headspex.gates.hard_concrete import levels_of
from headspex.gates.sizes import FEWEST_STEPS, MOST_STEPS, ROWS
from headspex.scores.block import SLOPE_PASSES
from headspex.support.seeds import stream

Importance = Float[np.ndarray, " players"]

MOST_ROWS = MOST_STEPS * ROWS  # questions of all steps
BATCH = 10  # questions of a step of causal head gating and of uniform gradient sampling
CHG_RATE, CHG_BOUND = 1.0, 4.0
UGS_RATE, UGS_PRICE, UGS_START = 0.05, 0.01, 2.0  # the price in units of the score


def affordable_steps(budget: int, rows: int) -> int:
    """Steps, of so many questions each, that a budget pays for; perhaps too few."""
    return min(MOST_ROWS, budget // SLOPE_PASSES) // rows


def gate_steps(budget: int, rows: int) -> int:
    """The same, if they are enough.

    Raises:
        UsageError: fewer than gates need.
    """
    steps, fewest = affordable_steps(budget, rows), FEWEST_STEPS * ROWS
    if steps * rows < fewest:
        raise too_few(fewest * SLOPE_PASSES, budget)
    return steps


def annealed_gates(known: Known) -> Importance:
    """Hard-concrete gates, annealed from all open to few; see `headspex.gates.annealing`.

    Louizos et al. 2018, arXiv 1712.01312; Voita et al. 2019, arXiv 1905.09418.
    """
    steps = gate_steps(known.budget, ROWS)
    with known.slopes(steps * ROWS, "learned gates") as gradient:
        found = learned_order(
            gradient, known.n_players, len(known.search), steps=steps, unit=known.unit,
            rng=stream(known.seed, "learned gates"),
        )  # fmt: skip
    return places(found.order)


def causal_head_gating(known: Known) -> Importance:
    """Gates under a pressure to close; of equals, those that a pressure to open leaves open.

    Nam et al. 2025, arXiv 2505.13737: sigmoid gates, fitted without pressure and from there with
    either one. Their pressure is a tenth of a nat for the mean logit; here it is a unit.
    """
    steps = gate_steps(known.budget, BATCH) // 3
    rng = stream(known.seed, "causal head gating")
    with known.slopes(3 * steps * BATCH, "causal head gating") as gradient:

        def fitted(start: Importance, pressure: float) -> Importance:
            climb = Ascent(
                start, len(known.search), rows=BATCH, rate=CHG_RATE, unit=known.unit, rng=rng
            )
            for _ in range(steps):
                gates = expit(climb.logits)
                found = _mean_at(gradient, gates, climb.ask()) * gates * (1 - gates)
                found += known.unit * pressure * (np.abs(climb.logits) < CHG_BOUND) / len(gates)
                climb.step(found)
            return climb.logits

        free = fitted(logit(rng.uniform(0.01, 0.99, known.n_players)), 0.0)
        retained, removed = fitted(free, 1.0), fitted(free, -1.0)
    return places(np.lexsort((retained, removed)).tolist())


def uniform_gates(known: Known) -> Importance:
    """Uniform gradient sampling: gates that are open, closed, or anywhere between.

    Li & Janson 2024, arXiv 2409.09951, with the ablation of the run, not a learned constant.
    """
    steps = gate_steps(known.budget, BATCH)
    rng = stream(known.seed, "uniform gradient sampling")
    climb = Ascent(
        np.full(known.n_players, UGS_START), len(known.search), rows=BATCH, rate=UGS_RATE,
        unit=known.unit, rng=rng,
    )  # fmt: skip
    with known.slopes(steps * BATCH, "uniform gradient sampling") as gradient:
        for _ in range(steps):
            share = expit(climb.logits)
            width = share * (1 - share)
            gates = (share - rng.random((BATCH, known.n_players))) / width + 0.5
            between = (gates > 0) & (gates < 1)
            found = gradient(levels_of(gates), climb.ask()) * between
            # d gate / d share is 1 / width, which the method cancels.
            climb.step((found.mean(axis=0) - UGS_PRICE * known.unit) * width)
    return climb.logits


def _mean_at(
    gradient: Gradient, gates: Importance, questions: Int[np.ndarray, " rows"]
) -> Importance:
    """The mean gradient of some questions, all under the same gates."""
    levels = np.tile(levels_of(gates), (len(questions), 1))
    return np.asarray(gradient(levels, questions).mean(axis=0))
