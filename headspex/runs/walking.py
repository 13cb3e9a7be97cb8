"""A run's schedule by a walk on the model, with spectra refitted near it."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int

from headspex.budget.plan import Plan
from headspex.budget.sample import Sample
from headspex.engine.fit import fit_spectrum
from headspex.engine.spectrum import Spectrum
from headspex.errors import RoomError
from headspex.runs.refined import Refined, measured
from headspex.schedules.schedule import with_values
from headspex.scores.block import SLOPE_PASSES
from headspex.scores.judge import Judge
from headspex.scores.spread import mask_values
from headspex.scores.store import ScoreStore
from headspex.support.seeds import stream
from headspex.walk.gate_gradients import Slopes
from headspex.walk.walk import Walk, walk

NARROW = 0.05  # least distance of a player's keep probability from 0 and 1


def walked(
    judge: Judge,
    sample: Sample,
    scores: Float[np.ndarray, " passes"],
    spectrum: Spectrum,
    *,
    plan: Plan,
    rounds: int,
    metric: str,
    slopes: ScoreStore | None = None,
    seed: int,
    threads: int,
) -> Refined:
    """Walk the schedule on search questions, and refit the spectrum before each further walk.

    The masks of a walk lie along the schedule. They are added to those of the search, weighted by
    their answers; the next spectrum's basis is how often all these masks keep each player.

    Args:
        judge: scores masks.
        sample: of the run.
        scores: of the search.
        spectrum: fitted to them.
        plan: with the number of questions per candidate.
        rounds: at least 1.
        metric: the value that the spectrum explains.
        slopes: store for slopes of the metric; None takes none.
        seed: fixes the questions and the fits.
        threads: of xgboost.
    """
    walks: list[Walk] = []

    def one_walk(number: int, spectrum: Spectrum, store: ScoreStore | None) -> Walk:
        walking = plan.walking(by_slopes=store is not None)
        with judge.progress(walking.passes, "walk on the model") as report:
            by = None if store is None else _slopes(judge, sample, metric, store, report)
            return walk(
                spectrum, measured(judge, sample, metric, report), len(sample.search),
                steps=plan.sizes[-1], per_candidate=walking.questions, slopes=by,
                n_slopes=walking.slopes, rng=stream(seed, f"refine {number}"),
            )  # fmt: skip

    for number in range(rounds):
        if walks:
            spectrum = _refitted(sample, scores, walks, seed=seed, threads=threads)
        try:
            walks.append(one_walk(number, spectrum, slopes))
        except RoomError as error:
            print(f"headspex: refining without slopes, as {error}", file=sys.stderr)
            slopes = None
            walks.append(one_walk(number, spectrum, slopes))
    schedule = with_values(walks[-1].schedule, spectrum)
    return Refined(schedule, spectrum, sum(one.passes(SLOPE_PASSES) for one in walks))


def _slopes(
    judge: Judge,
    sample: Sample,
    metric: str,
    store: ScoreStore,
    report: Callable[[int], object],
) -> Slopes:
    def slopes(
        masks: Bool[np.ndarray, "rows players"], questions: Int[np.ndarray, " rows"]
    ) -> Float[np.ndarray, "rows players"]:
        asked = sample.search[questions]
        return judge.slopes(masks, asked, metric=metric, store=store, what=report)

    return slopes


def _refitted(
    sample: Sample,
    scores: Float[np.ndarray, " passes"],
    walks: list[Walk],
    *,
    seed: int,
    threads: int,
) -> Spectrum:
    masks, row, asked = [sample.masks], [sample.row], [sample.asked]
    values, first = [scores], len(sample.masks)
    for one in walks:
        masks.append(one.masks)
        row.append(first + np.repeat(np.arange(len(one.masks)), one.asked.shape[1]))
        asked.append(one.asked.ravel())
        values.append(one.scores.ravel())
        first += len(one.masks)
    together, rows = np.concatenate(masks), np.concatenate(row)
    return fit_spectrum(
        together,
        mask_values(
            np.concatenate(values), rows, np.concatenate(asked), len(sample.search), together
        ),
        keep=np.clip(together.mean(axis=0), NARROW, 1 - NARROW),
        weights=np.bincount(rows).astype(float), seed=seed, threads=threads,
    )  # fmt: skip
