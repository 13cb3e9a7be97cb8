"""The flow of a run in its folder: claim it, score, find, write; and the parts of it alone.

A run is a function of its settings. The store remembers the blocks that were measured, so that
going on, extending, and telling again are all the same: begin at the beginning, and measure what
is not there.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headspex.budget.allocation import Allocation, allocate
from headspex.files import write_json
from headspex.interrupt import heed
from headspex.protocol import said_of_split
from headspex.runs.findings import Findings, find
from headspex.runs.lock import locked
from headspex.runs.run_folder import RunFolder
from headspex.runs.stopping import searched
from headspex.runs.watch import Watch
from headspex.scores.fill import write_fill
from headspex.scores.judge import Judge, mean_fill, say_what_is_cut, try_out
from headspex.scores.ray_pool import check_workers, ray_workers
from headspex.scores.store import ScoreStore

if TYPE_CHECKING:
    from headspex.study import Study


@dataclass(frozen=True, eq=False)
class AtWork:
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


def run(study: Study, out: Path, *, ray: str | None, cpus_per_worker: int | None) -> Findings:
    """All of a run; see `Study.run`."""
    from headspex.runs.results import results_of, write_results  # matplotlib takes a second

    with at_work(study, out, ray=ray, cpus_per_worker=cpus_per_worker) as here:
        folder = here.folder
        spent = searched(
            study, here.judge, allocation_of(study, here),
            record=lambda one: folder.allocate(study.identity, one.to_dict()),
        )  # fmt: skip
        findings = find(study, here.judge, spent, slopes=here.slopes)
        with study.timed("write the results"):
            files = write_results(folder, study, findings, here.fill)
        write_json(folder.timing, {"seconds": study.seconds, "machine": platform.machine()})
        folder.finish(study.identity, results_of(study, findings), files)
    return findings


@contextmanager
def at_work(
    study: Study, out: Path, *, ray: str | None, cpus_per_worker: int | None
) -> Iterator[AtWork]:
    """Hold and claim the folder of a run, with a judge that keeps its scores there.

    Raises:
        UsageError: the folder is not for this run, another process holds it, or workers that
            cannot be.
    """
    check_workers(ray, cpus_per_worker)
    folder = RunFolder(out)
    try_out(study.model, study.encoded, study.settings.ablation)
    heed()
    with locked(folder.path):
        say_what_is_cut(study.encoded, study.model.n_ctx)
        if study.settings.protocol == "paper" and (
            said := said_of_split(*map(len, study.questions))
        ):
            print(f"headspex: {said}", file=sys.stderr)
        earlier = folder.begin(study.identity)
        plan = study.plan
        rounds = study.settings.refine
        passes_total = plan.passes_total(rounds, by_slopes=study.has_slopes)
        study.watch = Watch(folder.status, passes_total)
        fill, fill_entry = None, None
        if study.settings.ablation == "mean":
            fill = mean_fill(study.model, study.encoded[: plan.n_search])
            fill_entry = write_fill(folder.path / "masks", fill)
        workers: Any = nullcontext()
        if ray is not None:
            workers = ray_workers(study, fill, address=ray, cpus_per_worker=cpus_per_worker)
        scored_by = study.scored_by(fill)
        sloped: Any = nullcontext()
        if rounds and study.has_slopes:
            sloped = ScoreStore(folder.slopes, {**scored_by, "slopes_of": study.metric})
        with ScoreStore(folder.scores, scored_by) as store, sloped as slopes, workers as measuring:
            judge = study.judge(store, fill=fill, workers=measuring)
            yield AtWork(folder, judge, slopes, fill_entry, earlier)


def allocation_of(study: Study, here: AtWork) -> Allocation:
    """As the folder has it; chosen now, and stored before it is used, where it has none."""
    known = here.folder.allocation()
    if known is not None:
        return Allocation.from_dict(known)
    with study.timed("pilot"):
        chosen = allocate(
            study.plan, study.settings, here.judge, chance=study.task.chance, costs=study.costs,
            own=study.task.metric,
        )  # fmt: skip
    if here.earlier and (said := chosen.said_of(Allocation.from_dict(here.earlier))):
        print(f"headspex: {said}", file=sys.stderr)
    here.folder.allocate(study.identity, chosen.to_dict())
    return chosen
