"""The unit that values are fitted in: near 1, whatever their own is.

Squares of values beyond 1e154 overflow and those below 1e-162 vanish. A unit that is a power of two
changes no digit, so that f and c f have the same terms.
"""

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from headspex.engine.observations import Observations
from headspex.engine.spectrum import Spectrum

Values = Float[np.ndarray, " values"]


def exponent_of(values: npt.ArrayLike) -> int:
    """The least e such that all values are below 2^e in size; 0 where all are 0."""
    return int(np.frexp(np.abs(values).max(initial=0.0))[1])


def scaled_by(values: Values, exponent: int) -> Values:
    """Values times 2^exponent."""
    return np.asarray(np.ldexp(values, exponent))


def in_own_unit(data: Observations, fit: Callable[[Observations], Spectrum]) -> Spectrum:
    """What `fit` makes of values near 1, in the unit of `data` again.

    Values that differ by rounding alone count as equal, which is said on standard error.
    """
    exponent = exponent_of(data.values)
    near_one = replace(data, values=scaled_by(data.values, -exponent))
    if near_one.constant and np.ptp(near_one.values):
        print(
            f"headspex: the values are near {data.values[0]:.3g} and differ by rounding alone, so "
            "they are fitted as a constant; where they should not, take an offset off before",
            file=sys.stderr,
        )
    # In one thread sums are taken in the same order on every machine. And BLAS's threads wait for
    # each other by spinning: beside another process on the same two cores a fit of 300 masks and
    # 14 players took 37 s of CPU time in two threads, and 1 s in one.
    with threadpool_limits(1):
        found = fit(near_one)
    return replace(found, coefficients=scaled_by(found.coefficients, exponent))
