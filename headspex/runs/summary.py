"""The printed summary of a finished run: the answer first, then the numbers behind it."""

from __future__ import annotations

from typing import Any

from headspex.runs.circuits import said_of_circuits
from headspex.runs.curve import MIB, CurvePoint, of_method
from headspex.runs.interactions_table import Interaction
from headspex.runs.replication import replication
from headspex.scores.block import SLOPE_PASSES
from headspex.tasks.scoring import DISTANCE, KL, title_of
from headspex.units import plural

TOP = 10  # interactions that are printed
# Distances to the whole model, and their units.
_DISTANCES = {KL: ("KL divergence", " nats"), DISTANCE: ("mean squared distance", "")}


def answer(results: dict[str, Any], curve: list[CurvePoint]) -> list[str]:
    """The main results as sentences, the most important first."""
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
        f"Whole model: {_scores_of_whole(results, curve)} on {results['n_heldout']} held-out "
        f"questions{guessing}."
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


def _scores_of_whole(results: dict[str, Any], curve: list[CurvePoint]) -> str:
    """Its score in every metric but distances to itself; the judged one first."""
    points = [p for p in curve if p.n_pruned == 0 and p.metric not in (*_DISTANCES, MIB)]
    return ", ".join(f"{p.metric} {p.score:.3f} [{p.low:.3f}, {p.high:.3f}]" for p in points)


def _what_can_go(results: dict[str, Any], curve: list[CurvePoint], heads: str) -> str:
    """How many heads can be removed, with the confidence bound."""
    own, total, asked = results["own_metric"], results["players"], results["n_heldout"]
    points = {point.n_pruned: point for point in of_method(curve, "proxyspex", own)}
    bounds, allowed = results["loss_at_most"], results["may_cost"]
    free = results["free"]
    if own in _DISTANCES:
        return _what_can_go_by_distance(results, points, heads)
    if free is not None:
        score, whole = points[free].score, results["unpruned"]
        return (
            f"{free} of {total} {heads} ({free / total:.0%}) can go: {own} {whole:.3f} -> "
            f"{score:.3f}, a loss of at most {bounds[str(free)]:.2g} with 95% confidence "
            f"({allowed:.2g} is allowed)."
        )
    if not bounds:
        return (
            f"This run of headspex 0.1 did not test which {heads} can go; `headspex schedule` does."
        )
    least = min(points)
    return (
        f"No {heads} can be shown to go for free: with {least} of {total} gone the {own} may be "
        f"lower by up to {bounds[str(least)]:.2g} (95% confidence, {asked} questions), and "
        f"{allowed:.2g} is allowed; a larger --may-cost or --verify-budget may show some."
    )


def _what_can_go_by_distance(
    results: dict[str, Any], points: dict[int, CurvePoint], heads: str
) -> str:
    """How many heads can be removed with the model's behaviour kept."""
    noun, unit = _DISTANCES[results["own_metric"]]
    bounds, total, free = results["loss_at_most"], results["players"], results["free"]
    allowed = f"{results['may_cost']:.2g}{unit}"
    if free is not None:
        return (
            f"{free} of {total} {heads} ({free / total:.0%}) can go, and the model still behaves "
            f"like the whole one: {noun} {-points[free].score:.2g}{unit}, at most "
            f"{bounds[str(free)]:.2g} with 95% confidence ({allowed} are allowed)."
        )
    least = min(points)
    return (
        f"No {heads} can be shown to go without a change of behaviour: with {least} of {total} "
        f"gone the {noun} may be up to {bounds[str(least)]:.2g}{unit} (95% confidence, "
        f"{results['n_heldout']} questions), and {allowed} are allowed; a larger --may-cost or "
        "--verify-budget may show some."
    )


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
        lines += ["", replication(table, results["players"]).said(plural(unit))]
        energy = results["energy"]
        lines += [
            "",
            f"Energy ({energy['basis']}): single {plural(unit)} {energy['linear']:.1%}, "
            f"within a layer {energy['within']:.1%}, across layers {energy['across']:.1%}",
        ]
        if of_method(curve, "proxyspex", results["own_metric"]):
            lines += ["", *curve_table(curve, unit, results["own_metric"])]
            lines += said_of_circuits(results)
    lines += ["", *spent(results)]
    return "\n".join(lines)


def spent(results: dict[str, Any]) -> list[str]:
    """How the passes were spent, and why."""
    allocation = results["allocation"]
    parts = [f"{results['passes_total']:,} forward passes"]
    if pilot := allocation["pilot_passes"]:
        parts.append(f"{pilot:,} of them pilot")
    gradients = SLOPE_PASSES * allocation.get("n_gradients", 0)
    parts.append(f"{results['passes'] - pilot - gradients:,} of them search")
    if gradients:
        parts.append(f"{gradients:,} of them gradients of the search")
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
    columns = [of_method(curve, method, own) for method in methods]
    rows = [
        [f"{p.score:.3f} [{p.low:.3f}, {p.high:.3f}]" for p in points]
        for points in zip(*columns, strict=True)
    ]
    width = max(24, *(len(text) + 2 for line in (methods.values(), *rows) for text in line))
    lines = [
        f"Held-out {title_of(own)} with 95 % interval",
        f"  {'removed':<10}" + "".join(f"{title:>{width}}" for title in methods.values()),
    ]
    for point, cells in zip(columns[0], rows, strict=True):
        removed = f"{point.n_pruned} ({point.sparsity:.0%})"
        lines.append(f"  {removed:<10}" + "".join(f"{cell:>{width}}" for cell in cells))
    return lines


def _words(row: Interaction, unit: str) -> str:
    layers = ", ".join(map(str, row.layers))
    if row.kind == "linear":
        return f"layer {layers}"
    place = f"within layer {layers}" if row.kind == "within" else f"across layers {layers}"
    if len(row.heads) > 2:
        return f"{place}, {len(row.heads)} {plural(unit)}"
    return f"{place}, {'synergy' if row.effect > 0 else 'redundancy'}"
