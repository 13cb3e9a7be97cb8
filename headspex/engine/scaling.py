"""Fitting in a unit in which values are near 1."""

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from threadpoolctl import threadpool_limits

from headspex.engine.observations import Observations
from headspex.engine.spectrum import Spectrum
from headspex.support.scale import exponent_of, scaled_by


def in_own_unit(data: Observations, fit: Callable[[Observations], Spectrum]) -> Spectrum:
    """The result of `fit` on values scaled near 1, scaled back to the unit of `data`.

    Values that differ by rounding alone count as equal, with a notice on standard error.
    """
    exponent = exponent_of(data.values)
    near_one = replace(data, values=scaled_by(data.values, -exponent))
    if near_one.constant and np.ptp(near_one.values):
        print(
            f"headspex: the values are near {data.values[0]:.3g} and differ by rounding alone, so "
            "they are fitted as a constant; if they should differ, subtract an offset first",
            file=sys.stderr,
        )
    # In one thread sums have the same order on every machine. Also, BLAS threads spin while they
    # wait: beside another process on the same two cores a fit of 300 masks and 14 players took 37 s
    # of CPU time in two threads, and 1 s in one.
    with threadpool_limits(1):
        found = fit(near_one)
    return replace(found, coefficients=scaled_by(found.coefficients, exponent))
