"""When a spectrum fits so well with so few terms that chance cannot have found it."""

import numpy as np
from scipy.special import gammaln

from headspex.observations import Observations
from headspex.spectrum import Spectrum

SOLVED = 5e-4  # share of the variance left over, at most
MARGIN = 10.0  # nats by which chance must fall short: odds of 1 in 20,000


def beyond_chance(spectrum: Spectrum, data: Observations) -> bool:
    """Whether the terms explain the values they were fitted to better than any terms could by luck.

    There are prod_T C(n, |T|) choices of as many terms of these orders, and each leaves over a
    share s of noise with a probability below s^((m - k) / 2) or so: a union bound over m masks and
    k terms. A spectrum that passes needs no held-out masks, so that none need be spared.
    """
    errors = data.weights * (data.values - spectrum.predict(data.masks)) ** 2
    share = float(errors.mean()) / data.variance
    orders = np.array([len(term) for term in spectrum.terms])
    free = len(data) - len(orders)
    if share > SOLVED or free < len(data) / 2:
        return False
    n = data.n_players
    choices = float((gammaln(n + 1) - gammaln(orders + 1) - gammaln(n - orders + 1)).sum())
    return bool(free / 2 * -np.log(max(share, 1e-12)) > choices + MARGIN)
