"""What a fit says of itself: whether chance could have found it, and how well it may predict."""

import math
from collections.abc import Sequence
from itertools import combinations as subsets

import numpy as np
from scipy.special import gammaln

from headspex.engine.observations import Observations
from headspex.engine.spectrum import Spectrum
from headspex.engine.terms import Term

SOLVED = 5e-4  # share of the variance that may stay unexplained
MARGIN = 10.0  # nats by which chance must fall short: odds of 1 in 20,000


def fits_exactly(spectrum: Spectrum, data: Observations) -> bool:
    """Whether next to nothing stays unexplained, and not by chance.

    Such a spectrum needs no held-out masks to be believed, so that none need be spared.
    """
    return _left_over(spectrum, data) <= SOLVED and beyond_chance(spectrum, data)


def beyond_chance(spectrum: Spectrum, data: Observations) -> bool:
    """Whether the terms explain the values they were fitted to better than any terms could by luck.

    There are so many choices of as many terms of these orders, and each leaves a share s of
    noise with a probability below s^((m - k) / 2) or so: a union bound over m masks and k terms.
    """
    free = len(data) - len(spectrum.terms)
    if free < len(data) / 2:
        return False
    needed = _log_choices(spectrum.terms, data.n_players) + MARGIN
    return bool(free / 2 * -np.log(max(_left_over(spectrum, data), 1e-12)) > needed)


def gcv_r2(spectrum: Spectrum, data: Observations) -> float:
    """R² that generalised cross-validation expects of the fit: too high where terms were chosen."""
    free = 1 - min(len(spectrum.terms), len(data) - 1) / len(data)
    return 1 - _left_over(spectrum, data) / free**2


def _left_over(spectrum: Spectrum, data: Observations) -> float:
    errors = data.weights * (data.values - spectrum.predict(data.masks)) ** 2
    return float(errors.mean()) / data.variance


def _log_choices(terms: Sequence[Term], n_players: int) -> float:
    """Logarithm of the number of spectra that one would have to name to single out this one.

    Named term by term, or by the sets that are subsets of no other and a bit for each of theirs,
    whichever is shorter: where sets work together, with all their subsets, the latter is.
    """
    within = {part for term in terms for size in range(len(term)) for part in subsets(term, size)}
    widest = [term for term in terms if term not in within]
    bits = sum(2 ** len(term) - 2 for term in widest if term)
    by_sets = _log_sets(widest, n_players) + math.log(2) * bits
    return float(min(_log_sets(terms, n_players), by_sets))


def _log_sets(terms: Sequence[Term], n_players: int) -> float:
    sizes = np.array([len(term) for term in terms])
    logs = gammaln(n_players + 1) - gammaln(sizes + 1) - gammaln(n_players - sizes + 1)
    return float(logs.sum())
