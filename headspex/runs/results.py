"""What a run leaves behind: its files, and the sentences that say what came out."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headspex.engine.energy import layer_energy
from headspex.engine.paired import free_size, loss_bound
from headspex.figures.of_run import Drawn, draw, figures_of
from headspex.files import write_json, write_text
from headspex.mask_file import MaskFile, pruned_heads
from headspex.players import Players
from headspex.protocol import PAPER
from headspex.report import write_report
from headspex.runs.curve import CurvePoint, of_method, whole_model, write_curve
from headspex.runs.interactions_table import Interaction, write_interactions
from headspex.runs.run_folder import RunFolder
from headspex.tasks import free_loss
from headspex.units import plural

if TYPE_CHECKING:
    from headspex.runs.findings import Findings
    from headspex.study import Study

TOP = 10  # interactions that are told


def write_results(
    folder: RunFolder, study: Study, findings: Findings, fill: dict[str, str] | None
) -> list[Path]:
    """Write all files of a finished run but `run.json`, which will stand for the rest."""
    spectrum, players = findings.spectrum, study.players
    search, heldout = study.questions
    write_json(
        folder.questions,
        {"search": [q.id for q in search], "heldout": [q.id for q in heldout]},
    )
    write_text(folder.spectrum, spectrum.to_json() + "\n")
    if findings.refinement is not None and findings.refinement.spectrum is not spectrum:
        write_text(folder.near_spectrum, findings.refinement.spectrum.to_json() + "\n")
    write_interactions(folder.interactions, findings.interactions, spectrum)
    schedule = findings.schedules["proxyspex"][0]
    text = schedule.to_json(players, fingerprint=study.identity["weights"])
    write_text(folder.schedule, text + "\n")
    write_curve(folder.curve, findings.curve)
    judged = of_method(findings.curve, "proxyspex", findings.own_metric)
    for point in judged:
        mask = schedule.mask(point.n_pruned)
        file = mask_of(study.identity, players, mask, score=point.score, fill=fill)
        file.write(folder.mask(point.n_pruned))
    results = results_of(study, findings)
    drawn = Drawn(folder, results)
    pictures = [
        path
        for name in figures_of(drawn)
        for path in draw(drawn, name, folder.figures / f"{name}.svg")
    ]
    report = write_report(drawn, study.identity, answer(results, findings.curve))
    masks = [folder.mask(point.n_pruned) for point in judged]
    tables = [folder.questions, folder.spectrum, folder.interactions, folder.schedule, folder.curve]
    near = [folder.near_spectrum] if folder.near_spectrum.is_file() else []
    return [*tables, *near, *masks, *pictures, report]


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
        fill: the means of mean ablation, as mask files name them.
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
    )


def results_of(study: Study, findings: Findings) -> dict[str, Any]:
    """What `run.json` keeps under "results"; `--json` adds the folder."""
    energy = layer_energy(findings.spectrum, study.players)
    report = findings.spectrum.report
    whole = whole_model(findings.curve, findings.own_metric)
    may_cost = free_loss(study.settings.may_cost, findings.own_metric, whole.score)
    losses = _losses(findings)
    return {
        "command": command_of(study),
        "players": len(study.players),
        "unit": study.players.unit,
        "layers": list(study.players.layers),
        "n_layers": study.players.n_layers,
        "n_heads": study.players.n_heads,
        "n_kv_heads": study.players.n_kv_heads,
        "passes": findings.passes,
        "passes_total": findings.passes_total,
        "refine_passes": 0 if findings.refinement is None else findings.refinement.passes,
        "keep": findings.allocation.keep,
        "questions_per_mask": findings.allocation.questions_per_mask,
        "n_fresh": study.plan.n_fresh,
        "n_search": study.plan.n_search,
        "n_heldout": study.plan.n_heldout,
        "metric": study.metric,
        "own_metric": findings.own_metric,
        "allocation": findings.allocation.to_dict(),
        "faithfulness": _or_null(findings.faithfulness),
        "transfer": _or_null(findings.transfer),
        "fit": None
        if report is None
        else {"method": report.method, "terms": len(findings.spectrum.terms) - 1},
        "may_cost": may_cost,
        "free": free_size(losses, study.plan.sizes, may_cost=may_cost),
        "loss_at_most": dict(zip(map(str, study.plan.sizes), losses, strict=False)),
        "unpruned": whole.score,
        "unpruned_low": whole.low,
        "unpruned_high": whole.high,
        "chance": findings.chance,
        "at_chance": findings.at_chance,
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


def answer(results: dict[str, Any], curve: list[CurvePoint]) -> list[str]:
    """The sentences that say what came out, the most important first."""
    score, chance, own = results["unpruned"], results["chance"], results["own_metric"]
    heads = plural(results["unit"])
    guessing = "" if chance is None else f" (chance {chance:.2f})"
    if results["at_chance"]:
        return [
            f"The model does not do this task: score {score:.2f} "
            f"[{results['unpruned_low']:.2f}, {results['unpruned_high']:.2f}], "
            f"chance {chance:.2f}. What follows describes noise; choose another model or task, or "
            "a metric that the model moves, such as --metric logprob.",
        ]
    sentences = [
        f"Whole model: {own} {score:.3f} [{results['unpruned_low']:.3f}, "
        f"{results['unpruned_high']:.3f}] on {results['n_heldout']} held-out questions{guessing}."
    ]
    if of_method(curve, "proxyspex", own):
        sentences.append(_what_can_go(results, curve, heads))
    found = results["faithfulness"]
    sentences.append(
        "Fresh masks score the same, as far as can be told: there is nothing to explain."
        if found is None
        else f"Faithfulness on {results['n_fresh']} fresh masks: R² {found['r2']:.3f} "
        f"[{found['low']:.3f}, {found['high']:.3f}]."
    )
    return sentences


def _what_can_go(results: dict[str, Any], curve: list[CurvePoint], heads: str) -> str:
    """What a newcomer wants to know, with its margin."""
    own, total, asked = results["own_metric"], results["players"], results["n_heldout"]
    points = {point.n_pruned: point for point in of_method(curve, "proxyspex", own)}
    bounds, allowed = results["loss_at_most"], results["may_cost"]
    free = results["free"]
    if free is not None:
        score, whole = points[free].score, results["unpruned"]
        return (
            f"{free} of {total} {heads} ({free / total:.0%}) can go: {own} {whole:.3f} -> "
            f"{score:.3f}, a loss of at most {bounds[str(free)]:.2g} with 95% confidence "
            f"({allowed:.2g} is allowed)."
        )
    least = min(points)
    return (
        f"No {heads} can be shown to go for free: with {least} of {total} gone the {own} may be "
        f"lower by up to {bounds[str(least)]:.2g} (95% confidence, {asked} questions), and "
        f"{allowed:.2g} is allowed; a larger --may-cost or --verify-budget may show some."
    )


def _losses(findings: Findings) -> list[float]:
    """What each size of the run's own schedule loses at most, with 95 % confidence."""
    if "proxyspex" not in findings.verified:
        return []
    return [loss_bound(findings.whole, row) for row in findings.verified["proxyspex"][0]]


