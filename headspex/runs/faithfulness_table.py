"""`faithfulness.csv` of a comparison: how well each method predicts at each budget."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from headspex.support.records import read_records, write_records


@dataclass(frozen=True)
class FaithfulnessPoint:
    """One row: R² on fresh masks, with its 95 % interval, of a method fitted to some passes."""

    method: str
    passes: int  # forward passes that it was fitted to
    masks: int  # on which they were spent
    r2: float
    low: float
    high: float
    n_fresh: int


def write_faithfulness(path: Path, points: Iterable[FaithfulnessPoint]) -> None:
    """Write `faithfulness.csv`."""
    write_records(path, FaithfulnessPoint, points)


def read_faithfulness(path: Path) -> list[FaithfulnessPoint]:
    """Read what `write_faithfulness` wrote.

    Raises:
        UsageError: as `read_records`.
    """
    return read_records(path, FaithfulnessPoint, again="repeat the comparison")
