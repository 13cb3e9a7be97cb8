"""A sparse spectrum is grown from few masks."""

import numpy as np

from headspex.engine.methods.growth import grow
from headspex.engine.observations import observe

PLANTED = {
    (): 3.0,
    (0,): -1.0,
    (7,): 0.6,
    (0, 7): 0.5,
    (0, 7, 11): -0.4,
    (0, 11): 0.3,
    (4, 19): 0.8,
}


def planted_values(masks: np.ndarray, keep: float) -> np.ndarray:
    """The planted function, written out mask by mask without the engine."""
    chi = (keep - masks.astype(float)) / np.sqrt(keep * (1 - keep))
    return np.array([sum(c * np.prod(row[list(t)]) for t, c in PLANTED.items()) for row in chi])


def test_planted_terms_are_recovered_exactly_at_any_keep() -> None:
    for keep in (0.5, 0.8):
        masks = np.random.default_rng(0).random((200, 30)) < keep
        spectrum = grow(observe(masks, planted_values(masks, keep), keep=keep))
        found = {t: c for t, c in spectrum.to_dict().items() if abs(c) > 1e-2}
        assert set(found) == set(PLANTED)
        assert max(abs(found[t] - PLANTED[t]) for t in PLANTED) < 1e-2


def test_pure_noise_yields_next_to_no_terms() -> None:
    rng = np.random.default_rng(1)
    masks = rng.random((500, 40)) < 0.5
    spectrum = grow(observe(masks, rng.normal(size=500)))
    assert spectrum.variance < 0.2  # of a noise variance of 1


def test_masks_of_small_weight_do_not_spoil_the_rest() -> None:
    rng = np.random.default_rng(2)
    masks = rng.random((600, 30)) < 0.5
    values = planted_values(masks, 0.5)
    noisy = rng.random(600) < 0.5
    values[noisy] += 5 * rng.normal(size=noisy.sum())
    fresh = rng.random((500, 30)) < 0.5
    truth = planted_values(fresh, 0.5)
    weights = np.where(noisy, 1 / 25, 1e3)
    errors = [
        np.var(grow(observe(masks, values, weights=w)).predict(fresh) - truth)
        for w in (None, weights)
    ]
    assert errors[1] < 1e-3 < errors[0]
