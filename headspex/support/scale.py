"""Units that are powers of two: values near 1 whose squares neither overflow nor vanish.

Squares of values beyond 1e154 overflow, and those below 1e-162 vanish. A power of two changes no
digit, so f and 2^k f have the same terms.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from jaxtyping import Float

Values = Float[np.ndarray, "..."]


def exponent_of(*values: npt.ArrayLike) -> int:
    """The least e such that all values are below 2^e in size; 0 where all are 0."""
    largest = max(float(np.abs(some).max(initial=0.0)) for some in values)
    return int(np.frexp(largest)[1])


def scaled_by(values: Values, exponent: int) -> Values:
    """Values times 2^exponent."""
    return np.asarray(np.ldexp(values, exponent))
