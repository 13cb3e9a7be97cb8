"""The figures of a finished run, drawn from its files alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from headspex.curve import of_method, read_curve, whole_model
from headspex.energy import layer_energy
from headspex.errors import UsageError
from headspex.faithfulness_table import read_faithfulness
from headspex.figures.curve import pruning_curve
from headspex.figures.energy import layer_interaction_energy
from headspex.figures.faithfulness import faithfulness_by_budget
from headspex.figures.heads import head_importance
from headspex.figures.style import save
from headspex.files import read_text
from headspex.indices import effects
from headspex.players import Players
from headspex.run_folder import RunFolder
from headspex.spectrum import Spectrum
from headspex.units import plural, singular


@dataclass(frozen=True)
class RunFigure:
    """A picture of a run; its caption names a {head} and {heads}, or what stands for them."""

    caption: str
    make: Callable[[RunFolder, dict[str, Any]], Figure]


def _spectrum(folder: RunFolder) -> Spectrum:
    return Spectrum.from_json(read_text(folder.spectrum))


def _heads(folder: RunFolder, results: dict[str, Any]) -> Figure:
    players, spectrum = Players.of_run(results), _spectrum(folder)
    importance = np.zeros((len(players.layers), len(players.names_in_layer)))
    for term, effect in zip(spectrum.terms, effects(spectrum), strict=True):
        if len(term) == 1:
            importance.flat[term[0]] = effect
    return head_importance(
        importance, layers=players.layers, unit=results["metric"], player=singular(players.unit),
        names=players.names_in_layer,
    )  # fmt: skip


def _energy(folder: RunFolder, results: dict[str, Any]) -> Figure:
    players = Players.of_run(results)
    energy = layer_energy(_spectrum(folder), players)
    # The matrix has half of a pair of layers on each side; the picture shows one side.
    whole = energy.matrix + energy.matrix.T - np.diag(np.diag(energy.matrix))
    return layer_interaction_energy(
        whole,
        layers=energy.layers,
        linear=energy.linear,
        within=energy.within,
        across=energy.across,
        basis=energy.basis,
        players=plural(players.unit),
    )


def _curve(folder: RunFolder, results: dict[str, Any]) -> Figure:
    points, own = read_curve(folder.curve), results["own_metric"]
    curves = {
        method: [(p.sparsity, p.score, p.low, p.high) for p in of_method(points, method, own)]
        for method in dict.fromkeys(p.method for p in points if p.n_pruned)
    }
    return pruning_curve(
        curves,
        metric=own,
        unpruned=whole_model(points, own).score,
        chance=results["chance"],
        players=plural(Players.of_run(results).unit),
    )


def _faithfulness(folder: RunFolder, results: dict[str, Any]) -> Figure:
    table = folder.comparison / "faithfulness.csv"
    if not table.is_file():
        raise UsageError(
            f"the figure faithfulness shows a comparison, but {folder.path} holds none; "
            f"run `headspex compare {folder.path}` first"
        )
    players = plural(Players.of_run(results).unit)
    return faithfulness_by_budget(read_faithfulness(table), players=players)


# Those that every run has.
FIGURES: dict[str, RunFigure] = {
    "curve": RunFigure("Held-out score as {heads} are removed, with 95 % intervals.", _curve),
    "heads": RunFigure("What each {head} adds to the score, averaged over sampled masks.", _heads),
    "energy": RunFigure("Interaction energy between layers, and its split.", _energy),
}

# Those that a run has after `headspex compare`.
COMPARED: dict[str, RunFigure] = {
    "faithfulness": RunFigure("R² of each method on fresh masks, by budget.", _faithfulness),
}


def draw(folder: RunFolder, results: dict[str, Any], name: str, path: Path) -> Path:
    """Draw a figure of a run into `path`; its ending chooses svg, png or pdf.

    Raises:
        UsageError: an unknown figure, or files that are missing or damaged.
    """
    known = FIGURES | COMPARED
    if name not in known:
        raise UsageError(f"the figures of a run are {', '.join(known)}, but got {name!r}")
    if path.suffix not in (".svg", ".png", ".pdf"):
        raise UsageError(f"a figure is an .svg, .png or .pdf file, but got {path.name!r}")
    return save(known[name].make(folder, results), path)
