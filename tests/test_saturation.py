"""A curve of a weighted sum is found, and its spectrum is exact."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headspex.engine.methods.baselines import lasso_heads
from headspex.engine.methods.saturation import Index, index_spectrum, saturating_fit
from headspex.engine.observations import observe


def all_masks(n: int) -> np.ndarray:
    return np.array(list(product([False, True], repeat=n)))


def characters_of(masks: np.ndarray, keep: np.ndarray) -> np.ndarray:
    return np.asarray((keep - masks) / np.sqrt(keep * (1 - keep)))


def steps(masks: np.ndarray, seed: int) -> np.ndarray:
    """The share of 60 questions right, each while its own sum of heads is positive."""
    rng = np.random.default_rng(seed)
    slopes = rng.exponential(1.0, masks.shape[1])
    bars = float(np.sum(slopes)) * rng.uniform(0.3, 0.95, 60)
    return np.asarray((masks @ slopes > bars[:, None]).mean(axis=0))


@given(
    keep=st.lists(st.floats(0.1, 0.9), min_size=5, max_size=5),
    seed=st.integers(0, 1000),
)
def test_the_spectrum_of_a_curve_is_its_brute_force_transform(keep: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    waves = rng.normal(size=5) + 1j * rng.normal(size=5)
    index = Index(rng.normal(size=5), 0.4, 0.3, -0.2, waves)
    p, masks = np.array(keep), all_masks(5)
    chi = characters_of(masks, p)
    probability = np.where(masks, p, 1 - p).prod(axis=1)
    values = probability * index.predict(chi)
    spectrum = index_spectrum(index, p).to_dict()
    for order in range(5):
        for term in combinations(range(5), order):
            expected = values @ chi[:, list(term)].prod(axis=1)
            assert spectrum[term] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("keep", [0.5, 0.7, 0.9])
def test_a_saturating_accuracy_is_predicted_far_better_than_by_a_sum_of_heads(keep: float) -> None:
    rng = np.random.default_rng(3)
    masks, fresh = rng.random((500, 40)) < keep, rng.random((2000, 40)) < keep
    data, truth = observe(masks, steps(masks, 1), keep=keep), steps(fresh, 1)

    def lost(spectrum) -> float:  # type: ignore[no-untyped-def]
        return float(np.mean((spectrum.predict(fresh) - truth) ** 2) / truth.var())

    assert lost(saturating_fit(data)) < 0.5 * lost(lasso_heads(data))


def test_weights_tell_the_curve_which_values_to_trust() -> None:
    rng = np.random.default_rng(4)
    masks, fresh = rng.random((600, 30)) < 0.6, rng.random((1000, 30)) < 0.6
    values, truth = steps(masks, 2), steps(fresh, 2)
    noisy = rng.random(600) < 0.5
    values[noisy] += rng.normal(size=noisy.sum())
    errors = [
        np.mean(
            (saturating_fit(observe(masks, values, keep=0.6, weights=w)).predict(fresh) - truth)
            ** 2
        )
        for w in (None, np.where(noisy, 1e-3, 1.0))
    ]
    assert errors[1] < 0.5 * errors[0]


def test_few_masks_and_few_players_are_no_problem() -> None:
    for n, m in ((1, 3), (2, 4), (3, 5), (30, 4)):
        masks = np.random.default_rng(5).random((m, n)) < 0.5
        masks[0], masks[1] = True, False
        spectrum = saturating_fit(observe(masks, np.arange(m, dtype=float)))
        assert np.isfinite(spectrum.coefficients).all()


def test_an_exact_sum_of_heads_is_returned_as_one() -> None:
    masks = np.random.default_rng(6).random((300, 20)) < 0.5
    slopes = np.linspace(-1, 1, 20)
    spectrum = saturating_fit(observe(masks, masks @ slopes))
    fresh = np.random.default_rng(7).random((300, 20)) < 0.5
    assert np.abs(spectrum.predict(fresh) - fresh @ slopes).max() < 0.02
