"""The flow of a run in its folder: claim it, score, find, write; and the parts of it alone.

A run is a function of its settings. The store remembers the blocks that were measured, so that
going on, extending, and telling again are all the same: begin at the beginning, and measure what
is not there.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headspex.budget.allocation import Allocation, allocate
from headspex.presets import said_of_split
from headspex.runs.findings import Findings, find
from headspex.runs.finished_run import FinishedRun
from headspex.runs.lock import locked
from headspex.runs.ray_pool import check_workers, ray_workers
from headspex.runs.results import results_of, write_results
from headspex.runs.run_folder import RunFolder
from headspex.runs.stopping import searched
from headspex.scores.fill import write_fill
from headspex.scores.judge import Judge, mean_fill, say_what_is_cut, try_out
from headspex.scores.store import ScoreStore
from headspex.setup import Setup
from headspex.support.files import write_json
from headspex.support.interrupt import raise_if_interrupted
from headspex.support.watch import Watch


@dataclass(frozen=True, eq=False)
class OpenRun:
    """A run's folder, held by this process.

    Attributes:
        folder: held.
        judge: scores masks, and keeps the scores there.
        slopes: keeps those of the score, where the run takes them.
        fill: the means of mean ablation, as mask files name them.
        earlier: how the run spent the smaller budget that is extended.
    """

    folder: RunFolder
    judge: Judge
    slopes: ScoreStore | None
    fill: dict[str, str] | None
    earlier: dict[str, Any] | None


def run(
    setup: Setup,
    out: Path,
    *,
    ray: str | None,
    cpus_per_worker: int | None,
    publish: Callable[[FinishedRun], list[Path]],
) -> Findings:
    """All of a run; see `headspex.Study.run`.

    Args:
        setup: what is run.
        out: its folder.
        ray, cpus_per_worker: see there.
        publish: draws what people look at from the numbers, and returns the files.
    """
    with open_run(setup, out, ray=ray, cpus_per_worker=cpus_per_worker) as here:
        folder = here.folder
        spent = searched(
            setup, here.judge, allocation_of(setup, here),
            record=lambda one: folder.allocate(setup.identity, one.to_dict()),
        )  # fmt: skip
        findings = find(setup, here.judge, spent, slopes=here.slopes)
        with setup.timed("write the results"):
            files = write_results(folder, setup, findings, here.fill)
            results = results_of(setup, findings)
            files += publish(FinishedRun(folder, setup.identity, results))
        write_json(folder.timing, {"seconds": setup.seconds, "machine": platform.machine()})
        folder.finish(setup.identity, results, files)
    return findings


@contextmanager
def open_run(
    setup: Setup, out: Path, *, ray: str | None, cpus_per_worker: int | None
) -> Iterator[OpenRun]:
    """Hold and claim the folder of a run, with a judge that keeps its scores there.

    Raises:
        UsageError: the folder is not for this run, another process holds it, or workers that
            cannot be.
    """
    check_workers(ray, cpus_per_worker)
    folder = RunFolder(out)
    try_out(setup.model, setup.encoded, setup.settings.ablation)
    raise_if_interrupted()
    with locked(folder.path):
        say_what_is_cut(setup.encoded, setup.model.n_ctx)
        if setup.settings.protocol == "paper" and (
            said := said_of_split(*map(len, setup.questions))
        ):
            print(f"headspex: {said}", file=sys.stderr)
        earlier = folder.begin(setup.identity)
        plan = setup.plan
        rounds = setup.settings.refine
        passes_total = plan.passes_total(rounds, by_slopes=setup.has_slopes)
        setup.watch = Watch(folder.status, passes_total)
        fill, fill_entry = None, None
        if setup.settings.ablation == "mean":
            fill = mean_fill(setup.model, setup.encoded[: plan.n_search])
            fill_entry = write_fill(folder.path / "masks", fill)
        workers: Any = nullcontext()
        if ray is not None:
            workers = ray_workers(setup, fill, address=ray, cpus_per_worker=cpus_per_worker)
        scored_by = setup.scored_by(fill)
        sloped: Any = nullcontext()
        if rounds and setup.has_slopes:
            sloped = ScoreStore(folder.slopes, {**scored_by, "slopes_of": setup.metric})
        with ScoreStore(folder.scores, scored_by) as store, sloped as slopes, workers as measuring:
            judge = setup.judge(store, fill=fill, workers=measuring)
            yield OpenRun(folder, judge, slopes, fill_entry, earlier)


def allocation_of(setup: Setup, here: OpenRun) -> Allocation:
    """As the folder has it; chosen now, and stored before it is used, where it has none."""
    known = here.folder.allocation()
    if known is not None:
        return Allocation.from_dict(known)
    with setup.timed("pilot"):
        chosen = allocate(
            setup.plan, setup.settings, here.judge, chance=setup.task.chance, costs=setup.costs,
            own=setup.task.metric,
        )  # fmt: skip
    if here.earlier and (said := chosen.said_of(Allocation.from_dict(here.earlier))):
        print(f"headspex: {said}", file=sys.stderr)
    here.folder.allocate(setup.identity, chosen.to_dict())
    return chosen
