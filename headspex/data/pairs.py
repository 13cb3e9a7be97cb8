"""Pairs of training samples: which repeat each other, and which need each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from headspex.engine.spectrum import Spectrum


@dataclass(frozen=True)
class Pair:
    """Two samples whose effects do not add up.

    Attributes:
        players: their columns.
        interaction: the second-order effect, in units of the margin.
        redundant: whether their joint effect is below the sum of both: the interaction has the
            opposite sign of their single effects.
        distance_rank: share of all pairs that are closer in the features, 0..1; 0 for the nearest
            pair.
    """

    players: tuple[int, int]
    interaction: float
    redundant: bool
    distance_rank: float


def pairs(spectrum: Spectrum, features: Float[np.ndarray, "players ..."]) -> list[Pair]:
    """All interacting pairs whose single effects have the same sign, largest interaction first.

    A pair with effects of opposite sign is neither redundant nor synergistic.
    """
    found = spectrum.interactions("banzhaf", order=2, keep=spectrum.keep)
    flat = features.reshape(len(features), -1)
    left, right = np.triu_indices(len(flat), 1)
    distance = np.linalg.norm(flat[left] - flat[right], axis=1)
    sorted_distances = np.sort(distance)
    kept: list[Pair] = []
    for i, j, gap in zip(left.tolist(), right.tolist(), distance, strict=True):
        both, one, other = (found.get(term, 0.0) for term in ((i, j), (i,), (j,)))
        if both == 0.0 or one * other <= 0:
            continue
        rank = float(np.searchsorted(sorted_distances, gap)) / len(distance)
        kept.append(Pair((i, j), both, both * one < 0, rank))
    return sorted(kept, key=lambda pair: -abs(pair.interaction))
