"""The report of `fit_spectrum`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FitReport:
    """How well a spectrum generalises, and where its terms came from.

    Attributes:
        cv_r2: cross-validated R² of the chosen method; `low`, `high` its 95 % interval.
        method: the chosen method.
        methods: cross-validated R² of every method tried.
        sources: the method that proposed each term.
    """

    cv_r2: float
    low: float
    high: float
    method: str
    methods: dict[str, float]
    sources: tuple[str, ...]
