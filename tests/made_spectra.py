"""Spectra that several test files share."""

import math
from dataclasses import replace
from itertools import combinations

import numpy as np

from headspex.engine.fit_report import FitReport
from headspex.engine.spectrum import Spectrum


def random_spectrum(seed: int, n: int = 6, n_terms: int = 12, uniform: bool = False) -> Spectrum:
    rng = np.random.default_rng(seed)
    subsets = [t for k in range(1, 5) for t in combinations(range(n), k)]
    chosen = rng.choice(len(subsets), n_terms, replace=False)
    keep = 0.8 if uniform else rng.uniform(0.1, 0.95, n)
    return Spectrum.from_dict(
        {(): rng.normal(), **{subsets[i]: rng.normal() for i in chosen}}, n_players=n, keep=keep
    )


REPORT = FitReport(
    cv_r2=0.9, low=0.8, high=0.95, method="trees", methods={"trees": 0.9, "lasso": math.nan},
    sources=("constant", "heads", "trees"),
)  # fmt: skip


def reported() -> Spectrum:
    spectrum = Spectrum.from_dict({(): 1.0, (0,): 2.0, (0, 1): 0.1}, n_players=2, keep=0.8)
    return replace(spectrum, report=REPORT)
