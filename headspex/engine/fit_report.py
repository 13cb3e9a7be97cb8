"""What `fit_spectrum` reports of its fit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FitReport:
    """How well a spectrum was found to generalise, and where its terms came from.

    Attributes:
        cv_r2: cross-validated R² of the method that was chosen; `low`, `high` its 95 % interval.
        method: the method that was chosen.
        methods: cross-validated R² of every method that was tried.
        sources: for each term of the spectrum, which source proposed it.
    """

    cv_r2: float
    low: float
    high: float
    method: str
    methods: dict[str, float]
    sources: tuple[str, ...]
