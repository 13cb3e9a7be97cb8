"""The results of a run, from the scores of its masks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from headspex.budget.allocation import Allocation
from headspex.budget.sample import Sample, draw_sample
from headspex.budget.verification import RANDOM_SCHEDULES
from headspex.engine.faithfulness import Faithfulness, Measured, faithfulness
from headspex.engine.fit import fit_spectrum
from headspex.engine.methods.baselines import BASELINES
from headspex.engine.observations import Observations
from headspex.engine.paired import free_size, loss_bound
from headspex.engine.spectrum import Spectrum
from headspex.engine.uncertainty import intervals
from headspex.runs.ability import is_at_chance
from headspex.runs.circuits import Circuits
from headspex.runs.curve import CurvePoint, whole_model
from headspex.runs.interactions_table import Interaction, interaction_table
from headspex.runs.judging import judged_schedules
from headspex.runs.refined import Refined
from headspex.runs.refinement import refined
from headspex.schedules.schedule import Schedule, prune_schedule, random_schedule
from headspex.scores.evaluate import Passes
from headspex.scores.judge import Judge
from headspex.scores.spread import sampled_values
from headspex.scores.store import ScoreStore
from headspex.settings import Settings
from headspex.setup import Setup
from headspex.support.html_table import TOP, html_table
from headspex.support.seeds import stream
from headspex.tasks import free_loss


@dataclass(frozen=True, eq=False, repr=False)
class Findings:
    """The results of a run.

    Attributes:
        spectrum: fitted to the search questions.
        metric: that it explains.
        steering: the spectrum that the schedule was found by, often the same.
        interactions: its terms with their intervals, strongest first.
        schedules: method -> its schedules; `random` has several.
        curve: held-out scores, the whole model first.
        whole: held-out score of the whole model on each question, in `task_metric`.
        verified: method -> held-out score of each question in that metric,
            [schedules, sizes, questions]. The run's own schedule has the same questions as
            `whole`, for paired comparisons; other methods have some of them.
        faithfulness: R² on fresh masks, corrected to all search questions; None if the masks do
            not differ.
        transfer: R² of the same predictions on held-out questions, mean difference removed.
        allocation: how the search spent its budget.
        passes, passes_total: forward passes spent on pilot and search, and on everything.
        objective: "best" or "match", see `Settings`.
        task_metric: the metric that schedules are judged in: with "best" the task's own, with
            "match" the distance to the whole model.
        refinement: of the schedule; None if there was none.
        circuits: MIB's measures of the schedule; None for answers that are right or wrong.
        chance: score of guessing; None for tasks without guessing.
        at_chance: whether the whole model is not shown to do better than guessing.
        may_cost: the allowed loss in the task's own metric.
        losses: upper bound of the loss at each size of the run's schedule, 95 % confidence.
        free: the most players shown to be removable within `may_cost`, or None.
    """

    spectrum: Spectrum
    metric: str
    steering: Spectrum
    interactions: list[Interaction]
    schedules: dict[str, list[Schedule]]
    curve: list[CurvePoint]
    whole: np.ndarray
    verified: dict[str, np.ndarray]
    faithfulness: Faithfulness | None
    transfer: Faithfulness | None
    allocation: Allocation
    passes: int
    passes_total: int
    objective: str
    task_metric: str
    refinement: Refined | None
    circuits: Circuits | None
    chance: float | None
    at_chance: bool
    may_cost: float
    losses: tuple[float, ...]
    free: int | None

    @property
    def schedule(self) -> Schedule:
        """The run's own schedule."""
        return self.schedules["proxyspex"][0]

    @property
    def baselines(self) -> dict[str, list[Schedule]]:
        """The schedules of the other methods."""
        return {name: some for name, some in self.schedules.items() if name != "proxyspex"}

    def __repr__(self) -> str:
        """The main results, in a few lines."""
        return "\n".join([self._line, *(f"  {' '.join(row)}" for row in self._rows)])

    def _repr_html_(self) -> str:
        """The same with the strongest interactions as a table, for a notebook."""
        left_out = len(self.interactions) - len(self._rows)
        header = ("players", "effect", "95 % interval", "kind")
        return html_table(
            self._line, header, self._rows, left_out=left_out, noun="players and interactions"
        )

    @property
    def _line(self) -> str:
        whole, n = whole_model(self.curve, self.metric), self.spectrum.n_players
        chance = "" if self.chance is None else f" (chance {self.chance:.2f})"
        parts = [f"{n} players", f"{whole.metric} of the whole model {whole.score:.3f}{chance}"]
        if self.losses:
            parts.append(f"{self.free or 'none'} can go at a loss below {self.may_cost:.2g}")
        if self.faithfulness is not None:
            parts.append(f"R² {self.faithfulness.r2:.3f} on fresh masks")
        return f"Findings({'; '.join(parts)})"

    @property
    def _rows(self) -> list[tuple[str, str, str, str]]:
        return [
            (
                " ".join(row.heads), f"{row.effect:+.3f}", f"[{row.low:+.3f}, {row.high:+.3f}]",
                row.kind,
            )
            for row in self.interactions[:TOP]
        ]  # fmt: skip


