"""The contest sees only predictions of held-out masks."""

import numpy as np
import pytest

from headspex.engine.methods.baselines import lasso_heads
from headspex.engine.methods.cross_validation import (
    cross_validate,
    interval,
    split,
    split_narrow,
    stack,
)
from headspex.engine.observations import Observations, connected_blocks, observe
from headspex.engine.spectrum import Spectrum
from headspex.engine.terms import Term


def mean_only(data: Observations) -> Spectrum:
    return Spectrum.from_dict({(): data.mean}, n_players=data.n_players, keep=data.keep)


def test_no_block_is_split_between_folds() -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((200, 4)) < 0.5  # 16 different masks: many repeats
    groups = rng.integers(0, 90, size=200)
    blocks = connected_blocks(masks, groups)
    folds = split(blocks, seed=1)
    for labels in (groups, masks @ (1 << np.arange(4))):
        for label in np.unique(labels):
            assert len(np.unique(folds[labels == label])) == 1


def test_folds_are_of_even_size_and_none_is_empty() -> None:
    sizes = np.bincount(split(np.arange(103), seed=0))
    assert sizes.tolist() == [21, 21, 21, 20, 20]
    assert len(np.bincount(split(np.arange(3), seed=0))) == 3


def test_a_method_that_memorises_is_found_out() -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((200, 30)) < 0.5
    data = observe(masks, rng.normal(size=200))

    def memorise(train: Observations) -> Spectrum:
        chi = train.characters()
        slopes = np.linalg.lstsq(chi, train.values, rcond=None)[0]
        table: dict[Term, float] = {(i,): float(s) for i, s in enumerate(slopes)}
        return Spectrum.from_dict(table, n_players=30, keep=0.5)

    cv = cross_validate(data, split(np.arange(200), seed=0), {"mean": mean_only, "fit": memorise})
    scores = {name: cv.r2(held_out) for name, held_out in cv.held_out.items()}
    assert scores["fit"] < scores["mean"] <= 0


def test_stacking_weighs_a_biased_method_back() -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((400, 3)) < 0.5
    values = 2.0 * masks[:, 0] + rng.normal(size=400) * 0.1
    data = observe(masks, values)

    def halved(train: Observations) -> Spectrum:  # the true coefficient is -1
        return Spectrum.from_dict({(): train.mean, (0,): -0.5}, n_players=3)

    cv = cross_validate(data, split(np.arange(400), seed=0), {"halved": halved})
    weights, predictions = stack(cv)
    assert weights["halved"] == pytest.approx(2, rel=0.02)
    assert cv.r2(predictions) > 0.98 > cv.r2(cv.held_out["halved"])


def test_intervals_cover_the_true_r2_at_their_rate() -> None:
    truth = 1 - 0.25 / 1.25  # signal 1, noise 0.25
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        masks = rng.random((150, 40)) < 0.5
        data = observe(masks, 1.0 - 2 * masks[:, 0] + 0.5 * rng.normal(size=150))

        def exact(train: Observations) -> Spectrum:
            return Spectrum.from_dict({(0,): 1.0}, n_players=40)

        cv = cross_validate(data, split(np.arange(150), seed=0), {"exact": exact})
        low, high = interval(cv, cv.held_out["exact"], np.arange(150))
        covered += low <= truth <= high
    assert covered >= 180  # 190 expected, standard deviation 3


def test_masks_that_narrow_folds_never_hold_out_count_for_nothing() -> None:
    rng = np.random.default_rng(8)
    masks = rng.random((240, 5)) < 0.5
    data = observe(masks, masks @ np.arange(1.0, 6.0) + rng.normal(size=240))
    folds = split_narrow(np.arange(240), seed=0)
    assert sorted(np.unique(folds)) == [-1, 0, 1, 2, 3]
    cv = cross_validate(data, folds, {"one": mean_only, "two": lasso_heads})
    never = folds == -1
    for predictions in (*cv.held_out.values(), stack(cv)[1]):
        assert (predictions[never] == data.mean).all()
        assert (cv.squares(predictions)[0][never] == 0).all()
        assert 0 <= cv.r2(predictions) + 1e-2 < 1.01
