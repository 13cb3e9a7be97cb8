"""The methods that `headspex compare` sets against each other; adding one is adding an entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from headspex.comparison.orders import ORDERS
from headspex.engine.fit import fit_spectrum
from headspex.engine.methods.baselines import BASELINES
from headspex.engine.methods.proxy import boosted_trees
from headspex.engine.observations import Observations
from headspex.engine.spectrum import Spectrum

OURS = "proxyspex"  # the method that every other one is held against


class Fitter(Protocol):
    """From scored masks to a spectrum; `threads` are those of xgboost."""

    def __call__(self, data: Observations, /, *, seed: int, threads: int) -> Spectrum:
        """The spectrum of `data`."""


@dataclass(frozen=True)
class Method:
    """A way to a spectrum.

    Attributes:
        title: what people call it.
        fit: None where the method needs masks that it chose itself, or no masks at all.
        predicts: whether the spectrum's values are scores. Where they are not, they only put the
            heads in order: there is no R² to speak of.
    """

    title: str
    fit: Fitter | None
    predicts: bool = True


def _contest(data: Observations, /, *, seed: int, threads: int) -> Spectrum:
    return fit_spectrum(
        data.masks, data.values, keep=data.keep, weights=data.weights, seed=seed, threads=threads
    )


def _baseline(name: str) -> Method:
    baseline = BASELINES[name]

    def fit(data: Observations, /, *, seed: int, threads: int) -> Spectrum:
        return baseline(data, seed=seed)

    return Method(_TITLES.get(name, name), fit, predicts=name not in _ORDERS_ONLY)


_TITLES = {
    "lasso": "LASSO on heads",
    "lasso-pairs": "LASSO on heads and pairs",
    "marginal": "mean on less mean off",
    "best-of-n": "best mask of the search",
    "random": "random, mean",
}
_ORDERS_ONLY = {"marginal", "best-of-n", "random"}

METHODS: dict[str, Method] = {
    OURS: Method("ProxySPEX", _contest),
    # The proxy as published: none of the terms that the contest adds, and no choice among them.
    "trees": Method("boosted trees alone", boosted_trees),
    "spex": Method("SPEX", None),
    **{name: _baseline(name) for name in BASELINES},
    **{name: Method(order.title, None, predicts=False) for name, order in ORDERS.items()},
}
