"""Intervals of coefficients cover planted truths at their rate."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headspex.engine.methods.growth import grow
from headspex.engine.observations import Observations, observe
from headspex.engine.spectrum import Spectrum
from headspex.engine.terms import Term
from headspex.engine.uncertainty import LEVEL, Intervals, intervals, miss_rates
from headspex.errors import UsageError

N = 14
UP_TO_PAIRS: list[Term] = [t for size in range(3) for t in combinations(range(N), size)]


def character(masks: np.ndarray, term: Term, keep: float) -> np.ndarray:
    factors = (keep - masks) / np.sqrt(keep * (1 - keep))
    return np.asarray(np.prod(factors[:, list(term)], axis=1))


def planted(rng: np.random.Generator) -> dict[Term, float]:
    truth: dict[Term, float] = {(): 1.0}
    truth |= {(i,): rng.normal() for i in range(0, N, 2)}
    for size in (2, 2, 2, 3, 3, 4):
        truth[tuple(sorted(rng.choice(N, size, replace=False).tolist()))] = 0.6 * rng.normal()
    return truth


def scored(
    masks: np.ndarray, truth: dict[Term, float], keep: float, noise: np.ndarray
) -> np.ndarray:
    return np.asarray(sum(c * character(masks, t, keep) for t, c in truth.items()) + noise)


def covered(found: Intervals, terms: list[Term], truth: dict[Term, float]) -> np.ndarray:
    true = np.array([truth.get(term, 0.0) for term in terms])
    return np.asarray((found.low <= true) & (true <= found.high))


@pytest.mark.parametrize(
    "how",
    [
        "plain",
        pytest.param("biased", marks=pytest.mark.slow),
        pytest.param("weighted", marks=pytest.mark.slow),
        pytest.param("repeated", marks=pytest.mark.slow),
    ],
)
def test_intervals_cover_planted_coefficients_at_their_rate(how: str) -> None:
    keep, hits = 0.5 if how == "plain" else 0.7, []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        truth, masks, weights = planted(rng), rng.random((240, N)) < keep, None
        noise = rng.normal(size=240)
        if how == "weighted":
            weights = rng.integers(1, 17, size=240).astype(float)
            noise *= 2 / np.sqrt(weights)
        if how == "repeated":  # a mask's noise is shared by its scores, as of the same questions
            masks, noise = np.repeat(masks, 2, axis=0), np.repeat(noise, 2) + rng.normal(size=480)
        values = scored(masks, truth, keep, noise)
        found = intervals(
            masks, values, UP_TO_PAIRS, keep=keep, weights=weights, seed=seed, chosen=False
        )
        hits.append(covered(found, UP_TO_PAIRS, truth))
    assert 0.92 < np.mean(hits) < 0.98


def test_pairs_that_were_chosen_for_looking_large_are_covered_as_well() -> None:
    own: list[np.ndarray] = []
    adjusted: list[np.ndarray] = []
    pairs = [term for term in UP_TO_PAIRS if len(term) == 2]
    for seed in range(10):
        rng = np.random.default_rng(seed)
        truth, masks = planted(rng), rng.random((300, N)) < 0.7
        values = scored(masks, truth, 0.7, rng.normal(size=300))
        looks = [abs(np.mean(values * character(masks, pair, 0.7))) for pair in pairs]
        largest = [pairs[i] for i in np.argsort(looks)[-20:]]
        for chosen, hits in ((False, own), (True, adjusted)):
            found = intervals(masks, values, largest, keep=0.7, seed=seed, chosen=chosen, fit=grow)
            hits.append(covered(found, largest, truth))
    assert np.mean(own) < 0.95 < np.mean(adjusted)


def test_of_pairs_that_exclude_zero_hardly_any_do_so_by_chance() -> None:
    n, found, false = 30, 0, 0
    pairs = list(combinations(range(n), 2))
    for seed in range(20):
        rng = np.random.default_rng(seed)
        true = {pairs[i]: 0.4 * float(rng.choice([-1, 1])) for i in rng.choice(len(pairs), 8)}
        masks = rng.random((400, n)) < 0.5
        values = scored(masks, true, 0.5, rng.normal(size=400))
        looks = [abs(np.mean(values * character(masks, pair, 0.5))) for pair in pairs]
        shown = [pairs[i] for i in np.argsort(looks)[-150:]]

        def constant(data: Observations) -> Spectrum:
            return Spectrum.from_dict({(): data.mean}, n_players=n, keep=data.keep)

        told = intervals(masks, values, shown, keep=0.5, seed=seed, fit=constant)
        excludes = (told.low > 0) | (told.high < 0)
        found += int(excludes.sum())
        false += sum(pair not in true for pair, out in zip(shown, excludes, strict=True) if out)
    assert found > 60  # of 160; so that the share says something
    assert false / found < 0.08


@given(st.lists(st.floats(0, 0.2), min_size=1, max_size=12))
def test_intervals_exclude_zero_where_benjamini_and_hochberg_reject(p_values: list[float]) -> None:
    terms = list(combinations(range(7), 2))[: len(p_values)]
    rates = miss_rates(np.array(p_values), terms, 7)
    ranked, rejected = sorted(p_values), 0
    for rank in range(1, len(ranked) + 1):
        if ranked[rank - 1] <= (1 - LEVEL) * rank / 21:
            rejected = rank
    bound = ranked[rejected - 1] if rejected else -1.0
    assert ((np.array(p_values) <= rates) == (np.array(p_values) <= bound)).all()


def test_a_fit_that_knows_nothing_widens_the_intervals_and_moves_no_truth_out() -> None:
    rng = np.random.default_rng(3)
    truth, masks = planted(rng), rng.random((800, N)) < 0.5
    values = scored(masks, truth, 0.5, 0.1 * rng.normal(size=800))

    def constant(data: Observations) -> Spectrum:
        return Spectrum.from_dict({(): data.mean}, n_players=N, keep=data.keep)

    blind, seeing = (
        intervals(masks, values, UP_TO_PAIRS, keep=0.5, fit=fit) for fit in (constant, grow)
    )
    assert np.mean(blind.high - blind.low) > 3 * np.mean(seeing.high - seeing.low)
    for found in (blind, seeing):
        assert covered(found, UP_TO_PAIRS, truth).mean() > 0.9
    assert blind.selected.tolist() == [1.0] + [0.0] * (len(UP_TO_PAIRS) - 1)
    strong = [abs(truth.get(term, 0.0)) > 0.3 for term in UP_TO_PAIRS]
    assert (seeing.selected[strong] == 1).all()


def test_without_folds_that_learn_it_is_the_mean_of_value_times_character() -> None:
    rng = np.random.default_rng(4)
    masks, values = rng.random((50, 12)) < 0.5, rng.normal(size=50)
    weights = rng.random(50) + 0.5

    def zero(data: Observations) -> Spectrum:
        return Spectrum.from_dict({}, n_players=12, keep=data.keep)

    found = intervals(masks, values, [(3, 1)], keep=0.5, weights=weights, fit=zero)
    by_hand = np.average(values * (1 - 2 * masks[:, 1]) * (1 - 2 * masks[:, 3]), weights=weights)
    assert found.coefficient[0] == pytest.approx(by_hand, abs=1e-7)
    assert found.low[0] < by_hand < found.high[0]


def test_the_same_seed_gives_the_same_bits() -> None:
    rng = np.random.default_rng(5)
    masks, values = rng.random((100, 12)) < 0.5, rng.normal(size=100)
    first, again = (intervals(masks, values, [(0,), (1, 2)], keep=0.5, seed=2) for _ in range(2))
    assert first.low.tobytes() == again.low.tobytes()
    assert first.high.tobytes() == again.high.tobytes()


def test_values_that_do_not_vary_leave_nothing_open() -> None:
    masks = np.random.default_rng(6).random((40, 8)) < 0.5
    found = intervals(masks, np.full(40, 0.25), [(), (2,)], keep=0.5)
    for numbers in (found.coefficient, found.low, found.high):
        assert numbers == pytest.approx([0.25, 0.0], abs=1e-12)


def test_no_terms_give_no_intervals() -> None:
    masks = np.random.default_rng(6).random((40, 8)) < 0.5
    assert intervals(masks, masks.sum(axis=1), [], keep=0.5).low.shape == (0,)


@pytest.mark.parametrize("term", [(0, 8), (-1,), (2, 2), (0.5,), 3])
def test_terms_that_no_mask_has_are_refused(term: Term) -> None:
    masks = np.random.default_rng(7).random((40, 8)) < 0.5
    with pytest.raises(UsageError, match="term"):
        intervals(masks, masks.sum(axis=1), [term], keep=0.5)


def test_too_few_masks_and_wrong_shapes_are_refused() -> None:
    masks = np.repeat(np.eye(9, dtype=bool), 5, axis=0)
    with pytest.raises(UsageError, match="at least 10 different masks"):
        intervals(masks, np.arange(45.0), [(0,)], keep=0.5)
    many = np.random.default_rng(8).random((40, 12)) < 0.5
    with pytest.raises(UsageError, match="at least 10"):
        intervals(many, np.arange(40.0), [(0,)], keep=0.5, groups=np.arange(40) // 8)
    with pytest.raises(UsageError, match="values has shape"):
        intervals(many, np.arange(39.0), [(0,)], keep=0.5)
    with pytest.raises(UsageError, match="seed"):
        intervals(many, np.arange(40.0), [(0,)], keep=0.5, seed=-1)


def test_weights_that_rest_on_few_masks_widen_the_intervals() -> None:
    rng = np.random.default_rng(9)
    data = observe(rng.random((200, 12)) < 0.5, rng.normal(size=200))
    heavy = np.where(np.arange(200) < 5, 1e3, 1.0)
    plain, few = (
        intervals(data.masks, data.values, [(0,)], keep=0.5, weights=w) for w in (None, heavy)
    )
    assert few.high[0] - few.low[0] > 3 * (plain.high[0] - plain.low[0])
