"""The methods that `headspex compare` sets against each other; adding one is adding an entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from headspex.baselines import BASELINES
from headspex.fit import fit_spectrum
from headspex.observations import Observations
from headspex.proxy import boosted_trees
from headspex.spectrum import Spectrum


@dataclass(frozen=True)
class Method:
    """A way from scored masks to a spectrum.

    Attributes:
        title: what people call it.
        fit: takes the observations, `seed` and `threads` (of xgboost).
        predicts: whether the spectrum's values are scores. Where they are not, they only put the
            heads in order: there is no R² to speak of.
    """

    title: str
    fit: Callable[[Observations, int, int], Spectrum]
    predicts: bool = True


def _contest(data: Observations, seed: int, threads: int) -> Spectrum:
    return fit_spectrum(
        data.masks, data.values, keep=data.keep, weights=data.weights, seed=seed, threads=threads
    )


def _trees(data: Observations, seed: int, threads: int) -> Spectrum:
    return boosted_trees(data, seed=seed, threads=threads)


def _baseline(name: str) -> Method:
    baseline = BASELINES[name]

    def fit(data: Observations, seed: int, threads: int) -> Spectrum:
        return baseline(data, seed=seed)

    return Method(_TITLES.get(name, name), fit, predicts=name not in _ORDERS_ONLY)


_TITLES = {
    "lasso": "LASSO on heads",
    "lasso-pairs": "LASSO on heads and pairs",
    "best-of-n": "best mask of the search",
    "random": "random, mean",
}
_ORDERS_ONLY = {"leave-one-out", "best-of-n", "random"}

METHODS: dict[str, Method] = {
    "proxyspex": Method("ProxySPEX", _contest),
    # Without the terms that the contest adds, and without choosing among them.
    "trees": Method("boosted trees alone", _trees),
    **{name: _baseline(name) for name in BASELINES},
}
