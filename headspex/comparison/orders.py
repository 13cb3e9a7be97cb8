"""Pruning orders by an importance of each player; adding one is adding an entry.

Common pruning criteria besides the spectra in `headspex.engine.methods.baselines`. They come from
the model, at a counted cost in forward passes, or from a spectrum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from headspex.comparison.activation_orders import activation_norm, flap, magnitude, wanda
from headspex.comparison.attribution_orders import (
    BETWEEN_PASSES,
    EAP_POINTS,
    POINTS,
    attribution,
    eap_ig,
    gim,
    gradient_importance,
    gradients_at_masks,
    integrated_gradients,
)
from headspex.comparison.gate_orders import (
    BATCH,
    affordable_steps,
    annealed_gates,
    causal_head_gating,
    uniform_gates,
)
from headspex.comparison.known import Known, places, too_few
from headspex.comparison.refined_orders import lasso_refined, refined_alone
from headspex.engine.methods.baselines import lasso_heads
from headspex.engine.observations import observe
from headspex.engine.spectrum import Spectrum
from headspex.gates.sizes import ROWS
from headspex.scores.block import SLOPE_PASSES
from headspex.support.seeds import stream

FEW_OFF = 0.02  # of the players
FEWEST_OFF = 2  # so that folds without a mask still know its players


@dataclass(frozen=True)
class Order:
    """A pruning criterion: the least important player goes first.

    Attributes:
        title: display name.
        importance: float [players]; players with higher values go later.
        passes: (players, questions, budget) -> forward passes, at most, beside the whole model's;
            a backward pass counts as two.
    """

    title: str
    importance: Callable[[Known], Float[np.ndarray, " players"]]
    passes: Callable[[int, int, int], int]


def shapley_values(known: Known) -> Float[np.ndarray, " players"]:
    """Shapley values of the run's spectrum."""
    return _shapley(known.spectrum)


def leave_one_out(known: Known) -> Float[np.ndarray, " players"]:
    """Loss of the whole model's score without each player, on as many questions as can be paid.

    Raises:
        UsageError: not even one question can.
    """
    n = known.n_players
    affordable = known.budget // (n + 1)
    if not affordable:
        raise too_few(n + 1, known.budget)
    masks = np.concatenate([np.ones((1, n), dtype=np.bool_), ~np.eye(n, dtype=np.bool_)])
    scores = known.judge.ask_all(
        masks, known.search[:affordable], metrics=[known.metric], what="leave one out"
    )
    means = scores[known.metric].mean(axis=1)
    return np.asarray(means[0] - means[1:])


def greedy(known: Known) -> Float[np.ndarray, " players"]:
    """Greedy removal on the model: at every step the player whose absence leaves the most goes.

    On as many questions as can be paid, the same at every step.

    Raises:
        UsageError: not even one question can.
    """
    n, questions = known.n_players, _greedy_questions(known.n_players, known.budget)
    if not questions:
        raise too_few(_greedy_masks(n), known.budget)
    asked = known.search[:questions]
    mask, order = np.ones(n, dtype=np.bool_), list[int]()
    with known.judge.progress(_greedy_masks(n) * len(asked), "greedy removal") as report:
        while len(order) < n - 1:
            left = np.flatnonzero(mask)
            tried = np.repeat(mask[None], len(left), axis=0)
            tried[np.arange(len(left)), left] = False
            scores = known.judge.ask_all(tried, asked, metrics=[known.metric], what=report)
            order.append(int(left[scores[known.metric].mean(axis=1).argmax()]))
            mask[order[-1]] = False
    return places([*order, *np.flatnonzero(mask).tolist()])


def _greedy_masks(players: int) -> int:
    """Masks of greedy removal, down to a single player."""
    return players * (players + 1) // 2 - 1


def _greedy_questions(players: int, budget: int) -> int:
    return budget // max(1, _greedy_masks(players))


