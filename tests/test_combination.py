"""Schedules for several tasks."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError
from headspex.schedules.combination import mean_spectrum, worst_case_schedule
from headspex.schedules.constraints import Constraints, Limit
from headspex.schedules.schedule import prune_schedule


def random_spectrum(seed: int, n: int = 7) -> Spectrum:
    rng = np.random.default_rng(seed)
    subsets = [t for k in range(1, 4) for t in combinations(range(n), k)]
    chosen = rng.choice(len(subsets), 20, replace=False)
    keep = rng.uniform(0.3, 0.9, n)
    return Spectrum.from_dict({subsets[i]: rng.normal() for i in chosen}, n_players=n, keep=keep)


MASKS = (np.arange(128)[:, None] >> np.arange(7) & 1).astype(bool)


@given(st.integers(0, 10_000))
@settings(max_examples=30)
def test_the_mean_of_spectra_is_the_mean_of_their_values(seed: int) -> None:
    spectra = [random_spectrum(seed + i) for i in range(3)]
    values = np.stack([spectrum.predict(MASKS) for spectrum in spectra])
    np.testing.assert_allclose(mean_spectrum(spectra).predict(MASKS), values.mean(axis=0))
    weighted = mean_spectrum(spectra, [1, 2, 5]).predict(MASKS)
    np.testing.assert_allclose(weighted, np.array([1, 2, 5]) @ values / 8, atol=1e-9)


@given(st.integers(0, 10_000))
@settings(max_examples=30)
def test_the_worst_case_is_asked_about_every_next_mask(seed: int) -> None:
    spectra = [random_spectrum(seed), random_spectrum(seed + 1)]
    constraints = Constraints(7, (Limit((0, 1, 2), 1),))
    found = worst_case_schedule(spectra, constraints)
    assert len(found.order) == constraints.most() == 5
    whole = np.array([s.predict(np.ones((1, 7), dtype=bool))[0] for s in spectra])
    mask = np.ones(7, dtype=bool)
    for step, column in enumerate(found.order):
        worst = {}
        for other in np.flatnonzero(mask):
            trial = mask.copy()
            trial[other] = False
            if constraints.allows(trial):
                lost = np.array([s.predict(trial[None])[0] for s in spectra]) - whole
                worst[int(other)] = float(lost.min())
        assert worst[column] == pytest.approx(max(worst.values()), abs=1e-9)
        mask[column] = False
        assert found.values is not None
        assert found.values[step + 1] == pytest.approx(worst[column], abs=1e-9)


def test_the_worst_of_one_task_is_its_greedy_schedule() -> None:
    spectrum = random_spectrum(4)
    assert worst_case_schedule([spectrum]).order == prune_schedule(spectrum).order


def test_what_cannot_be_combined_is_refused() -> None:
    with pytest.raises(UsageError, match=r"spectra have \[5, 7\] players"):
        worst_case_schedule([random_spectrum(0), random_spectrum(0, 5)])
    with pytest.raises(UsageError, match="one positive number for each of 2 runs"):
        mean_spectrum([random_spectrum(0), random_spectrum(1)], [1.0])