def summary(results: dict[str, Any], curve: list[CurvePoint], table: list[Interaction]) -> str:
    """What `headspex prune` prints at its end."""
    lines, unit = answer(results, curve), results["unit"]
    if not results["at_chance"]:
        lines += [
            "",
            f"Strongest of {len(table)} {plural(unit, ', ')} and interactions (effect on "
            f"{results['metric']}; 95 % intervals that allow for their selection):",
        ]
        width = max((len(" ".join(row.heads)) for row in table[:TOP]), default=0)
        lines += [
            f"  {' '.join(row.heads):<{width}}  {row.effect:+.3f} "
            f"[{row.low:+.3f}, {row.high:+.3f}]  {_words(row, unit)}"
            for row in table[:TOP]
        ]
        energy = results["energy"]
        lines += [
            "",
            f"Energy ({energy['basis']}): single {plural(unit)} {energy['linear']:.1%}, "
            f"within a layer {energy['within']:.1%}, across layers {energy['across']:.1%}",
        ]
        if of_method(curve, "proxyspex", results["own_metric"]):
            lines += ["", *curve_table(curve, unit, results["own_metric"])]
    lines += ["", *spent(results)]
    return "\n".join(lines)


def spent(results: dict[str, Any]) -> list[str]:
    """How the passes were spent, and why so."""
    allocation = results["allocation"]
    parts = [f"{results['passes_total']:,} forward passes"]
    if pilot := allocation["pilot_passes"]:
        parts.append(f"{pilot:,} of them pilot")
    parts.append(f"{results['passes'] - pilot:,} of them search")
    if walked := results.get("refine_passes"):
        parts.append(f"{walked:,} of them refinement")
    return [*allocation["reasons"], ", ".join(parts)]


def curve_table(curve: list[CurvePoint], unit: str, own: str) -> list[str]:
    """Held-out score of each method at each size, as lines."""
    methods = {
        "proxyspex": "ProxySPEX",
        "lasso": f"LASSO on {plural(unit)}",
        "random": "random (mean)",
    }
    width = max(24, *(len(title) + 2 for title in methods.values()))
    lines = [
        f"Held-out {own} with 95 % interval",
        f"  {'removed':<10}" + "".join(f"{title:>{width}}" for title in methods.values()),
    ]
    columns = [of_method(curve, method, own) for method in methods]
    for row in zip(*columns, strict=True):
        cells = "".join(f"{f'{p.score:.3f} [{p.low:.3f}, {p.high:.3f}]':>{width}}" for p in row)
        lines.append(f"  {f'{row[0].n_pruned} ({row[0].sparsity:.0%})':<10}{cells}")
    return lines


def command_of(study: Study) -> str:
    """The command that repeats a run, or a word on how where no command can."""
    if not study.by_name:
        return "headspex.Study(model, task, ...) in Python: the model or the task was an object"
    settings = study.settings
    default = type(settings)()
    words = ["headspex", "prune" if settings.prune else "explain"]
    for name, value in settings.to_dict().items():
        if value == getattr(default, name) or value == [] or (settings.protocol and name in PAPER):
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


def _words(row: Interaction, unit: str) -> str:
    layers = ", ".join(map(str, row.layers))
    if row.kind == "linear":
        return f"layer {layers}"
    place = f"within layer {layers}" if row.kind == "within" else f"across layers {layers}"
    if len(row.heads) > 2:
        return f"{place}, {len(row.heads)} {plural(unit)}"
    return f"{place}, {'synergy' if row.effect > 0 else 'redundancy'}"


def _or_null(found: Any) -> dict[str, float] | None:
    return None if found is None else found.to_dict()
