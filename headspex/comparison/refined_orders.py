"""The run's refinement from other spectra, or from none: what our spectrum adds to it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from headspex.comparison.known import Known, places
from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError


def lasso_refined(known: Known) -> Float[np.ndarray, " players"]:
    """Refined from the LASSO on heads.

    Raises:
        UsageError: the run refined nothing, or has no such fit.
    """
    if known.lasso is None:
        raise UsageError("the LASSO on heads has no fit to start from")
    return _refined(known, known.lasso)


def refined_alone(known: Known) -> Float[np.ndarray, " players"]:
    """Refined from a spectrum that expects the same of every mask.

    Raises:
        UsageError: the run refined nothing.
    """
    level = float(known.spectrum.predict(np.ones((1, known.n_players), dtype=np.bool_))[0])
    flat = Spectrum.from_dict({(): level}, n_players=known.n_players, keep=known.spectrum.keep)
    return _refined(known, flat)


def _refined(known: Known, spectrum: Spectrum) -> Float[np.ndarray, " players"]:
    if known.refined is None:
        raise UsageError("it repeats the run's refinement, but this run has none")
    return places(known.refined(spectrum).order)
