"""The methods of `headspex compare`; adding one is adding an entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from headspex.comparison.orders import ORDERS
from headspex.engine.fit import fit_spectrum
from headspex.engine.methods.baselines import BASELINES
from headspex.engine.methods.proxy import boosted_trees
from headspex.engine.observations import Observations
from headspex.engine.spectrum import Spectrum

OURS = "proxyspex"  # the method that others are compared with


class Fitter(Protocol):
    """Fits a spectrum to scored masks; `threads` are xgboost's."""

    def __call__(self, data: Observations, /, *, seed: int, threads: int) -> Spectrum:
        """The spectrum of `data`."""


@dataclass(frozen=True)
class Method:
    """A method that is compared.

    Attributes:
        title: display name.
        fit: None if the method chooses its own masks or needs none.
        predicts: whether the spectrum predicts scores; if not, it only ranks heads and has no R².
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
    # The proxy as published, without the contest's added terms and model selection.
    "trees": Method("boosted trees alone", boosted_trees),
    "spex": Method("SPEX", None),
    **{name: _baseline(name) for name in BASELINES},
    **{name: Method(order.title, None, predicts=False) for name, order in ORDERS.items()},
}
