"""Importances by gradients at the whole model, on the way to it, and at random masks.

Written from the papers' formulas; adding one is adding a function, and its entry in
`headspex.comparison.orders`. A part whose effect is negative goes first where schedules keep the
score; where they match the whole model, effects of either sign count, as by MIB's two measures
(arXiv 2504.13151).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from headspex.comparison.known import Known, too_few
from headspex.gates.hard_concrete import levels_of
from headspex.hooks.between_prompts import BetweenPrompts
from headspex.hooks.gated import GatedModel
from headspex.hooks.gim import gim_hooks
from headspex.scores.block import SLOPE_PASSES
from headspex.support.seeds import stream
from headspex.tasks.scoring import DISTANCES

Importance = Float[np.ndarray, " players"]
# The level of all gates, and the model they are gates of; None: the judge's own.
Point = tuple[float, GatedModel | None]

POINTS = 10  # of an integral over gates
EAP_POINTS = 5  # of one over inputs, as in MIB
AT_ONCE = 32  # questions, after which progress is told
BETWEEN_PASSES = 2 + SLOPE_PASSES  # both prompts go along with the input between them


def gradient_importance(known: Known) -> Importance:
    """Mean |d score / d gate|, summed over the gates of a player's heads.

    Michel et al. 2019, arXiv 1905.10650, equation 4. The score is the log-probability of the right
    answer, or a metric of one's own.

    Raises:
        NoGradientError: the score has no gradient.
    """
    found = _gradients(known, [(1.0, None)], len(known.search), "gradient importance")
    return np.asarray(np.abs(found).mean(axis=0))


def attribution(known: Known) -> Importance:
    """Mean d score / d gate: what a player's ablation costs, to first order.

    Attribution patching (Syed et al. 2023, arXiv 2310.10348) towards what replaces ablated players:
    zeros, means, or outputs on the corrupted prompt.

    Raises:
        NoGradientError: the score has no gradient.
    """
    return _effects(known, [(1.0, None)], len(known.search), "attribution patching")


def gim(known: Known) -> Importance:
    """As `attribution`, by a backward pass that interactions do not hide; see `headspex.hooks.gim`.

    Edin et al. 2025, arXiv 2505.17630.

    Raises:
        NoGradientError: the score has no gradient, or the model lacks a hook that this needs.
    """
    bridge = known.judge.bridge
    model = GatedModel(bridge, None, gim_hooks(bridge))
    return _effects(known, [(1.0, model)], len(known.search), "GIM")


def eap_ig(known: Known) -> Importance:
    """Node scores of EAP-IG; see `headspex.hooks.between_prompts`.

    Hanna et al. 2024, arXiv 2403.17806.

    Raises:
        NoGradientError: the score has no gradient.
        UsageError: there are no corrupted prompts, or not even one question can be paid.
    """
    shares = np.arange(1, EAP_POINTS + 1) / EAP_POINTS
    points: list[Point] = [
        (1.0, BetweenPrompts(known.judge.bridge, float(share))) for share in shares
    ]
    questions = _affordable(known, EAP_POINTS * BETWEEN_PASSES)
    return _effects(known, points, questions, "EAP-IG", each=BETWEEN_PASSES)


def integrated_gradients(known: Known) -> Importance:
    """Mean of d score / d gate with all gates equal, from `1 / POINTS` to 1.

    Sundararajan et al. 2017, arXiv 1703.01365, along the gates.

    Raises:
        NoGradientError: the score has no gradient.
        UsageError: not even one question can be paid.
    """
    points: list[Point] = [(float(gate), None) for gate in np.arange(1, POINTS + 1) / POINTS]
    questions = _affordable(known, POINTS * SLOPE_PASSES)
    return _effects(known, points, questions, "integrated gradients")


def gradients_at_masks(known: Known) -> Importance:
    """Mean of d score / d gate at masks like the run's, of the score that schedules keep."""
    rows = _affordable(known, SLOPE_PASSES, most=known.budget)
    rng = stream(known.seed, "gradients at masks")
    masks = rng.random((rows, known.n_players)) < known.spectrum.keep
    with known.slopes(rows, "gradients at masks") as gradient:
        found = gradient(levels_of(masks), rng.integers(len(known.search), size=rows))
    return np.asarray(found.mean(axis=0))


def _effects(
    known: Known, points: Sequence[Point], questions: int, what: str, *, each: int = SLOPE_PASSES
) -> Importance:
    """Mean gradients over points and questions, without their signs where the model is matched."""
    found = _gradients(known, points, questions, what, each=each).mean(axis=0)
    return np.asarray(np.abs(found) if known.metric in DISTANCES else found)


def _gradients(
    known: Known, points: Sequence[Point], questions: int, what: str, *, each: int = SLOPE_PASSES
) -> Float[np.ndarray, "questions players"]:
    """The gradient of each question's `smooth` score, a mean over points.

    Args:
        known: what is asked.
        points: to take gradients at.
        questions: the number of questions.
        what: names the progress bar.
        each: passes of a question's gradient.
    """
    total = np.zeros((questions, known.n_players))
    with known.judge.progress(len(points) * questions * each, what) as report:
        for gate, through in points:
            for start in range(0, questions, AT_ONCE):
                asked = known.search[:questions][start : start + AT_ONCE]
                total[start : start + AT_ONCE] += known.judge.gate_gradients(
                    np.full((len(asked), known.n_players), gate), asked,
                    metric=known.smooth, through=through,
                )  # fmt: skip
                report(each * len(asked))
    return total / len(points)


def _affordable(known: Known, each: int, most: int | None = None) -> int:
    """Questions of so many passes each, at least one."""
    count = min(len(known.search) if most is None else most, known.budget // each)
    if not count:
        raise too_few(each, known.budget)
    return count
