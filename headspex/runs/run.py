"""The steps of a run in its folder: claim it, score, fit, write.

A run is a function of its settings. Measured blocks are stored, so resuming, extending and
repeating a run are the same: start from the beginning, and measure what is missing.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headspex.budget.allocation import Allocation, allocate
from headspex.budget.refinement import takes_gradients
from headspex.budget.sample import draw_sample
from headspex.presets import said_of_split
from headspex.runs.findings import Findings, find
from headspex.runs.finished_run import FinishedRun
from headspex.runs.gradient import mean_gradient
from headspex.runs.lock import locked
from headspex.runs.ray_pool import Pool, ray_workers
from headspex.runs.refinement import slopes_of
from headspex.runs.results import results_of, write_results
from headspex.runs.run_folder import RunFolder
from headspex.runs.stopping import searched
from headspex.scores.fill import mean_fill, write_fill
from headspex.scores.judge import Judge, say_what_is_cut, try_out
from headspex.scores.store import ScoreStore
from headspex.setup import Setup
from headspex.support.files import write_json
from headspex.support.interrupt import raise_if_interrupted
from headspex.support.watch import Watch
from headspex.units import MEANS


@dataclass(frozen=True, eq=False)
class OpenRun:
    """A run's folder, locked by this process.

    Attributes:
        folder: the folder.
        judge: scores masks, and stores the scores there.
        slopes: store for the slopes that refine the schedule; None if the run takes none.
        gradients: store for gradients of the search; None if it takes none.
        fill: file of mean ablation's means, as mask files refer to it.
        earlier: how an extended run had spent its smaller budget.
    """

    folder: RunFolder
    judge: Judge
    slopes: ScoreStore | None
    gradients: ScoreStore | None
    fill: dict[str, str] | None
    earlier: dict[str, Any] | None


def run(
    setup: Setup,
    out: Path,
    *,
    pool: Pool,
    publish: Callable[[FinishedRun], list[Path]],
) -> Findings:
    """Do a whole run; see `headspex.Study.run`.

    Args:
        setup: of the run.
        out: its folder.
        pool: measures.
        publish: draws figures and report, and returns their files.
    """
    with open_run(setup, out, pool) as opened:
        folder = opened.folder
        allocation = allocation_of(setup, opened)
        gradient = mean_gradient(
            setup,
            opened.judge,
            draw_sample(setup.plan, allocation, seed=setup.settings.seed),
            allocation.n_gradients,
            store=opened.gradients,
        )
        spent = searched(
            setup,
            opened.judge,
            allocation,
            record=lambda found: folder.allocate(setup.identity, found.to_dict()),
            gradient=gradient,
        )
        findings = find(setup, opened.judge, spent, slopes=opened.slopes, gradient=gradient)
        with setup.timed("write the results"):
            files = write_results(folder, setup, findings, opened.fill)
            results = results_of(setup, findings)
            files += publish(FinishedRun(folder, setup.identity, results))
        write_json(folder.timing, {"seconds": setup.seconds, "machine": platform.machine()})
        folder.finish(setup.identity, results, files)
    return findings


@contextmanager
def open_run(setup: Setup, out: Path, pool: Pool) -> Iterator[OpenRun]:
    """Lock and claim the folder of a run, with a judge that stores scores there.

    Raises:
        UsageError: the folder is not for this run or locked by another process, or the workers are
            impossible.
    """
    folder = RunFolder(out)
    try_out(setup.model, setup.encoded, setup.settings.ablation)
    raise_if_interrupted()
    with locked(folder.path):
        say_what_is_cut(setup.encoded, setup.model.n_ctx)
        if setup.settings.protocol == "paper" and (
            warning := said_of_split(*map(len, setup.questions))
        ):
            print(f"headspex: {warning}", file=sys.stderr)
        earlier = folder.begin(setup.identity)
        plan = setup.plan
        rounds = setup.settings.refine
        passes_total = plan.passes_total(rounds, setup.refined_by)
        setup.watch = Watch(folder.status, passes_total)
        fill, fill_entry = None, None
        if (ablation := setup.settings.ablation) in MEANS:
            asked = setup.encoded[: plan.n_search]
            fill = mean_fill(setup.model, asked, ablation=ablation, unit=setup.settings.unit)
            fill_entry = write_fill(folder.path / "masks", fill)
        workers: Any = nullcontext()
        if pool.ray is not None:
            workers = ray_workers(setup, fill, pool)
        scored_by = setup.scored_by(fill)
        with ExitStack() as stack:
            store = stack.enter_context(ScoreStore(folder.scores, scored_by))
            slopes, gradients = stack.enter_context(slopes_of(setup, folder, scored_by)), None
            n_players = len(setup.players)
            if takes_gradients(setup.task, setup.metric, setup.settings, n_players=n_players):
                kept = ScoreStore(folder.search_gradients, {**scored_by, "gates_of": setup.metric})
                gradients = stack.enter_context(kept)
            measuring = stack.enter_context(workers)
            judge = setup.judge(store, fill=fill, workers=measuring)
            yield OpenRun(folder, judge, slopes, gradients, fill_entry, earlier)


def allocation_of(setup: Setup, opened: OpenRun) -> Allocation:
    """The folder's allocation; if it has none, one is chosen and recorded before use."""
    known = opened.folder.allocation()
    if known is not None:
        return Allocation.from_dict(known)
    with setup.timed("pilot"):
        chosen = allocate(
            setup.plan,
            setup.settings,
            opened.judge,
            chance=setup.task.chance,
            costs=setup.costs,
            own=setup.task.metric,
            gradients=opened.gradients is not None,
            defaults=setup.defaults,
        )
    if opened.earlier and (warning := chosen.said_of(Allocation.from_dict(opened.earlier))):
        print(f"headspex: {warning}", file=sys.stderr)
    opened.folder.allocate(setup.identity, chosen.to_dict())
    return chosen
