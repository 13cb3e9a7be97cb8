"""The figures of a finished run, drawn from its files alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from headspex.engine.effects import effect_sizes
from headspex.engine.energy import LayerEnergy, averaged_over_others, layer_energy
from headspex.errors import UsageError, argument
from headspex.figures.curve import (
    Curves,
    Panel,
    metric_curves,
    pruning_curve,
    pruning_curves,
)
from headspex.figures.energy import layer_interaction_energy
from headspex.figures.faithfulness import faithfulness_by_budget
from headspex.figures.graph import interaction_graph, strongest
from headspex.figures.heads import head_importance
from headspex.figures.orders import Ranked, interaction_orders, ranked
from headspex.figures.run_view import Picture, RunView
from headspex.figures.shapiq_plots import PLOTS, shapiq_plot, shapiq_values
from headspex.players import Players, format_layers
from headspex.runs.curve import (
    FAITHFULNESS,
    RANGED_CURVE,
    CurvePoint,
    FaithfulnessPoint,
    RangedPoint,
    of_method,
    whole_model,
)
from headspex.runs.layer_ranges import default_ranges
from headspex.tasks.objective import shown_with
from headspex.units import plural, singular


@dataclass(frozen=True)
class RunFigure:
    """A picture of a run; {head}, {heads} and {Heads} in its caption become the run's units."""

    caption: str
    make: Callable[[RunView], Picture]


def _heads(run: RunView) -> Picture:
    players = run.players
    importance = np.zeros((len(players.layers), len(players.names_in_layer)))
    for term, effect in zip(run.spectrum.terms, effect_sizes(run.spectrum), strict=True):
        if len(term) == 1:
            importance.flat[term[0]] = effect
    labels = [players.label(column) for column in range(len(players))]
    figure = head_importance(
        importance, layers=players.layers, unit=run.metric, player=singular(players.unit),
        names=players.names_in_layer, labels=labels, theme=run.theme,
    )  # fmt: skip
    rows = zip(labels, players.layer_of.tolist(), importance.ravel().tolist(), strict=True)
    return Picture(figure, ("head", "layer", "effect"), list(rows))


def _energy(run: RunView) -> Picture:
    energy = layer_energy(run.spectrum, run.players)
    ranges = run.ranges or default_ranges(run.players.layers)
    # A single range needs no bar of its own.
    split = {} if ranges == (run.players.layers,) else {format_layers(r): r for r in ranges}
    parts = {"all": energy} | {
        name: layer_energy(averaged_over_others(run.spectrum, run.players, layers), run.players)
        for name, layers in split.items()
    }
    # The matrix splits a pair of layers between both triangles; the picture shows one of them.
    whole = energy.matrix + energy.matrix.T - np.diag(np.diag(energy.matrix))
    figure = layer_interaction_energy(
        whole,
        layers=energy.layers,
        splits={name: (part.linear, part.within, part.across) for name, part in parts.items()},
        basis=energy.basis,
        players=run.heads,
        theme=run.theme,
    )
    return Picture(figure, ("kind", "layers", "share", "basis"), _energy_rows(energy, whole, parts))


def _energy_rows(
    energy: LayerEnergy, whole: np.ndarray, parts: dict[str, LayerEnergy]
) -> list[tuple[object, ...]]:
    bars = [
        (kind, name, getattr(part, kind), part.basis)
        for name, part in parts.items()
        for kind in ("linear", "within", "across")
    ]
    pairs = [
        ("pair", f"{energy.layers[column]} {energy.layers[row]}", whole[row, column], energy.basis)
        for row, column in zip(*np.tril_indices(len(whole)), strict=True)
    ]
    return [*bars, *pairs]


def _graph(run: RunView) -> Picture:
    figure = interaction_graph(run.interactions, run.players, unit=run.metric, theme=run.theme)
    single = [row for row in run.interactions if len(row.heads) == 1]
    rows = [
        (" ".join(row.heads), row.kind, row.effect, row.low, row.high)
        for row in [*single, *strongest(run.interactions)]
    ]
    return Picture(figure, ("heads", "kind", "effect", "low", "high"), rows)


def _curve(run: RunView) -> Picture:
    if run.ranges:
        return _ranged_curves(run)
    own, points = run.task_metric, run.curve
    whole = whole_model(points, own)
    note, free = None, run.results["free"]
    if free is not None and not run.results["at_chance"]:
        best = next(p for p in of_method(points, "proxyspex", own) if p.n_pruned == free)
        total = run.results["players"]
        sentence = f"{best.n_pruned} of {total} {run.heads} gone: {best.score:.3f}"
        note = (best.sparsity, best.score, sentence)
    shown, chance = _curves(points, own), run.results["chance"]
    metrics = shown_with(own, run.metric)
    if len(metrics) > 1:
        panels = [
            Panel(f"What is left when {run.heads} go", shown, own, whole.score),
            Panel(
                f"... and the {run.metric}",
                _curves(points, run.metric),
                run.metric,
                whole_model(points, run.metric).score,
                chance,
            ),
        ]
        figure = metric_curves(panels, players=run.heads, told=note, theme=run.theme)
    else:
        figure = pruning_curve(
            shown, metric=own, unpruned=whole.score, chance=chance, players=run.heads, told=note,
            theme=run.theme,
        )  # fmt: skip
    return _of_records(figure, CurvePoint, [p for p in points if p.metric in metrics])


