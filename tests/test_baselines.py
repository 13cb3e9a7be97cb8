"""Baselines give spectra too."""

import numpy as np
import pytest
from sklearn.linear_model import LassoCV

from headspex.engine.methods import baselines
from headspex.engine.methods.baselines import BASELINES
from headspex.engine.observations import observe
from headspex.errors import UsageError

RNG = np.random.default_rng(0)
MASKS = RNG.random((300, 8)) < 0.5
VALUES = 2.0 * MASKS[:, 0] - MASKS[:, 3] + 1.5 * (MASKS[:, 1] & MASKS[:, 2])
FRESH = RNG.random((500, 8)) < 0.5
TRUTH = 2.0 * FRESH[:, 0] - FRESH[:, 3] + 1.5 * (FRESH[:, 1] & FRESH[:, 2])


@pytest.mark.parametrize("name", BASELINES)
def test_every_baseline_gives_a_finite_spectrum(name: str) -> None:
    spectrum = BASELINES[name](observe(MASKS, VALUES, keep=0.5), seed=1)
    assert spectrum.n_players == 8
    assert np.isfinite(spectrum.predict(FRESH)).all()


def test_lasso_on_heads_predicts_as_sklearns_own_does() -> None:
    mine = baselines.lasso_heads(observe(MASKS, VALUES)).predict(FRESH)
    theirs = LassoCV(cv=5).fit(1 - 2.0 * MASKS, VALUES).predict(1 - 2.0 * FRESH)
    # The folds differ, and with them the penalty.
    assert np.var(mine - theirs) < 1e-3 * np.var(TRUTH)


def test_lasso_on_pairs_is_exact_where_nothing_is_of_higher_order() -> None:
    spectrum = baselines.lasso_pairs(observe(MASKS, VALUES))
    assert np.var(spectrum.predict(FRESH) - TRUTH) < 1e-3 * np.var(TRUTH)
    assert spectrum.to_dict()[1, 2] == pytest.approx(1.5 / 4, abs=0.02)


def test_the_marginal_effect_is_the_difference_of_means() -> None:
    keep = 0.7
    masks = np.random.default_rng(3).random((50_000, 4)) < keep
    values = 3.0 * masks[:, 1] + 1.0
    coefficient = baselines.marginal(observe(masks, values, keep=keep)).to_dict()[1,]
    # F = sqrt(p (1 - p)) (mean off - mean on).
    assert coefficient == pytest.approx(-3.0 * np.sqrt(0.7 * 0.3), rel=0.02)


def test_best_of_n_rebuilds_the_best_mask() -> None:
    spectrum = baselines.best_of_n(observe(MASKS, VALUES))
    best = MASKS[np.argmax(VALUES)]
    flipped = best ^ np.eye(8, dtype=bool)
    assert (spectrum.predict(best[None]) > spectrum.predict(flipped)).all()


def test_too_many_pairs_are_refused_with_the_memory_they_need() -> None:
    masks = np.zeros((4000, 600), dtype=bool)
    masks[:, 0] = np.arange(4000) % 2
    with pytest.raises(UsageError, match=r"need 2\.9 GB"):
        baselines.lasso_pairs(observe(masks, masks[:, 0].astype(float)))
