"""Folders of finished runs, made up: what figures and reports are drawn from, of any size."""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from made_plans import made_plan

from headspex.engine.energy import layer_energy
from headspex.engine.spectrum import Spectrum
from headspex.engine.uncertainty import Intervals
from headspex.players import Players
from headspex.runs.curve import CURVE, CurvePoint
from headspex.runs.interactions_table import interaction_table, write_interactions
from headspex.runs.run_folder import FORMAT, RunFolder
from headspex.schedules.schedule import prune_schedule
from headspex.settings import Settings


def made_run(
    path: Path,
    *,
    layers: int,
    heads: int,
    pairs: int = 0,
    triples: int = 0,
    methods: tuple[str, ...] = ("proxyspex", "lasso", "random"),
    seed: int = 0,
) -> RunFolder:
    """A finished run of a random spectrum; without pairs and triples it has heads alone."""
    rng = np.random.default_rng(seed)
    players, folder = Players.heads(layers, heads), RunFolder(path)
    n = len(players)
    table: dict[tuple[int, ...], float] = {(): 0.6}
    table |= {(i,): -abs(float(rng.normal(0, 0.02))) for i in range(n)}
    for order, count in ((2, pairs), (3, triples)):
        while sum(len(term) == order for term in table) < count:
            term = tuple(sorted(rng.choice(n, order, replace=False).tolist()))
            table[term] = float(rng.normal(0, 0.01))
    spectrum = Spectrum.from_dict(table, n_players=n, keep=0.8)
    some = spectrum.coefficients
    bounds = Intervals(some, some - 0.002, some + 0.002, np.ones(len(some)))
    write_interactions(folder.interactions, interaction_table(spectrum, bounds, players), spectrum)
    folder.spectrum.write_text(spectrum.to_json() + "\n")
    folder.schedule.write_text(prune_schedule(spectrum, players).to_json(players) + "\n")
    sizes = sorted({n * step // 10 for step in range(1, 10)} - {0})
    points = [CurvePoint("whole model", 0, 0.0, "accuracy", 0.9, 0.85, 0.95, 100)]
    for (number, method), size in itertools.product(enumerate(methods), sizes):
        score = 0.9 - 0.6 * (size / n) ** (3 - number % 3)
        points.append(
            CurvePoint(method, size, size / n, "accuracy", score, score - 0.05, score + 0.05, 100)
        )
    CURVE.write(folder.curve, points)
    energy = layer_energy(spectrum, players)
    allocation = {
        "keep": 0.8, "questions_per_mask": 2, "n_masks": 400, "n_pilot": 0, "pilot_questions": 0,
        "pilot_passes": 0, "probes": [], "reasons": ["keep 0.8: as it was asked for"],
        "looks": [], "ended": False,
    }  # fmt: skip
    free = max(sizes[:3], default=None)
    results: dict[str, Any] = {
        "command": "headspex prune --model 'a <model>'",
        "players": n, "unit": "head", "layers": list(players.layers), "n_layers": layers,
        "n_heads": heads, "n_kv_heads": heads, "passes": 1000, "passes_total": 3000,
        "refine_passes": 200, "keep": 0.8, "questions_per_mask": 2, "n_fresh": 100,
        "n_search": 100, "n_heldout": 100, "metric": "accuracy", "own_metric": "accuracy",
        "allocation": allocation, "faithfulness": {"r2": 0.9, "low": 0.8, "high": 0.95},
        "transfer": None, "unpruned": 0.9, "unpruned_low": 0.85, "unpruned_high": 0.95,
        "free": free, "may_cost": 0.01,
        "loss_at_most": {str(size): 0.005 if size <= (free or 0) else 0.5 for size in sizes},
        "curve": [], "chance": 0.25, "at_chance": False,
        "energy": {"linear": energy.linear, "within": energy.within, "across": energy.across,
                   "basis": energy.basis},
    }  # fmt: skip
    settings = Settings(model="a <model>", task="mini", metric="accuracy", threads=1).deciding()
    plan = made_plan(n, 100, 100, 100, tuple(sizes), 1000)
    identity = {
        **settings, **asdict(plan), "sizes": sizes, "device": "cpu", "dtype": "float32",
        "versions": {"headspex": "0"}, "weights": "0", "tokenizer": "0", "questions": "0",
        "commit": None,
    }  # fmt: skip
    content = {"format": FORMAT, "identity": identity, "results": results}
    folder.run.write_text(json.dumps(content))
    return folder
