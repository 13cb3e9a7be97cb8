"""Conversion of a spectrum to shapiq's `InteractionValues`, for its plots and tables."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np

from headspex.engine.indices import interactions
from headspex.engine.polynomial import Polynomial
from headspex.errors import UsageError

MISSING = "shapiq is not installed; install it with pip install 'headspex[shapiq]'"
NAMES = {
    "fourier": "Fourier",
    "moebius": "Moebius",
    "banzhaf": "BII",
    "shapley": "SV",
    "sii": "SII",
    "stii": "STII",
    "fsii": "FSII",
    "fbii": "FBII",
}


def as_interaction_values(spectrum: Polynomial, index: str, *, order: int) -> Any:
    """The index of every group of 1..order players as `shapiq.InteractionValues`.

    Its baseline is the value with every player off. The Fourier transform, at keep 1/2, has the
    mean as that of (), which shapiq takes for its baseline.

    Raises:
        UsageError: shapiq is not installed, or does not know the index.
    """
    if index not in NAMES:
        raise UsageError(f"shapiq has no index {index!r}; it has {', '.join(NAMES)}")
    try:
        import shapiq
    except ImportError as error:
        raise UsageError(MISSING) from error
    from shapiq.game_theory.indices import is_index_valid

    if not is_index_valid(NAMES[index]):
        raise UsageError(
            f"shapiq {version('shapiq')} has no index {index!r}, newer versions have; use 1.8 or "
            "newer, or Spectrum.interactions"
        )
    all_off = np.zeros((1, spectrum.n_players), dtype=np.bool_)
    start = float(spectrum.predict(all_off)[0])
    values = interactions(spectrum, index, order=order, keep=0.5)  # the measure of shapiq
    if index == "fourier":
        start = float(spectrum.with_keep(0.5).coefficients[0])
        values = {(): start, **values}
    return shapiq.InteractionValues(
        values,
        # Without it, shapiq 1.4 lists every possible group: 178 million for 1,024 players.
        interaction_lookup={term: place for place, term in enumerate(values)},
        index=NAMES[index],
        min_order=0 if index == "fourier" else 1,
        max_order=1 if index == "shapley" else order,
        n_players=spectrum.n_players,
        baseline_value=start,
    )
