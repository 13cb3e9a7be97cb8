"""Hard-concrete gates: random numbers in [0, 1], often exactly 0 or 1, that can be differentiated.

Louizos, Welling & Kingma 2018 (arXiv 1712.01312), section 4 and equations 10 to 12: a sigmoid of
logistic noise and a logit, stretched beyond [0, 1] and cut off there. Voita et al. 2019 pruned
attention heads by them.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Real, UInt8
from scipy.special import expit, logit

TEMPERATURE = 2 / 3
LOW, HIGH = -0.1, 1.1  # of the stretched sigmoid
_EDGE = 1e-3  # uniform noise keeps away from 0 and 1
_SHIFT = TEMPERATURE * np.log(-LOW / HIGH)  # P(gate > 0) = sigmoid(logit - _SHIFT), equation 12
_VALUES = ((np.arange(64) + 0.5) / 64)[:, None]  # of gates, where integrals are summed

Logits = Float[np.ndarray, " players"]
Levels = UInt8[np.ndarray, "rows players"]  # gates in 255ths: what is asked can be stored exactly
LEVELS = 255


def levels_of(gates: Real[np.ndarray, "*rows players"]) -> UInt8[np.ndarray, "*rows players"]:
    """Gates in 255ths; beyond 0 and 1 they are cut off."""
    return np.asarray(np.rint(LEVELS * np.clip(gates, 0.0, 1.0)), dtype=np.uint8)


def drawn(logits: Logits, rows: int, *, rng: np.random.Generator) -> Levels:
    """Gates for each row, in 255ths, by Latin hypercube sampling.

    Each gate's noise falls once into each of `rows` equal parts of 0 to 1 (McKay, Beckman & Conover
    1979), so a mean over rows varies less than that of independent gates. Gates are independent.
    """
    parts = rng.permuted(np.tile(np.arange(rows), (len(logits), 1)), axis=1).T
    noise = logit(_EDGE + (1 - 2 * _EDGE) * (parts + rng.random(parts.shape)) / rows)
    stretched = LOW + (HIGH - LOW) * expit((noise + logits) / TEMPERATURE)
    return levels_of(stretched)


def mean_slope(logits: Logits) -> Logits:
    """Derivative of each gate's mean by its logit.

    The mean is the integral over 0 to 1 of the probability to be above a value, which for the value
    x is sigmoid(logit - TEMPERATURE logit((x - LOW) / (HIGH - LOW))), as in equation 12.
    """
    above = expit(logits - TEMPERATURE * logit((_VALUES - LOW) / (HIGH - LOW)))
    return np.asarray((above * (1 - above)).mean(axis=0))


def open_probability(logits: Logits) -> Logits:
    """Each gate's probability to be above 0."""
    return np.asarray(expit(logits - _SHIFT))


def open_slope(logits: Logits) -> Logits:
    """Derivative of each gate's probability to be open by its logit."""
    share = open_probability(logits)
    return np.asarray(share * (1 - share))