def _curves(points: Sequence[CurvePoint], metric: str) -> Curves:
    methods = dict.fromkeys(p.method for p in points if p.n_pruned and p.metric == metric)
    return {
        method: [(p.sparsity, p.score, p.low, p.high) for p in of_method(points, method, metric)]
        for method in methods
    }


def _ranged_curves(run: RunView) -> Picture:
    names = [format_layers(layers) for layers in run.ranges]
    path = run.folder.ranged_curves
    measured = RANGED_CURVE.read(path) if path.is_file() else []
    points = [p for p in measured if p.layers in names]
    missing = [name for name in names if all(p.layers != name for p in points)]
    if missing:
        raise UsageError(
            f"curves of layers {', '.join(missing)} are not in {run.folder.ranged_curves}; "
            f"`headspex plot {run.folder.path} curve --ranges ...` measures them first"
        )
    panels: dict[str, Curves] = {}
    for name in names:
        own = [p for p in points if p.layers == name and p.n_pruned]
        panels[f"layers {name}"] = {
            method: [(p.sparsity, p.score, p.low, p.high) for p in own if p.method == method]
            for method in dict.fromkeys(p.method for p in own)
        }
    figure = pruning_curves(
        panels, metric=run.task_metric, chance=run.results["chance"], players=run.heads,
        unpruned=next(p.score for p in points if not p.n_pruned), theme=run.theme,
    )  # fmt: skip
    return _of_records(figure, RangedPoint, points)


def _orders(run: RunView) -> Picture:
    rows = ranked(run.interactions)
    figure = interaction_orders(rows, players=run.heads, unit=run.metric, theme=run.theme)
    return _of_records(figure, Ranked, rows)


def _faithfulness(run: RunView) -> Picture:
    table = run.folder.comparison / "faithfulness.csv"
    if not table.is_file():
        path = run.folder.path
        raise UsageError(
            f"the figure faithfulness shows a comparison, but {path} holds none; "
            f"run `headspex compare {path}` first"
        )
    points = FAITHFULNESS.read(table)
    figure = faithfulness_by_budget(points, players=run.heads, theme=run.theme)
    return _of_records(figure, FaithfulnessPoint, points)


def _by_shapiq(name: str) -> RunFigure:
    def make(run: RunView) -> Picture:
        figure = shapiq_plot(run.spectrum, run.players, name)
        values = shapiq_values(run.spectrum, name)
        rows = [(run.players.labels(term), value) for term, value in values.items()]
        return Picture(figure, ("heads", "value"), rows)

    return RunFigure("{Heads} and interactions, drawn by shapiq.", make)


def _of_records(figure: Figure, kind: Any, records: Sequence[Any]) -> Picture:
    header = [field.name for field in fields(kind)]
    return Picture(figure, header, [[getattr(r, name) for name in header] for r in records])


# Figures of every run, the answer first.
FIGURES: dict[str, RunFigure] = {
    "curve": RunFigure(
        "Held-out score as {heads} are removed, with 95 % intervals, between the whole model and "
        "guessing.", _curve,
    ),
    "heads": RunFigure(
        "What having each {head} on adds to the score, averaged over sampled masks.", _heads
    ),
    "energy": RunFigure(
        "Interaction energy between layers, and its split by groups of layers: the score averaged "
        "over the {heads} of all other layers.", _energy,
    ),
    "graph": RunFigure(
        "{Heads} that act together. Within a layer synergy bends up and redundancy bends down; "
        "the thicker, the stronger.", _graph,
    ),
    "orders": RunFigure("Energy and size of interactions, by how many {heads} take part.", _orders),
}  # fmt: skip

# Figures after `headspex compare`.
COMPARED: dict[str, RunFigure] = {
    "faithfulness": RunFigure("R² of each method on fresh masks, by budget.", _faithfulness),
}

# Figures drawn by shapiq.
BY_SHAPIQ: dict[str, RunFigure] = {name: _by_shapiq(name) for name in PLOTS}


def figures_of(run: RunView) -> list[str]:
    """The run's figures among `FIGURES`: a run of `headspex explain` has no curve."""
    return [name for name in FIGURES if run.judged or name != "curve"]


def caption_of(name: str, players: Players) -> str:
    """The sentence under a figure."""
    head, heads = singular(players.unit), plural(players.unit)
    words = {"head": head, "heads": heads, "Heads": heads[0].upper() + heads[1:]}
    return (FIGURES | COMPARED | BY_SHAPIQ)[name].caption.format(**words)


def picture(run: RunView, name: str) -> Picture:
    """A figure of a run.

    Raises:
        UsageError: an unknown figure, or files that are missing or damaged.
    """
    known = FIGURES | COMPARED | BY_SHAPIQ
    if name not in known:
        raise UsageError(f"the figures of a run are {', '.join(known)}, but got {name!r}")
    if name == "curve" and not run.ranges and "curve" not in figures_of(run):
        raise UsageError(
            "a curve needs judged schedules, but this run was made by `headspex explain`; make one "
            f"with `headspex prune`, or measure parts of the model with {argument('ranges')}"
        )
    return known[name].make(run)


def draw(run: RunView, name: str, path: Path) -> list[Path]:
    """Draw a figure to `path` (.svg, .png or .pdf), with its table beside it; returns the files.

    Raises:
        UsageError: as `picture`, or another ending.
    """
    if path.suffix not in (".svg", ".png", ".pdf"):
        raise UsageError(f"a figure is an .svg, .png or .pdf file, but got {path.name!r}")
    return picture(run, name).save(path)
