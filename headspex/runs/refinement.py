"""`--refine`: a run's schedule, made better on the model by learned gates or by a walk."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from jaxtyping import Float

from headspex.budget.refinement import GATES, SLOPES, VALUES
from headspex.budget.sample import Sample
from headspex.engine.spectrum import Spectrum
from headspex.errors import NoGradientError, RoomError
from headspex.runs.learning import learned
from headspex.runs.refined import Refined
from headspex.runs.run_folder import RunFolder
from headspex.runs.walking import walked
from headspex.schedules.schedule import Schedule
from headspex.scores.judge import Judge
from headspex.scores.store import ScoreStore
from headspex.setup import Setup
from headspex.tasks.scoring import unit_of


def refined(
    setup: Setup,
    judge: Judge,
    sample: Sample,
    scores: Mapping[str, Float[np.ndarray, " passes"]],
    spectrum: Spectrum,
    proposed: Schedule,
    *,
    slopes: ScoreStore | None,
    rounds: int,
) -> Refined:
    """The schedule by learned gates where the score has a gradient, else by a walk.

    Args:
        setup: of the run.
        judge: scores masks.
        sample: of the run.
        scores: of the search, in every metric that is needed.
        spectrum: that explains what schedules are found by.
        proposed: its own schedule.
        slopes: as `slopes_of` opens it.
        rounds: at least 1.
    """
    settings, aim = setup.settings, setup.objective.aim
    if slopes is not None and setup.refined_by == GATES:
        size = float(np.sqrt(np.square(scores[setup.metric]).mean()))
        try:
            return learned(
                judge, sample, proposed, spectrum, plan=setup.plan, rounds=rounds,
                metric=aim, unit=unit_of(aim, size) or 1.0, gradients=slopes, seed=settings.seed,
            )  # fmt: skip
        except (RoomError, NoGradientError) as error:
            print(f"headspex: refining by a walk on the model, as {error}", file=sys.stderr)
        slopes = None
    return walked(
        judge, sample, scores[aim], spectrum, plan=setup.plan, rounds=rounds, metric=aim,
        slopes=slopes, seed=settings.seed, threads=settings.threads,
    )  # fmt: skip


def slopes_of(
    setup: Setup, folder: RunFolder, scored_by: Mapping[str, Any]
) -> AbstractContextManager[ScoreStore | None]:
    """Opens the store of the gradients that refine a run's schedule; None if it takes none.

    Args:
        setup: of the run.
        folder: of the run.
        scored_by: as `Setup.scored_by` gives it.
    """
    if not setup.settings.refine or setup.refined_by == VALUES:
        return nullcontext()
    of = {SLOPES: "slopes_of", GATES: "gates_of"}[setup.refined_by]
    return ScoreStore(folder.slopes, {**scored_by, of: setup.objective.aim})
