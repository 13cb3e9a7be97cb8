"""`interactions.csv`: what each head and each combination of heads adds, strongest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from headspex.characters import basis_name
from headspex.files import write_csv
from headspex.indices import effects
from headspex.players import Players
from headspex.spectrum import Spectrum

HEADER = (
    "order", "heads", "layers", "kind", "effect", "coefficient", "low", "high", "selected", "basis",
)  # fmt: skip


@dataclass(frozen=True)
class Interaction:
    """One term of a spectrum, in words.

    Attributes:
        heads: labels such as "L3H1".
        layers: the layers they are in, each once.
        kind: "linear" (one head), "within" one layer or "across" layers.
        effect: in units of the score: what having all of them on changes on average over the
            sampled masks, beyond what their smaller groups explain. For pairs, positive is
            synergy and negative redundancy.
        coefficient: of the orthonormal basis; its square is the term's energy.
    """

    heads: tuple[str, ...]
    layers: tuple[int, ...]
    kind: str
    effect: float
    coefficient: float


def interaction_table(spectrum: Spectrum, players: Players) -> list[Interaction]:
    """All terms but the constant, strongest (by energy) first."""
    effect = effects(spectrum)
    order = np.argsort(-np.abs(spectrum.coefficients), kind="stable")
    return [
        _interaction(spectrum.terms[i], effect[i], spectrum.coefficients[i], players)
        for i in order.tolist()
        if spectrum.terms[i]
    ]


def _interaction(
    term: Sequence[int], effect: float, coefficient: float, players: Players
) -> Interaction:
    layers = tuple(dict.fromkeys(players[column][0] for column in term))
    kind = "linear" if len(term) == 1 else "within" if len(layers) == 1 else "across"
    heads = tuple(players.label(column) for column in term)
    return Interaction(heads, layers, kind, float(effect), float(coefficient))


def write_interactions(path: Path, table: Sequence[Interaction], spectrum: Spectrum) -> None:
    """Write `interactions.csv`; low, high and selected are empty until intervals are asked for."""
    basis = basis_name(spectrum.keep)
    write_csv(
        path,
        HEADER,
        (
            (
                len(row.heads), " ".join(row.heads), " ".join(map(str, row.layers)), row.kind,
                row.effect, row.coefficient, "", "", "", basis,
            )
            for row in table
        ),
    )  # fmt: skip
