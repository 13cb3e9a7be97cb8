"""`headspex compare`: every method on the scores that one run paid for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from threadpoolctl import threadpool_limits

from headspex.comparison import Comparison
from headspex.contest import fit_or_constant
from headspex.errors import UsageError
from headspex.faithfulness import faithfulness
from headspex.faithfulness_table import FaithfulnessPoint
from headspex.files import read_text
from headspex.fill import fill_of_run
from headspex.findings import curve_metrics, random_schedules
from headspex.methods import METHODS, Method
from headspex.observations import Observations, observe
from headspex.plan import FEWEST_MASKS, Plan
from headspex.run_folder import finished_run, first_difference
from headspex.sample import draw_sample
from headspex.schedule import prune_schedule
from headspex.settings import Settings
from headspex.spectrum import Spectrum
from headspex.standings import OURS, Evidence, best_predicting, best_pruning, standings
from headspex.store import ScoreStore
from headspex.study import Study
from headspex.verification import verify

SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2)  # of the search's masks, before all of them
JUDGED = (OURS, "lasso", "random")  # whose schedules the run has scored, in its order

Fits = dict[str, dict[int, Spectrum]]  # method -> masks that it was fitted to -> spectrum


def compare(path: Path, *, budgets: Sequence[int] = ()) -> Comparison:
    """Fit every method to a finished run's search; judge all on the same masks and questions.

    Held-out scores that the run lacks are measured and kept in its `scores.sqlite`; nothing else
    is scored, and no other file of the run is touched.

    Args:
        path: the run's folder.
        budgets: forward passes of the search that methods are fitted to, beside all of them;
            the `SHARES` by default.

    Raises:
        UsageError: no finished run, one whose model, data or versions are no longer what they
            were, or a budget that the search does not hold.
    """
    folder, content = finished_run(path)
    study = study_of(path, content["identity"])
    settings, plan, metric = study.settings, study.plan, study.settings.metric
    sizes = mask_counts(plan, budgets)
    sample = draw_sample(plan, keep=settings.keep, seed=settings.seed)
    fill = fill_of_run(folder.path / "masks") if settings.ablation == "mean" else None
    with ScoreStore(folder.scores) as store:
        judge = study.judge(store, fill=fill)
        scores = judge.ask(sample.masks, sample.asked, metrics=[metric], what="search")[metric]
        measured = judge.ask_all(
            sample.fresh, sample.search, metrics=[metric], what="fresh masks"
        )[metric].mean(axis=1)  # fmt: skip
        searches = [
            observe(sample.masks[:size], sample.values(scores[:size]), keep=settings.keep)
            for size in sizes
        ]
        known = Spectrum.from_json(read_text(folder.spectrum))
        fits, left_out = fit_all(searches, settings, known)
        schedules = {
            method: [prune_schedule(by_size[plan.n_masks], study.players)]
            for method, by_size in fits.items()
        }
        schedules["random"] = random_schedules(plan.n_players, seed=settings.seed)
        curve, verified = verify(
            judge,
            # First those that the run has scored: the store then holds whole blocks of them.
            dict(sorted(schedules.items(), key=lambda item: item[0] not in JUDGED)),
            plan.sizes, sample.heldout, metrics=curve_metrics(metric),
        )  # fmt: skip
    # BLAS adds up in another order with another number of threads, which the environment sets.
    with threadpool_limits(1):
        predicted = predict(fits, sample.fresh) if np.ptp(measured) > 0 else {}
        evidence = Evidence(
            values=measured,
            predictions={method: by_size[plan.n_masks] for method, by_size in predicted.items()},
            correct={method: verified[method].mean(axis=0) for method in fits},
            sizes=plan.sizes,
            seed=settings.seed,
        )
        found = standings(evidence)
        points = faithfulness_points(predicted, measured, plan, seed=settings.seed)
    return Comparison(
        n_fresh=plan.n_fresh,
        n_heldout=plan.n_heldout,
        n_players=plan.n_players,
        sizes=plan.sizes,
        metric=metric,
        at_chance=content["results"]["at_chance"],
        standings=found,
        predicts=best_predicting(evidence, found),
        prunes=best_pruning(evidence, found),
        faithfulness=points,
        curve=curve,
        left_out=left_out,
    )


def study_of(path: Path, identity: dict[str, Any]) -> Study:
    """The study of a run, its model and data loaded again.

    Raises:
        UsageError: they cannot be loaded, or are no longer what they were.
    """
    try:
        study = Study.of_run(identity)
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path / 'run.json'} is damaged: {error}; repeat the run") from error
    try:
        difference = first_difference(identity, study.identity)
    except UsageError as error:
        raise UsageError(f"the model and data of {path} must be at hand: {error}") from error
    if difference is not None:
        raise UsageError(
            "a comparison adds to the scores of its run, so model, data and versions must be the "
            f"same, but {path} differs ({difference}); repeat the run in a new folder"
        )
    return study


def mask_counts(plan: Plan, budgets: Sequence[int]) -> list[int]:
    """How many masks these forward passes buy, ascending; the last is the whole search.

    Raises:
        UsageError: fewer passes than a search needs, or more than the run's has.
    """
    least = FEWEST_MASKS * plan.questions_per_mask
    for budget in budgets:
        if not least <= budget <= plan.passes:
            raise UsageError(
                f"--budgets must lie between {least} ({FEWEST_MASKS} masks) and {plan.passes}, "
                f"the passes of the run's search, but one is {budget}"
            )
    asked = [budget // plan.questions_per_mask for budget in budgets]
    counts = asked or [int(share * plan.n_masks) for share in SHARES]
    return sorted({count for count in counts if count >= FEWEST_MASKS} | {plan.n_masks})


def fit_all(
    searches: Sequence[Observations], settings: Settings, known: Spectrum
) -> tuple[Fits, dict[str, str]]:
    """Every method on every search.

    Args:
        searches: ascending; methods that predict nothing get the last alone.
        settings: of the run.
        known: what `OURS` made of the last.

    Returns:
        The spectra, and why each method that is not among them could not be fitted.
    """
    fits: Fits = {}
    left_out: dict[str, str] = {}
    with threadpool_limits(1):
        for name, method in METHODS.items():
            try:
                fits[name] = {
                    len(data): known
                    if name == OURS and data is searches[-1]
                    else _fit(method, data, settings)
                    # The largest first: what it cannot do is known before time is spent.
                    for data in (searches[::-1] if method.predicts else searches[-1:])
                }
            except UsageError as error:
                left_out[name] = str(error)
    return fits, left_out


def _fit(method: Method, data: Observations, settings: Settings) -> Spectrum:
    return fit_or_constant(lambda data: method.fit(data, settings.seed, settings.threads), data)


def predict(
    fits: Fits, masks: Bool[np.ndarray, "fresh players"]
) -> dict[str, dict[int, Float[np.ndarray, " fresh"]]]:
    """The fresh masks' values, by each fit of the methods that predict values."""
    return {
        name: {size: spectrum.predict(masks) for size, spectrum in sorted(by_size.items())}
        for name, by_size in fits.items()
        if METHODS[name].predicts
    }


def faithfulness_points(
    predicted: dict[str, dict[int, Float[np.ndarray, " fresh"]]],
    measured: Float[np.ndarray, " fresh"],
    plan: Plan,
    *,
    seed: int,
) -> list[FaithfulnessPoint]:
    """R² of every fit."""
    points = []
    for method, by_size in predicted.items():
        for size, predictions in by_size.items():
            found = faithfulness(measured, predictions, seed=seed)
            if found is not None:
                passes = size * plan.questions_per_mask
                points.append(
                    FaithfulnessPoint(
                        method, passes, size, found.r2, found.low, found.high, len(measured)
                    )
                )
    return points
