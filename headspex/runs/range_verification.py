"""Judge schedules that remove heads of some layers only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from headspex.budget.allocation import Allocation
from headspex.budget.plan import SPARSITIES
from headspex.budget.sample import draw_sample
from headspex.budget.verification import RANDOM_SCHEDULES
from headspex.engine.methods.baselines import BASELINES
from headspex.engine.spectrum import Spectrum
from headspex.players import format_layers
from headspex.runs.curve import RANGED_CURVE, RangedPoint
from headspex.runs.findings import search_scores
from headspex.runs.reopening import setup_of_run
from headspex.runs.run_folder import RunFolder, finished_run
from headspex.runs.verification import verify, verify_whole
from headspex.schedules.schedule import n_pruned, prune_schedule, random_schedule
from headspex.scores.fill import fill_of_run
from headspex.scores.store import ScoreStore
from headspex.support.files import read_text
from headspex.support.seeds import stream

Layers = Sequence[int]


def measure_ranges(path: Path, ranges: Iterable[Layers]) -> None:
    """Judge schedules within ranges of layers, and store their points; known ranges are skipped.

    ProxySPEX and the LASSO rank a range's heads by spectra fitted to the whole run's search, with
    all other heads kept.

    Args:
        path: a finished run's folder; its model and data must be available.
        ranges: groups of layers.

    Raises:
        UsageError: the run is unfinished, or its model or data have changed.
    """
    folder, content = finished_run(path)
    path = folder.ranged_curves
    known = RANGED_CURVE.read(path) if path.is_file() else []
    new = [r for r in ranges if all(p.layers != format_layers(r) for p in known)]
    if new:
        RANGED_CURVE.write(path, [*known, *_measured(folder, content, new)])


def _measured(
    folder: RunFolder, content: dict[str, Any], ranges: Sequence[Layers]
) -> list[RangedPoint]:
    setup = setup_of_run(folder.path, content["identity"])
    aim, seed = setup.objective.aim, setup.settings.seed
    own = content["results"].get("own_metric", "accuracy")
    sample = draw_sample(
        setup.plan, Allocation.from_dict(content["results"]["allocation"]), seed=seed
    )
    found_by = folder.spectrum if aim == setup.metric else folder.pruning_spectrum
    spectrum = Spectrum.from_json(read_text(found_by))
    fill = fill_of_run(folder.path / "masks", setup.settings.ablation)
    points: list[RangedPoint] = []
    with ScoreStore(folder.scores) as store:
        judge = setup.judge(store, fill=fill)
        data = sample.observed(search_scores(judge, sample, [aim])[aim])
        with threadpool_limits(1):  # BLAS sums in an order that depends on its threads
            lasso = BASELINES["lasso"](data, seed=seed)
        for layers in ranges:
            inside = np.isin(setup.players.layer_of, layers)
            others, total = np.flatnonzero(~inside).tolist(), int(inside.sum())
            rng = stream(seed, f"random schedules of layers {format_layers(layers)}")
            own_schedule = {"proxyspex": [prune_schedule(spectrum, protect=others)]}
            schedules = {
                "lasso": [prune_schedule(lasso, protect=others)],
                "random": [
                    random_schedule(len(inside), rng=rng, protect=others)
                    for _ in range(RANDOM_SCHEDULES)
                ],
            }
            sizes = sorted({n_pruned(share, total) for share in SPARSITIES} - {0})
            # The same numbers of questions as in a run.
            curve, _ = verify_whole(judge, sample.heldout, metrics=[own])
            curve += verify(judge, own_schedule, sizes, sample.heldout, metrics=[own])[0]
            curve += verify(judge, schedules, sizes, sample.compared, metrics=[own])[0]
            points += [
                RangedPoint(
                    **{**asdict(p), "sparsity": p.n_pruned / total}, layers=format_layers(layers)
                )
                for p in curve
            ]
    return points