def find(
    setup: Setup,
    judge: Judge,
    allocation: Allocation,
    *,
    slopes: ScoreStore | None = None,
    gradient: Float[np.ndarray, " players"] | None = None,
) -> Findings:
    """Search, fit, and judge the fit.

    Args:
        setup: of the run.
        judge: scores masks.
        allocation: how the search spends its budget.
        slopes: store for slopes that refine the schedule; None takes none.
        gradient: the mean gradient of the metric, from which its fit starts; or None.
    """
    plan, settings, keep = setup.plan, setup.settings, allocation.keep
    task, metric, aim = setup.task, setup.metric, setup.objective.aim
    sample = draw_sample(plan, allocation, seed=settings.seed)
    at_chance = is_at_chance(judge, sample.heldout, task)
    with setup.timed("search"):
        found = search_scores(judge, sample, dict.fromkeys([metric, aim]))
        scores, by_aim = found[metric], found[aim]
        data = sample.observed(scores)
    with setup.timed("fit the spectrum"):
        spectrum, lasso = _fitted(data, keep, settings, gradient)
    with setup.timed("intervals of the interactions"):
        bounds = intervals(
            data.masks, data.values, spectrum.terms, keep=keep, weights=data.weights,
            seed=settings.seed,
        )  # fmt: skip
    with setup.timed("score fresh masks"):
        predicted = spectrum.predict(sample.fresh)
        searched, heldout = fresh_values(judge, sample, metric, predicted)
    steering = spectrum
    if settings.prune and aim != metric:
        with setup.timed("fit the spectrum"):
            steering, lasso = _fitted(sample.observed(by_aim), keep, settings)
    best = prune_schedule(steering, setup.players)
    refinement = None
    if settings.refine:
        with setup.timed("refine the schedule"):
            refinement = refined(
                setup, judge, sample, found, steering, best, slopes=slopes,
                rounds=settings.refine,
            )  # fmt: skip
        best = refinement.schedule
    others = {
        "lasso": [prune_schedule(lasso, setup.players)],
        "random": random_schedules(plan.n_players, seed=settings.seed),
    }
    with setup.timed("verify schedules"):
        judged = judged_schedules(setup, judge, sample, best, others)
    unpruned = whole_model(judged.curve, setup.objective.scale)
    may_cost = free_loss(settings.may_cost, setup.objective.judged_in, unpruned.score)
    own = judged.verified["proxyspex"][0] if judged.verified else ()
    losses = tuple(loss_bound(judged.whole, row) for row in own)
    return Findings(
        spectrum=spectrum,
        metric=metric,
        steering=steering if refinement is None else refinement.spectrum,
        interactions=interaction_table(spectrum, bounds, setup.players),
        schedules={"proxyspex": [best], **others},
        curve=judged.curve,
        whole=judged.whole,
        verified=judged.verified,
        faithfulness=faithfulness(searched, predicted, seed=settings.seed),
        transfer=faithfulness(
            heldout, predicted, remove_mean_difference=True, seed=settings.seed
        ),
        allocation=allocation,
        passes=allocation.passes,
        passes_total=allocation.passes
        + plan.verify_passes
        + (0 if refinement is None else refinement.passes),
        objective=setup.objective.name,
        task_metric=setup.objective.judged_in,
        refinement=refinement,
        circuits=judged.circuits,
        chance=task.chance,
        at_chance=at_chance,
        may_cost=may_cost,
        losses=losses,
        free=free_size(losses, plan.sizes, may_cost=may_cost),
    )  # fmt: skip


def _fitted(
    data: Observations,
    keep: float,
    settings: Settings,
    gradient: Float[np.ndarray, " players"] | None = None,
) -> tuple[Spectrum, Spectrum]:
    """Our spectrum, and the LASSO's."""
    spectrum = fit_spectrum(
        data.masks, data.values, keep=keep, weights=data.weights, gradient=gradient,
        seed=settings.seed, threads=settings.threads,
    )  # fmt: skip
    # BLAS sums in an order that depends on its thread count, which the environment sets.
    with threadpool_limits(1):
        return spectrum, BASELINES["lasso"](data, seed=settings.seed)


def search_scores(
    judge: Judge, sample: Sample, metrics: Iterable[str], *, passes: int | None = None
) -> dict[str, Float[np.ndarray, " passes"]]:
    """The scores of each pass of the search, or of the first `passes`, in every metric."""
    names = list(metrics)
    scores = [
        judge.ask_passes(part, metrics=names, what="search")
        for part in search_passes(sample, passes)
    ]
    return {name: np.concatenate([part[name] for part in scores]) for name in names}


def fresh_values(
    judge: Judge, sample: Sample, metric: str, predicted: Float[np.ndarray, " fresh"]
) -> tuple[Measured, Measured]:
    """Values of the fresh masks on search and held-out questions, estimated from a few of each.

    Args:
        judge: scores.
        sample: of the run.
        metric: of the values.
        predicted: a spectrum's predictions for the masks, which reduce the error.
    """
    scores = judge.ask(sample.fresh, sample.fresh_asked, metrics=[metric], what="fresh masks")
    searched, heldout = np.split(scores[metric], [sample.fresh_search.shape[1]], axis=1)
    first = len(sample.search)
    return (
        sampled_values(searched, sample.fresh_search, first, expected=predicted),
        sampled_values(
            heldout, sample.fresh_heldout - first, len(sample.heldout), expected=predicted
        ),
    )


def search_passes(sample: Sample, passes: int | None = None) -> list[Passes]:
    """The search, or its first passes, split where the pilot ends so that blocks are the same."""
    parts = np.split(np.arange(len(sample.row[:passes])), [sample.n_known])
    return [
        Passes(sample.masks, sample.row[part], sample.asked[part]) for part in parts if len(part)
    ]


def random_schedules(n_players: int, *, seed: int) -> list[Schedule]:
    """The schedules of the baseline `random`, which is their mean score."""
    rng = stream(seed, "random schedules")
    return [random_schedule(n_players, rng=rng) for _ in range(RANDOM_SCHEDULES)]