def few_off(known: Known) -> Float[np.ndarray, " players"]:
    """LASSO on what masks with `FEW_OFF` of the players off lose on a question of their own.

    Compressed sensing as in arXiv 2603.03335, which asks all questions of 100 masks: at equal
    passes more masks tell more.
    """
    n, rng = known.n_players, stream(known.seed, "few players off")
    off = max(FEWEST_OFF, round(FEW_OFF * n))
    questions = rng.integers(len(known.search), size=known.budget)
    masks = np.ones((known.budget, n), dtype=np.bool_)
    for mask in masks:
        mask[rng.choice(n, off, replace=False)] = False
    whole = known.judge.ask_all(
        np.ones((1, n), dtype=np.bool_), known.search, metrics=[known.metric], what="whole model"
    )[known.metric][0]
    asked = known.search[questions][:, None]
    found = known.judge.ask(masks, asked, metrics=[known.metric], what="few off")[known.metric]
    losses = found[:, 0] - whole[questions]
    fitted = lasso_heads(observe(masks, losses, keep=1 - off / n), seed=known.seed)
    return _shapley(fitted)


def _shapley(spectrum: Spectrum) -> Float[np.ndarray, " players"]:
    values = spectrum.interactions("shapley", order=1)
    return np.array([values.get((i,), 0.0) for i in range(spectrum.n_players)])


def _one_pass(players: int, questions: int, budget: int) -> int:
    """Passes of the whole model on the questions it may be asked."""
    return min(questions, budget)


def _one_gradient(players: int, questions: int, budget: int) -> int:
    """Passes of a gradient of every question."""
    return SLOPE_PASSES * questions


def _along(points: int, each: int) -> Callable[[int, int, int], int]:
    """Passes of gradients at several points of a path, for as many questions as can be paid."""

    def passes(players: int, questions: int, budget: int) -> int:
        return points * each * min(questions, budget // (points * each))

    return passes


def _steps(rows: int) -> Callable[[int, int, int], int]:
    """Passes of gates that are learned in steps of so many questions."""

    def passes(players: int, questions: int, budget: int) -> int:
        return SLOPE_PASSES * rows * affordable_steps(budget, rows)

    return passes


ORDERS: dict[str, Order] = {
    "shapley": Order("Shapley values", shapley_values, lambda n, q, b: 0),
    "gradient": Order("gradient importance", gradient_importance, _one_gradient),
    "attribution": Order("attribution patching", attribution, _one_gradient),
    "gim": Order("GIM", gim, _one_gradient),
    "eap-ig": Order("EAP-IG", eap_ig, _along(EAP_POINTS, BETWEEN_PASSES)),
    "integrated-gradients": Order(
        "integrated gradients", integrated_gradients, _along(POINTS, SLOPE_PASSES)
    ),
    "gradients-at-masks": Order(
        "gradients at random masks", gradients_at_masks,
        lambda n, q, b: b // SLOPE_PASSES * SLOPE_PASSES,
    ),
    "gates": Order("learned gates", annealed_gates, _steps(ROWS)),
    "causal-gating": Order("causal head gating", causal_head_gating, _steps(BATCH)),
    "uniform-gates": Order("uniform gradient sampling", uniform_gates, _steps(BATCH)),
    "leave-one-out": Order(
        "leave-one-out", leave_one_out, lambda n, q, b: (n + 1) * min(q, b // (n + 1))
    ),
    "greedy": Order(
        "greedy removal", greedy,
        lambda n, q, b: _greedy_masks(n) * min(q, _greedy_questions(n, b)),
    ),
    "lasso-refined": Order("LASSO on heads, refined", lasso_refined, lambda n, q, b: b),
    "refined-alone": Order("no spectrum, refined", refined_alone, lambda n, q, b: b),
    "few-off": Order("compressed sensing", few_off, lambda n, q, b: b),
    "flap": Order("FLAP", flap, _one_pass),
    "wanda": Order("Wanda", wanda, _one_pass),
    "activation-norm": Order("norm of activations", activation_norm, _one_pass),
    "magnitude": Order("magnitude of weights", magnitude, lambda n, q, b: 0),
}  # fmt: skip
