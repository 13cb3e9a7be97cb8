"""The files of a finished run, and its results in numbers."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np

from headspex.engine.energy import layer_energy
from headspex.mask_file import MaskFile, pruned_heads
from headspex.players import Players
from headspex.presets import PRESETS
from headspex.runs.curve import CURVE, of_method, whole_model
from headspex.runs.findings import Findings
from headspex.runs.interactions_table import write_interactions
from headspex.runs.run_folder import RunFolder
from headspex.settings import AUTO
from headspex.setup import Setup
from headspex.support.files import write_json, write_text


def write_results(
    folder: RunFolder, setup: Setup, findings: Findings, fill: dict[str, str] | None
) -> list[Path]:
    """Write a run's numbers, all but `run.json`; returns the files."""
    spectrum, players = findings.spectrum, setup.players
    search, heldout = setup.questions
    write_json(
        folder.questions,
        {"search": [q.id for q in search], "heldout": [q.id for q in heldout]},
    )
    write_text(folder.spectrum, spectrum.to_json() + "\n")
    if findings.steering is not spectrum:
        write_text(folder.near_spectrum, findings.steering.to_json() + "\n")
    write_interactions(folder.interactions, findings.interactions, spectrum)
    schedule = findings.schedule
    text = schedule.to_json(players, fingerprint=setup.identity["weights"])
    write_text(folder.schedule, text + "\n")
    CURVE.write(folder.curve, findings.curve)
    judged = of_method(findings.curve, "proxyspex", findings.task_metric)
    for point in judged:
        mask = schedule.mask(point.n_pruned)
        file = mask_of(setup.identity, players, mask, score=point.score, fill=fill)
        file.write(folder.mask(point.n_pruned))
    masks = [folder.mask(point.n_pruned) for point in judged]
    tables = [folder.questions, folder.spectrum, folder.interactions, folder.schedule, folder.curve]
    near = [folder.near_spectrum] if folder.near_spectrum.is_file() else []
    return [*tables, *near, *masks]


def mask_of(
    identity: dict[str, Any],
    players: Players,
    mask: np.ndarray,
    *,
    score: float | None,
    fill: dict[str, str] | None,
) -> MaskFile:
    """The mask file of a run's model.

    Args:
        identity: of the run, as in run.json.
        mask: bool [players].
        score: held-out score under it, if it was judged.
        fill: file of mean ablation's means, as mask files refer to it.
    """
    return MaskFile(
        model=identity["model"],
        fingerprint=identity["weights"],
        n_layers=players.n_layers,
        n_heads=players.n_heads,
        pruned_heads=pruned_heads(players.grid(mask)),
        unit=players.unit,
        pruned_mlps=tuple(np.flatnonzero(~players.mlps(mask)).tolist()),
        ablation=identity["ablation"],
        rescale=identity["rescale"],
        sparsity=int((~mask).sum()) / len(players),
        task=identity["task"],
        score=score,
        fill=fill,
        load_in=identity.get("load_in"),
    )


def results_of(setup: Setup, findings: Findings) -> dict[str, Any]:
    """The "results" of `run.json`; `--json` adds the folder."""
    energy = layer_energy(findings.spectrum, setup.players)
    report = findings.spectrum.report
    whole = whole_model(findings.curve, findings.task_metric)
    return {
        "command": command_of(setup),
        "auto": {
            name: setup.identity[name]
            for name in ("device", "dtype")
            if getattr(setup.settings, name) == AUTO
        },
        "players": len(setup.players),
        "unit": setup.players.unit,
        "layers": list(setup.players.layers),
        "n_layers": setup.players.n_layers,
        "n_heads": setup.players.n_heads,
        "n_kv_heads": setup.players.n_kv_heads,
        "passes": findings.passes,
        "passes_total": findings.passes_total,
        "refine_passes": 0 if findings.refinement is None else findings.refinement.passes,
        "keep": findings.allocation.keep,
        "questions_per_mask": findings.allocation.questions_per_mask,
        "n_fresh": setup.plan.n_fresh,
        "n_search": setup.plan.n_search,
        "n_heldout": setup.plan.n_heldout,
        "metric": setup.metric,
        "objective": findings.objective,
        "own_metric": findings.task_metric,
        "allocation": findings.allocation.to_dict(),
        "faithfulness": _or_null(findings.faithfulness),
        "transfer": _or_null(findings.transfer),
        "fit": None
        if report is None
        else {"method": report.method, "terms": len(findings.spectrum.terms) - 1},
        "may_cost": findings.may_cost,
        "free": findings.free,
        "loss_at_most": dict(zip(map(str, setup.plan.sizes), findings.losses, strict=False)),
        "unpruned": whole.score,
        "unpruned_low": whole.low,
        "unpruned_high": whole.high,
        "chance": findings.chance,
        "at_chance": findings.at_chance,
        **({} if findings.circuits is None else {"mib": findings.circuits.to_dict()}),
        "curve": [
            {
                "method": p.method, "n_pruned": p.n_pruned, "sparsity": p.sparsity,
                "metric": p.metric, "score": p.score, "low": p.low, "high": p.high,
                "n_questions": p.n_questions,
            }
            for p in findings.curve
        ],
        "energy": {
            "linear": energy.linear,
            "within": energy.within,
            "across": energy.across,
            "basis": energy.basis,
        },
    }  # fmt: skip


def command_of(setup: Setup) -> str:
    """The command that repeats a run, or how to repeat it in Python if no command can."""
    if not setup.by_name:
        return "headspex.Study(model, task, ...) in Python: the model or the task was an object"
    settings = setup.settings
    default = type(settings)()
    preset = {} if settings.protocol is None else PRESETS[settings.protocol]
    words = ["headspex", "prune" if settings.prune else "explain"]
    for name, value in settings.to_dict().items():
        if value == getattr(default, name) or value == [] or name in preset:
            continue
        if not settings.prune and name in ("prune", "refine"):  # the command says so
            continue
        flag = "--subject" if name == "subjects" else f"--{name.replace('_', '-')}"
        words += (
            [flag]
            if value is True
            else [flag, *map(str, value if isinstance(value, list) else [value])]
        )
    return shlex.join(words)


def _or_null(found: Any) -> dict[str, float] | None:
    return None if found is None else found.to_dict()
