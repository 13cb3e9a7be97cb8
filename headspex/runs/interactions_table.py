"""`interactions.csv`: the effect of each head and combination of heads, strongest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from headspex.engine.characters import basis_name
from headspex.engine.effects import effect_sizes
from headspex.engine.spectrum import Spectrum
from headspex.engine.uncertainty import Intervals
from headspex.errors import UsageError
from headspex.players import Players
from headspex.support.files import read_csv, write_csv

HEADER = (
    "order", "heads", "layers", "kind", "effect", "coefficient", "low", "high", "selected", "basis",
)  # fmt: skip


@dataclass(frozen=True)
class Interaction:
    """One term of a spectrum.

    Attributes:
        heads: labels such as "L3H1"; for other units "L3G0", "L3A", "L3M".
        layers: the heads' layers, each once.
        kind: "linear" (one head), "within" one layer or "across" layers.
        effect: mean change of the score over sampled masks when all heads are on, beyond the
            effects of smaller groups of them. For pairs, positive is synergy and negative
            redundancy.
        coefficient: the effect in the orthonormal basis; its square is the term's energy.
        low, high: 95 % interval of the effect, which allows for its selection; see
            `headspex.engine.uncertainty.miss_rates`.
            Effect and interval come from one cross-fitted estimate (`headspex.engine.uncertainty`);
            the fitted spectrum's coefficients differ, as they are shrunk to predict best.
        selected: share of the folds whose fit keeps the term.
    """

    heads: tuple[str, ...]
    layers: tuple[int, ...]
    kind: str
    effect: float
    coefficient: float
    low: float
    high: float
    selected: float


def interaction_table(spectrum: Spectrum, bounds: Intervals, players: Players) -> list[Interaction]:
    """All terms but the constant, strongest (by estimated energy) first.

    Args:
        spectrum: with the terms.
        bounds: estimates of its terms, in their order.
        players: the columns of its masks.
    """
    # Effect on the score of a coefficient of 1.
    unit = effect_sizes(replace(spectrum, coefficients=np.ones(len(spectrum.terms))))
    ends = np.sort(np.stack([bounds.low, bounds.high]) * unit, axis=0)
    order = np.argsort(-np.abs(bounds.coefficient), kind="stable")
    return [
        _interaction(
            players,
            spectrum.terms[i],
            effect=float(bounds.coefficient[i] * unit[i]),
            coefficient=float(bounds.coefficient[i]),
            low=float(ends[0, i]),
            high=float(ends[1, i]),
            selected=float(bounds.selected[i]),
        )
        for i in order.tolist()
        if spectrum.terms[i]
    ]


def _interaction(players: Players, term: Sequence[int], **numbers: float) -> Interaction:
    layers = tuple(dict.fromkeys(players[column][0] for column in term))
    kind = "linear" if len(term) == 1 else "within" if len(layers) == 1 else "across"
    heads = tuple(players.label(column) for column in term)
    return Interaction(heads, layers, kind, **numbers)


def write_interactions(path: Path, table: Sequence[Interaction], spectrum: Spectrum) -> None:
    """Write `interactions.csv`."""
    basis = basis_name(spectrum.keep)
    write_csv(
        path,
        HEADER,
        (
            (
                len(row.heads), " ".join(row.heads), " ".join(map(str, row.layers)), row.kind,
                row.effect, row.coefficient, row.low, row.high, row.selected, basis,
            )
            for row in table
        ),
    )  # fmt: skip


def read_interactions(path: Path) -> list[Interaction]:
    """Read what `write_interactions` wrote.

    Raises:
        UsageError: the file is missing, has other columns, or holds something that is not a number.
    """
    numbers = ("effect", "coefficient", "low", "high", "selected")
    rows = read_csv(path, HEADER)
    try:
        return [
            Interaction(
                tuple(row["heads"].split()),
                tuple(map(int, row["layers"].split())),
                row["kind"],
                **{name: float(row[name]) for name in numbers},
            )
            for row in rows
        ]
    except (TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path} is damaged: {error}; repeat the run") from error
