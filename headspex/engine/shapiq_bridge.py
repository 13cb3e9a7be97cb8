"""Conversion of a spectrum to shapiq's `InteractionValues`, for its plots and tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from headspex.engine.indices import interactions
from headspex.engine.polynomial import Polynomial
from headspex.errors import UsageError

_NAMES = {
    "moebius": "Moebius",
    "banzhaf": "BII",
    "shapley": "SV",
    "sii": "SII",
    "stii": "STII",
    "fsii": "FSII",
    "fbii": "FBII",
}


def interaction_values(spectrum: Polynomial, index: str, *, order: int) -> Any:
    """The index of every group of 1..order players as `shapiq.InteractionValues`.

    Its baseline is the value with every player off.

    Raises:
        UsageError: shapiq is not installed, or does not know the index.
    """
    if index not in _NAMES:
        raise UsageError(f"shapiq has no index {index!r}; it has {', '.join(_NAMES)}")
    try:
        from shapiq import InteractionValues
    except ImportError as error:
        raise UsageError(
            "shapiq is not installed; install it with pip install 'headspex[shapiq]'"
        ) from error
    all_off = np.zeros((1, spectrum.n_players), dtype=np.bool_)
    values = interactions(spectrum, index, order=order, keep=0.5)  # the measure of shapiq
    return InteractionValues(
        values,
        # Without it, shapiq 1.4 lists every possible group: 178 million for 1,024 players.
        interaction_lookup={term: place for place, term in enumerate(values)},
        index=_NAMES[index],
        min_order=1,
        max_order=1 if index == "shapley" else order,
        n_players=spectrum.n_players,
        baseline_value=float(spectrum.predict(all_off)[0]),
    )
