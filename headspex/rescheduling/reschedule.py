"""`headspex schedule`: a new schedule from finished runs, judged beside their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from headspex.engine.paired import free_size, loss_bound, score_difference
from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError, argument
from headspex.evaluation.text_loss import text_loss, text_windows
from headspex.hooks import Fill
from headspex.players import Players
from headspex.rescheduling.outcome import (
    METHODS,
    RUNS_OWN,
    TEXT_LOSS,
    HeldoutResult,
    ScheduleRequest,
    ScheduleResult,
)
from headspex.runs.curve import CURVE, CurvePoint, whole_model
from headspex.runs.reopening import setup_to_judge
from headspex.runs.results import mask_of
from headspex.runs.run_folder import RunFolder, judged_run
from headspex.runs.verification import WHOLE, HasMasks, verify, verify_whole
from headspex.schedules.combination import WAYS, mean_spectrum, worst_case_schedule
from headspex.schedules.constraints import Constraints
from headspex.schedules.exact import BestSets, best_sets
from headspex.schedules.schedule import Schedule, prune_schedule
from headspex.scores.fill import fill_of_run, write_fill
from headspex.scores.store import ScoreStore
from headspex.setup import Setup
from headspex.support.files import read_text, write_json, write_text
from headspex.support.intervals import mean_interval
from headspex.support.new_folder import new_folder
from headspex.tasks import free_loss
from headspex.tasks.objective import shown_with
from headspex.units import counted, plural

KEPT = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)  # players kept at the points of a keep-only curve


def schedule_runs(paths: Sequence[Path], request: ScheduleRequest, to: Path) -> ScheduleResult:
    """Make the schedule, judge it on all held-out questions of each run, and write a new folder.

    The folder holds `masks/NNN.json`, `curve.csv` (`curve-2.csv`, ... for further runs) and, for
    nested sets, `schedule.json`, which `headspex export --schedule` reads.

    Raises:
        UsageError: unfinished runs, runs of different models or players, or an impossible request.
    """
    _check(request, len(paths))
    opened = [judged_run(path) for path in paths]
    contents = [content for _, content in opened]
    players = Players.of_run(contents[0]["results"])
    for path, content in zip(paths[1:], contents[1:], strict=True):
        same = content["identity"]["weights"] == contents[0]["identity"]["weights"]
        if not same or Players.of_run(content["results"]) != players:
            raise UsageError(
                f"combined runs must share model and players, but those of {path} and {paths[0]} "
                "differ; repeat one of them"
            )
    for (path, first), (other, second) in combinations(zip(paths, contents, strict=True), 2):
        if first["identity"] == second["identity"]:
            raise UsageError(
                f"each run counts once, but {path} and {other} are the same run; leave one out"
            )
    spectra = [Spectrum.from_json(read_text(f.pruning_spectrum)) for f, _ in opened]
    protect = [players.parse_label(label) for label in request.protect]
    constraints = Constraints.of(players, protect=protect, per_layer=request.per_layer)
    sizes = _sizes(request, players, contents[0], constraints)
    found = _found(spectra, request, constraints, sizes)
    with new_folder(to) as folder:
        judged = [
            _judged(path, run, content, found, sizes, request, folder / f"scores-{number}.sqlite")
            for number, (path, (run, content)) in enumerate(zip(paths, opened, strict=True), 1)
        ]
        _write(folder, opened[0], found, judged, players, sizes)
    return ScheduleResult(request, players, found, judged, sizes)


def _check(request: ScheduleRequest, n_runs: int) -> None:
    method, combine = argument("method"), argument("combine")
    if request.method not in METHODS:
        raise UsageError(f"{method} must be one of {', '.join(METHODS)}, but is {request.method!r}")
    if request.combine not in WAYS:
        raise UsageError(f"{combine} must be one of {', '.join(WAYS)}, but is {request.combine!r}")
    if request.combine == "worst" and request.method != "greedy":
        raise UsageError(
            f"{combine} worst needs {method} greedy, but {method} is {request.method}; leave one "
            "out"
        )
    if request.combine == "worst" and n_runs == 1:
        raise UsageError(f"{combine} worst needs several runs, but there is one; leave it out")
    if request.weights is not None and (
        request.combine == "worst" or len(request.weights) != n_runs
    ):
        raise UsageError(
            f"{argument('weights')} must be one number for each of {counted(n_runs, 'run')} under "
            f"{combine} mean, but there are {len(request.weights)} under {combine} "
            f"{request.combine}"
        )
    if request.per_layer is not None and request.per_layer < 1:
        raise UsageError(f"{argument('per_layer')} must be at least 1, but is {request.per_layer}")


def _sizes(
    request: ScheduleRequest, players: Players, content: dict[str, Any], constraints: Constraints
) -> tuple[int, ...]:
    most = constraints.most()
    if request.keep_only:
        sizes = {len(players) - kept for kept in KEPT if kept < len(players)}
    else:
        sizes = set(content["identity"]["sizes"])
    possible = tuple(sorted(size for size in sizes if 0 < size <= most))
    if not possible:
        raise UsageError(
            f"the constraints allow at most {most} of {len(players)} {plural(players.unit)} to be "
            "removed, fewer than the smallest size; protect fewer"
        )
    return possible


def _found(
    spectra: Sequence[Spectrum],
    request: ScheduleRequest,
    constraints: Constraints,
    sizes: Sequence[int],
) -> Schedule | BestSets:
    if request.combine == "worst":
        return worst_case_schedule(spectra, constraints)
    spectrum = mean_spectrum(spectra, request.weights)
    if request.method in ("exact", "nested"):
        return best_sets(
            spectrum, sizes, constraints=constraints, nested=request.method == "nested"
        )
    if request.method == "build-up":
        if request.per_layer is not None:
            raise UsageError(
                f"{argument('per_layer')} limits removal and does not go with "
                f"{argument('method')} build-up; leave one out"
            )
        protect = [column for limit in constraints.limits for column in limit.columns]
        return prune_schedule(spectrum, protect=protect, direction="build-up")
    return prune_schedule(spectrum, constraints=constraints)


def _judged(
    path: Path,
    run: RunFolder,
    content: dict[str, Any],
    found: Schedule | BestSets,
    sizes: Sequence[int],
    request: ScheduleRequest,
    scores: Path,
) -> HeldoutResult:
    setup = setup_to_judge(path, content["identity"])
    # Few masks are judged here, so each can be asked all held-out questions.
    setup.plan = replace(setup.plan, n_heldout=len(setup.halves[1]))
    objective, (search, heldout) = setup.objective, setup.questions
    asked = np.arange(len(search), len(search) + len(heldout))
    own = Schedule.from_json(read_text(run.schedule), setup.players)
    fill = fill_of_run(run.path / "masks", setup.settings.ablation)
    schedules: dict[str, list[HasMasks]] = {request.method: [found], RUNS_OWN: [own]}
    with ScoreStore(scores, setup.scored_by(fill)) as store:
        judge = setup.judge(store, fill=fill)
        metrics = shown_with(objective.judged_in, objective.metric)
        curve, wholes = verify_whole(judge, asked, metrics=metrics)
        points, scored = verify(judge, schedules, sizes, asked, metrics=metrics)
        curve += points
    scores.unlink()
    whole, verified = wholes[objective.judged_in], scored[objective.judged_in]
    mine, theirs = verified[request.method][0], verified[RUNS_OWN][0]
    unpruned = whole_model(curve, objective.scale).score
    may_cost = free_loss(setup.settings.may_cost, objective.judged_in, unpruned)
    if request.text is not None:
        curve += _text_points(setup, request.text, schedules, sizes, fill)
    return HeldoutResult(
        path=path,
        curve=curve,
        differences={
            size: score_difference(a, b, looks=len(sizes))
            for size, a, b in zip(sizes, mine, theirs, strict=True)
        },
        may_cost=may_cost,
        free={
            method: free_size(
                [loss_bound(whole, row) for row in verified[method][0]], sizes, may_cost=may_cost
            )
            for method in schedules
        },
    )


def _text_points(
    setup: Setup,
    text: Path,
    schedules: Mapping[str, Sequence[HasMasks]],
    sizes: Sequence[int],
    fill: Fill | None,
) -> list[CurvePoint]:
    model, settings, n = setup.model, setup.settings, len(setup.players)
    windows = text_windows(text, model.tokenizer, model.n_ctx)
    masks = [np.ones((1, n), dtype=np.bool_)]
    names = [(WHOLE, 0)]
    for method, (schedule,) in schedules.items():
        masks.append(schedule.masks(sizes))
        names += [(method, size) for size in sizes]
    losses: Float[np.ndarray, "masks windows"] = text_loss(
        model,
        setup.players,
        windows,
        np.concatenate(masks),
        ablation=settings.ablation,
        fill=fill,
        rescale=settings.rescale,
    )
    return [
        CurvePoint(
            method, size, size / n, TEXT_LOSS, float(row.mean()), *mean_interval(row), len(row)
        )
        for (method, size), row in zip(names, losses, strict=True)
    ]


def _write(
    folder: Path,
    opened: tuple[RunFolder, dict[str, Any]],
    found: Schedule | BestSets,
    judged: Sequence[HeldoutResult],
    players: Players,
    sizes: Sequence[int],
) -> None:
    run, content = opened
    identity = content["identity"]
    means = fill_of_run(run.path / "masks", identity["ablation"])
    fill = None if means is None else write_fill(folder / "masks", means)
    own = content["results"]["own_metric"]
    scores = {
        p.n_pruned: p.score
        for p in judged[0].curve
        if p.metric == own and p.method not in (WHOLE, RUNS_OWN)
    }
    for size, mask in zip(sizes, found.masks(sizes), strict=True):
        file = mask_of(identity, players, mask, score=scores[size], fill=fill)
        file.write(folder / "masks" / f"{size:03d}.json")
    if isinstance(found, Schedule):
        text = found.to_json(players, fingerprint=identity["weights"])
        write_text(folder / "schedule.json", text + "\n")
    else:
        gaps = {str(s): {"gap": o.gap, "proven": o.proven} for s, o in found.optima.items()}
        write_json(folder / "gaps.json", gaps)
    for number, result in enumerate(judged, 1):
        CURVE.write(folder / ("curve.csv" if number == 1 else f"curve-{number}.csv"), result.curve)
