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
        redundant: whether together they do less than apart: the interaction is against the
            direction that both have alone.
        distance_rank: share of all pairs that lie closer together in the features, 0..1; the
            nearest pair has 0.
    """

    players: tuple[int, int]
    interaction: float
    redundant: bool
    distance_rank: float


def pairs(spectrum: Spectrum, features: Float[np.ndarray, "players ..."]) -> list[Pair]:
    """All pairs with an interaction whose samples pull the same way, largest interaction first.

    A pair whose samples pull different ways is neither redundant nor synergistic.
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
