"""Pruning curves of parts of a model: only the heads of some layers may go."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from headspex.runs.curve import CurvePoint
from headspex.runs.run_folder import RunFolder
from headspex.support.records import read_records, write_records


@dataclass(frozen=True)
class RangedPoint(CurvePoint):
    """A point of a curve on which only heads of `layers` are removed; sparsity is their share.

    The first rows of each range, with 0 removed, are of the whole model.
    """

    layers: str = ""  # such as "13-15"


def read_ranged(folder: RunFolder) -> list[RangedPoint]:
    """The points that were measured; none where none were."""
    path = folder.ranged_curves
    again = "remove it, and plot again"
    return read_records(path, RangedPoint, again=again) if path.is_file() else []


def write_ranged(folder: RunFolder, points: Iterable[RangedPoint]) -> None:
    """Keep points for `read_ranged`."""
    write_records(folder.ranged_curves, RangedPoint, points)
