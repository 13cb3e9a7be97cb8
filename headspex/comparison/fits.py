"""Every method fitted to growing parts of one search; SPEX to a search of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool, Float
from threadpoolctl import threadpool_limits

from headspex.budget.allocation import gradients_within
from headspex.budget.plan import FEWEST_MASKS
from headspex.budget.sample import Sample
from headspex.comparison.methods import METHODS, OURS
from headspex.engine.faithfulness import Measured, faithfulness
from headspex.engine.fit import fit_spectrum
from headspex.engine.methods.cross_validation import fit_or_constant
from headspex.engine.observations import Observations
from headspex.engine.spectrum import Spectrum
from headspex.engine.spex.spex import fit_spex, smallest_budget, spex_design
from headspex.errors import UsageError, argument
from headspex.runs.curve import FaithfulnessPoint
from headspex.scores.block import SLOPE_PASSES
from headspex.scores.judge import Judge
from headspex.settings import Settings

SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2)  # of the search's masks; the last fit takes all


@dataclass(frozen=True, eq=False)
class Fit:
    """A method's spectrum, with the masks and forward passes it was fitted to."""

    spectrum: Spectrum
    masks: int
    passes: int


Fits = Mapping[str, Sequence[Fit]]  # by method, in order of budget; the last is compared


def search_parts(sample: Sample, budgets: Sequence[int]) -> list[int]:
    """Passes of the search that each fit gets, in whole masks; the last gets all.

    Args:
        sample: of the run.
        budgets: passes that fits may use; `SHARES` of the search's masks by default.

    Raises:
        UsageError: fewer passes than a search needs, or more than the run's has.
    """
    ends = sample.ends
    least, most = int(ends[FEWEST_MASKS - 1]), int(ends[-1])
    for budget in budgets:
        if not least <= budget <= most:
            raise UsageError(
                f"{argument('budgets')} must lie between {least} ({FEWEST_MASKS} masks) and {most} "
                f"(the run's whole search), but one is {budget}"
            )
    asked = [int(np.searchsorted(ends, budget, side="right")) for budget in budgets]
    counts = asked or [int(share * len(ends)) for share in SHARES]
    chosen = {count for count in counts if count >= FEWEST_MASKS} | {len(ends)}
    return [int(ends[count - 1]) for count in sorted(chosen)]


def fit_all(
    searches: Sequence[Observations],
    passes: Sequence[int],
    settings: Settings,
    *,
    ours: Sequence[Fit] = (),
) -> tuple[dict[str, list[Fit]], dict[str, str]]:
    """Fit every method that accepts arbitrary masks to every search.

    Args:
        searches: in order of size; methods that only rank heads are fitted to the last alone.
        passes: forward passes of each search.
        settings: of the run.
        ours: fits of `OURS` to as many passes as some of the searches.

    Returns:
        The fits, and for each method left out the reason.
    """
    given = list(zip(searches, passes, strict=True))
    fits: dict[str, list[Fit]] = {}
    left_out: dict[str, str] = {}
    for name, method in METHODS.items():
        if method.fit is None:
            continue
        fit = partial(method.fit, seed=settings.seed, threads=settings.threads)
        found = {one.passes: one for one in ours} if name == OURS else {}
        try:
            # BLAS sums in an order that depends on its thread count, which the environment sets.
            # Largest search first: a method that refuses it does so before time is spent.
            with threadpool_limits(1):
                for data, count in given[::-1] if method.predicts else given[-1:]:
                    if count not in found:
                        found[count] = Fit(fit_or_constant(fit, data), len(data), count)
        except UsageError as error:
            left_out[name] = str(error)
        else:
            fits[name] = [found[count] for count in sorted(found)]
    return fits, left_out


def fits_with_gradients(
    sample: Sample,
    scores: Float[np.ndarray, " passes"],
    passes: Sequence[int],
    gradient_of: Callable[[int], Float[np.ndarray, " players"] | None],
    settings: Settings,
    *,
    per_mask: int,
) -> list[Fit]:
    """What `OURS` fits to searches that take gradients, which leaves them fewer masks.

    Args:
        sample: masks and questions of a search that took none.
        scores: of its passes.
        passes: of each search, with those of its gradients.
        gradient_of: the mean of so many gradients.
        settings: of the run.
        per_mask: questions of each mask.
    """
    found = []
    for count in passes:
        rows = gradients_within(count - sample.n_known, per_mask)
        gradient = gradient_of(rows)
        masks = int(np.searchsorted(sample.ends, count - SLOPE_PASSES * rows, side="right"))
        data = sample.observed(scores[: sample.ends[masks - 1]])
        spectrum = fit_spectrum(
            data.masks, data.values, keep=data.keep, weights=data.weights, gradient=gradient,
            seed=settings.seed, threads=settings.threads,
        )  # fmt: skip
        found.append(Fit(spectrum, len(data), count))
    return found


def fit_own_masks(judge: Judge, sample: Sample, *, budget: int, metric: str, seed: int) -> Fit:
    """Fit SPEX to masks of its own, half of the heads on, each asked all search questions.

    Args:
        budget: most forward passes.

    Raises:
        UsageError: the budget is too small, or some of SPEX's masks are among the fresh ones.
    """
    n_players, per_mask = len(judge.players), len(sample.search)
    least = per_mask * smallest_budget(n_players)
    if budget < least:
        raise UsageError(
            f"{argument('spex_budget')} must be at least {least}, {least // per_mask} masks of "
            f"{per_mask} questions each, but is {budget}"
        )
    design = spex_design(n_players, budget=budget // per_mask, seed=seed)
    packed = (np.packbits(masks, axis=1) for masks in (design.masks, sample.fresh))
    own, fresh = ({row.tobytes() for row in rows} for rows in packed)
    if own & fresh:
        raise UsageError(
            f"SPEX is judged on masks it has not seen, but with {n_players} heads "
            f"{len(own & fresh)} of the {len(fresh)} fresh masks are among its own; leave out "
            f"{argument('spex_budget')}, or compare a run of more heads"
        )
    scores = judge.ask_all(design.masks, sample.search, metrics=[metric], what="SPEX search")
    spectrum = fit_spex(design, scores[metric].mean(axis=1), seed=seed)
    return Fit(spectrum, len(design.masks), len(design.masks) * per_mask)


def predictions(
    fits: Fits, masks: Bool[np.ndarray, "fresh players"]
) -> dict[str, list[Float[np.ndarray, " fresh"]]]:
    """Each fit's predictions for these masks, for the methods that predict."""
    return {
        name: [fit.spectrum.predict(masks) for fit in several]
        for name, several in fits.items()
        if METHODS[name].predicts
    }


def faithfulness_points(
    fits: Fits,
    predicted: Mapping[str, Sequence[Float[np.ndarray, " fresh"]]],
    measured: Measured,
    *,
    seed: int,
) -> list[FaithfulnessPoint]:
    """R² of every fit, where it is defined."""
    return [
        FaithfulnessPoint(
            name, fit.passes, fit.masks, found.r2, found.low, found.high, len(measured)
        )
        for name, several in predicted.items()
        for fit, prediction in zip(fits[name], several, strict=True)
        if (found := faithfulness(measured, prediction, seed=seed)) is not None
    ]
