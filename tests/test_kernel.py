"""Ridge on all terms through the product kernel."""

from itertools import chain, combinations

import numpy as np
import pytest

from headspex.engine.methods import kernel
from headspex.engine.methods.kernel import kernel_ridge, product_kernel
from headspex.engine.observations import observe


def test_the_kernel_is_the_sum_over_all_terms() -> None:
    rng = np.random.default_rng(0)
    keep = np.array([0.3, 0.5, 0.8, 0.6])
    relevances = np.array([0.1, 0.7, 0.3, 0.02])
    masks = rng.random((20, 4)) < keep
    chi = (keep - masks) / np.sqrt(keep * (1 - keep))
    terms = chain.from_iterable(combinations(range(4), k) for k in range(5))
    expected = sum(
        np.prod(relevances[list(t)])
        * np.outer(np.prod(chi[:, list(t)], axis=1), np.prod(chi[:, list(t)], axis=1))
        for t in terms
    )
    np.testing.assert_allclose(product_kernel(masks, relevances, keep), expected, atol=1e-12)


def test_a_smooth_function_of_many_players_is_learned_from_few_masks() -> None:
    rng = np.random.default_rng(1)
    slopes = rng.normal(size=30)

    def smooth(masks: np.ndarray) -> np.ndarray:
        return np.tanh((masks - 0.5) @ slopes)

    masks, fresh = rng.random((600, 30)) < 0.5, rng.random((2000, 30)) < 0.5
    spectrum = kernel_ridge(observe(masks, smooth(masks)))
    error = np.var(spectrum.predict(fresh) - smooth(fresh))
    linear = np.linalg.lstsq(np.c_[np.ones(600), masks], smooth(masks), rcond=None)[0]
    linear_error = np.var(np.c_[np.ones(2000), fresh] @ linear - smooth(fresh))
    assert error < 0.7 * linear_error


def test_however_few_terms_are_looked_at_at_once_the_spectrum_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(2)
    masks = rng.random((60, 40)) < 0.5
    data = observe(masks, masks[:, 3] * 1.0 - 2 * (masks[:, 5] & masks[:, 8]))
    at_once = kernel_ridge(data).to_dict()
    monkeypatch.setattr(kernel, "LOOKED_AT_ONCE", 5000)
    assert kernel_ridge(data).to_dict() == at_once
