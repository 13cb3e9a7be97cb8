"""A spectrum is taken as proven only when chance could not have found it."""

import numpy as np

from headspex.engine.fit import fit_spectrum
from headspex.engine.methods.growth import grow
from headspex.engine.methods.proof import beyond_chance, fits_exactly, gcv_r2
from headspex.engine.observations import observe
from headspex.engine.spectrum import Spectrum
from headspex.engine.terms import Term

TABLE = {(i,): 1.0 + i for i in range(8)} | {(i, i + 1): 2.0 for i in range(8)}
GAME = Spectrum.from_dict(TABLE, n_players=30)


def test_an_exact_spectrum_with_many_masks_is_solved() -> None:
    masks = np.random.default_rng(0).random((200, 30)) < 0.5
    assert fits_exactly(GAME, observe(masks, GAME.predict(masks)))


def test_a_noisy_one_is_beyond_chance_but_not_solved() -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((200, 30)) < 0.5
    values = GAME.predict(masks) + 0.1 * np.sqrt(GAME.variance) * rng.normal(size=200)
    data = observe(masks, values)
    assert beyond_chance(GAME, data)
    assert not fits_exactly(GAME, data)
    assert 0.98 < gcv_r2(GAME, data) < 1


def test_as_many_terms_as_masks_prove_nothing() -> None:
    masks = np.random.default_rng(0).random((20, 30)) < 0.5
    assert not beyond_chance(GAME, observe(masks, GAME.predict(masks)))


def test_noise_is_never_proven() -> None:
    rng = np.random.default_rng(1)
    for m in (10, 20, 40, 80):
        masks = rng.random((m, 40)) < 0.5
        data = observe(masks, rng.normal(size=m))
        assert not beyond_chance(grow(data), data)


def test_what_all_masks_prove_is_reported_even_where_folds_miss_it() -> None:
    rng = np.random.default_rng(2)
    table: dict[Term, float] = {(i,): rng.normal() for i in range(40)}
    for left, right in rng.integers(0, 40, (40, 2)):
        if left != right:
            table[tuple(sorted((int(left), int(right))))] = rng.normal()
    game = Spectrum.from_dict(table, n_players=40)
    for m in range(200, 260, 20):  # across the number of masks that suffices
        masks = rng.random((m, 40)) < 0.5
        spectrum = fit_spectrum(masks, game.predict(masks))
        fresh = rng.random((1000, 40)) < 0.5
        assert spectrum.report is not None
        if spectrum.report.method == "sparse" and spectrum.report.cv_r2 < 0.9:
            truth = game.predict(fresh)
            error = np.mean((spectrum.predict(fresh) - truth) ** 2) / truth.var()
            assert error < 5e-3
            return
    raise AssertionError("no number of masks lies between the folds' need and the whole's")
