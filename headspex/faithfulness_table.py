"""`faithfulness.csv` of a comparison: how well each method predicts at each budget."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from headspex.errors import UsageError
from headspex.files import read_csv, write_csv


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


_HEADER = [field.name for field in fields(FaithfulnessPoint)]


def write_faithfulness(path: Path, points: Iterable[FaithfulnessPoint]) -> None:
    """Write `faithfulness.csv`."""
    write_csv(path, _HEADER, (astuple(point) for point in points))


def read_faithfulness(path: Path) -> list[FaithfulnessPoint]:
    """Read what `write_faithfulness` wrote.

    Raises:
        UsageError: the file is missing, has other columns, or holds what is no number.
    """
    rows = read_csv(path, _HEADER)
    try:
        return [_parse(row) for row in rows]
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path} is damaged: {error}; repeat the comparison") from error


def _parse(row: dict[str, str]) -> FaithfulnessPoint:
    return FaithfulnessPoint(
        method=row["method"],
        passes=int(row["passes"]),
        masks=int(row["masks"]),
        r2=float(row["r2"]),
        low=float(row["low"]),
        high=float(row["high"]),
        n_fresh=int(row["n_fresh"]),
    )
