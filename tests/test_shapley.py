"""Shapley values from few evaluations."""

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headspex.engine.control import Control, blended, halves
from headspex.engine.indices import shapley_of
from headspex.engine.methods.kernel import learn_relevances, product_kernel
from headspex.engine.methods.odd_kernel import learn_pair_relevances, odd_fit, without_opposite
from headspex.engine.observations import observe
from headspex.engine.pair_design import few_masks, n_sets, shapley_masks
from headspex.engine.search import all_masks, exact_spectrum
from headspex.engine.shapley import Correction, corrected, shapley_values
from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError


def by_permutations(value: np.ndarray, n: int) -> np.ndarray:
    """The mean gain over all n! orders."""
    from itertools import permutations

    gains = np.zeros(n)
    orders = list(permutations(range(n)))
    for order in orders:
        seen = 0
        for player in order:
            gains[player] += value[seen | 1 << player] - value[seen]
            seen |= 1 << player
    return gains / len(orders)


def test_all_masks_give_the_mean_over_all_permutations() -> None:
    table = np.random.default_rng(0).normal(size=2**5)
    found = shapley_values(lambda m: table[m @ (1 << np.arange(5))], 5, budget=32)
    assert found.exact
    assert np.allclose(found.values, by_permutations(table, 5))


@settings(max_examples=40)
@given(n=st.integers(2, 70), budget=st.integers(3, 300), seed=st.integers(0, 99))
def test_masks_are_different_within_budget_and_hold_both_ends(
    n: int, budget: int, seed: int
) -> None:
    masks = shapley_masks(n, budget, seed=seed)
    assert len(masks) <= budget
    assert len(np.unique(masks, axis=0)) == len(masks)
    assert masks.all(axis=1).any()
    assert (~masks).all(axis=1).any()


@settings(max_examples=20)
@given(n=st.integers(3, 40), budget=st.integers(3, 22), seed=st.integers(0, 99))
def test_few_masks_take_the_whole_budget_and_pairs_come_first(
    n: int, budget: int, seed: int
) -> None:
    budget = min(budget, 2**n - 1)
    masks = few_masks(n, budget, seed=seed)
    assert len(np.unique(masks, axis=0)) == len(masks) == budget
    half = budget // 2
    assert masks[0].all()
    assert np.array_equal(masks[half : 2 * half], ~masks[:half])


@settings(max_examples=20)
@given(n=st.integers(5, 40), budget=st.integers(4, 100), seed=st.integers(0, 99))
def test_each_mask_comes_with_its_opposite(n: int, budget: int, seed: int) -> None:
    masks = shapley_masks(n, budget, seed=seed)
    rows = {row.tobytes() for row in masks}
    assert all((~row).tobytes() in rows for row in masks)


def test_players_are_on_together_as_often_as_apart_in_the_first_pairs() -> None:
    # The pair of both ends comes first, then those of a whole Hadamard matrix.
    signs = np.where(shapley_masks(16, 34)[1:17], 1.0, -1.0)
    assert np.array_equal(signs.T @ signs, 16 * np.eye(16))


def test_every_size_gets_its_share_of_pairs_until_it_has_no_more_sets() -> None:
    masks = shapley_masks(40, 2000)
    first = masks[41:1000]  # behind all players and the orthogonal pairs
    sizes = first.sum(axis=1)
    assert sizes.max() == 20
    counts = np.bincount(sizes)[1:]
    assert counts[0] == n_sets(40, 1) == 40  # all of them
    expected = 1 / np.sqrt(np.arange(2, 21) * np.arange(38, 19, -1))
    expected[-1] /= 2  # a half and its opposite are one pair
    assert np.abs(counts[1:] - (len(first) - 40) * expected / expected.sum()).max() <= 1


@pytest.mark.parametrize("players", [4, 5, 6])
def test_a_budget_of_all_masks_gives_each_once(players: int) -> None:
    masks = shapley_masks(players, 2**players)
    assert len(np.unique(masks, axis=0)) == len(masks) == 2**players


def test_given_its_size_each_set_is_as_likely_as_another() -> None:
    masks = np.concatenate([shapley_masks(6, 24, seed=seed) for seed in range(600)])
    pairs, counts = np.unique(masks[masks.sum(axis=1) == 2], axis=0, return_counts=True)
    assert len(pairs) == 15
    # Poisson counts would have this standard deviation.
    assert np.abs(counts / counts.mean() - 1).max() < 4 / np.sqrt(counts.mean())


def test_few_masks_are_rows_of_a_hadamard_matrix() -> None:
    # Any two of its rows agree in half of the columns.
    masks = shapley_masks(64, 40)
    signs = np.where(masks[1:20], 1.0, -1.0)
    assert np.array_equal(signs @ signs.T, 64 * np.eye(19))


@settings(max_examples=10)
@given(seed=st.integers(0, 999))
def test_an_additive_game_is_found_from_little_more_than_two_masks_a_player(seed: int) -> None:
    slopes = np.random.default_rng(seed).normal(size=20)
    found = shapley_values(lambda m: m @ slopes, 20, budget=66, seed=seed)
    assert np.abs(found.values - slopes).max() < 0.02 * np.abs(slopes).max()


def test_values_add_up_to_what_all_players_add() -> None:
    rng = np.random.default_rng(1)
    inner, outer = rng.normal(size=(18, 6)), rng.normal(size=6)

    def value(masks: np.ndarray) -> np.ndarray:
        return np.asarray(np.tanh(masks @ inner) @ outer)

    found = shapley_values(value, 18, budget=60)
    ends = value(np.array([[True] * 18, [False] * 18]))
    assert np.isclose(found.values.sum(), ends[0] - ends[1])
    assert found.n_evaluations == 60


def test_interactions_of_pairs_do_not_blur_the_values() -> None:
    # Every pair interacts, and half of each pair's worth is each player's.
    n = 24
    rng = np.random.default_rng(2)
    pairs = np.triu(rng.normal(size=(n, n)), 1)
    truth = (pairs.sum(axis=0) + pairs.sum(axis=1)) / 2
    found = shapley_values(
        lambda m: np.einsum("mi,ij,mj->m", m * 1.0, pairs, m * 1.0), n, budget=110
    )
    assert np.square(found.values - truth).sum() < 0.02 * np.square(truth).sum()


def rough(masks: np.ndarray) -> np.ndarray:
    """Eight players; a game of all orders, which no fit of few terms describes."""
    table = np.random.default_rng(5).normal(size=2**8)
    return np.asarray(table[masks @ (1 << np.arange(8))] + masks @ np.arange(8))


def of_seeds(budget: int, seeds: int) -> list[Correction]:
    found = []
    for seed in range(seeds):
        masks = shapley_masks(8, budget, seed=seed)
        found.append(corrected(observe(masks, rough(masks)), seed))
    return found


def test_the_corrected_estimate_has_no_bias_and_a_known_variance() -> None:
    truth = shapley_values(rough, 8, budget=256)
    assert truth.exact
    runs = of_seeds(100, 64)
    found = np.array([run.unbiased for run in runs])
    error = found.std(axis=0, ddof=1) / np.sqrt(len(runs))
    assert np.abs((found.mean(axis=0) - truth.values) / error).max() < 3.5
    variance = np.mean([run.variances.sum() for run in runs])
    assert 0.75 < variance / np.square(found - truth.values).sum(axis=1).mean() < 1.35


def test_more_masks_take_the_bias_of_the_fit_away() -> None:
    truth = shapley_values(rough, 8, budget=256).values
    few, many = (
        np.mean([np.square(run.values - truth).sum() for run in of_seeds(budget, 4)])
        for budget in (120, 240)
    )
    assert many < few / 3


def test_all_pairs_give_exact_values_without_their_table() -> None:
    masks = shapley_masks(8, 256)
    found = corrected(observe(masks, rough(masks)), 0)
    truth = shapley_values(rough, 8, budget=256).values
    assert np.allclose(found.values, truth, atol=1e-12)
    assert not found.variances.any()


def test_nineteen_of_twenty_intervals_hold_the_value() -> None:
    rng = np.random.default_rng(6)
    covered = []
    for seed in range(60):
        inner, outer = rng.normal(size=(10, 8)), rng.normal(size=8)

        def value(masks: np.ndarray, inner: Any = inner, outer: Any = outer) -> np.ndarray:
            return np.asarray(np.tanh(masks @ inner) @ outer)

        truth = shapley_values(value, 10, budget=1024).values
        found = shapley_values(value, 10, budget=90, seed=seed)
        assert np.allclose(found.high - found.values, found.values - found.low)
        covered.append((found.low <= truth) & (truth <= found.high))
    assert 0.93 < np.mean(covered) < 0.98


def test_the_last_mask_of_an_odd_budget_helps() -> None:
    def errors(budget: int) -> list[float]:
        slopes = [np.random.default_rng(seed).normal(size=12) for seed in range(20)]
        found = [
            shapley_values(lambda m, one=one: m @ one, 12, budget=budget, seed=seed)
            for seed, one in enumerate(slopes)
        ]
        assert all(one.n_evaluations == budget for one in found)
        return [float(np.square(f.values - t).sum()) for f, t in zip(found, slopes, strict=True)]

    assert np.mean(errors(13)) < np.mean(errors(12))


def test_few_masks_of_players_alike_tell_as_much_as_a_linear_regression() -> None:
    # Eleven pairs leave nine of twenty directions unknown, .45 of the square. A fit that looks for
    # relevant players finds some by chance, and errs by more.
    errors = []
    for seed in range(20):
        slopes = np.random.default_rng(seed).choice([-1.0, 1.0], 20)
        found = shapley_values(lambda m, slopes=slopes: m @ slopes, 20, budget=22, seed=seed)
        errors.append(np.square(found.values - slopes).mean())
    assert 0.4 < np.mean(errors) < 0.56


def test_too_few_masks_to_tell_have_infinite_intervals() -> None:
    found = shapley_values(lambda m: m @ np.arange(12.0), 12, budget=12)
    assert np.isposinf(found.standard_errors).all()
    assert np.isneginf(found.low).all()
    assert np.isposinf(found.high).all()


def test_the_spectrum_is_of_the_same_function() -> None:
    table = np.random.default_rng(3).normal(size=20)
    found = shapley_values(lambda m: m @ table, 20, budget=100)
    spectrum = found.spectrum.interactions("shapley", order=1)
    assert np.allclose([spectrum[i,] for i in range(20)], table, atol=0.05)


def signed(n: int, pairs: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signs of pairs, all players first, and the odd and even part of a game."""
    masks = shapley_masks(n, 2 * pairs)
    values = np.sin(masks @ np.random.default_rng(1).normal(size=n)) + masks[:, 0]
    first, second = values[:pairs], values[pairs:]
    return np.where(masks[:pairs], 1.0, -1.0), (first - second) / 2, (first + second) / 2


def near(one: np.ndarray, other: np.ndarray, n: int) -> np.ndarray:
    """How close two sizes are, by their log odds."""
    apart = np.log((one[:, None] + 1) / (n + 1 - one[:, None]) * (n + 1 - other) / (other + 1))
    return np.asarray(np.exp(-np.square(apart) / 2))


@pytest.mark.parametrize("fading", [0.0, 0.6])
def test_the_shapley_values_of_the_fit_are_those_of_its_table(fading: float) -> None:
    signs, odd, even = signed(6, 14)
    relevances = replace(learn_pair_relevances(signs, odd, even), fading=fading)
    found = odd_fit(signs, odd, relevances)
    # The posterior mean at every mask, from the kernel of all pairs and both of their masks.
    everything = np.concatenate([signs > 0, signs < 0, all_masks(6)])
    kernel = relevances.scale * product_kernel(
        everything, relevances.players, np.full(6, 0.5), np.float64
    )
    sizes = everything.sum(axis=1)
    kernel *= 1 - fading + fading * near(sizes, sizes, 6)
    m = 2 * len(signs)
    noise = np.full(m, relevances.noise)
    noise[[0, len(signs)]] *= 1e-6
    values = np.concatenate([odd, -odd])  # without an even part, which has no Shapley values
    table = kernel[m:, :m] @ np.linalg.solve(kernel[:m, :m] + np.diag(noise), values)
    assert np.allclose(found.shapley, by_permutations(table, 6), atol=1e-6)
    assert np.allclose(found.residual, odd - table[(signs > 0) @ (1 << np.arange(6))], atol=1e-6)


def test_a_mask_without_its_opposite_counts_as_in_a_regression_on_all_masks() -> None:
    signs, odd, even = signed(6, 9)
    relevances = replace(learn_pair_relevances(signs, odd, even), fading=0.4)
    even, value = even + 0.7 * np.sin(np.arange(9)), 1.3
    pairs = slice(0, 8)
    last, noise = without_opposite(signs, even[pairs], value, relevances)
    found = odd_fit(signs, np.append(odd[pairs], last), relevances, last_noise=noise)

    everything = np.concatenate([signs[pairs] > 0, signs[pairs] < 0, signs[8:] > 0, all_masks(6)])
    kernel = relevances.scale * product_kernel(
        everything, relevances.players, np.full(6, 0.5), np.float64
    )
    sizes = everything.sum(axis=1)
    kernel *= 0.6 + 0.4 * near(sizes, sizes, 6)
    errors = relevances.noise * np.eye(17)
    # All players less none: without noise but for a millionth. Their sum has that of other pairs.
    errors[np.ix_([0, 8], [0, 8])] += (
        relevances.noise / 2 * (1 - 1e-6) * np.array([[-1, 1], [1, -1]])
    )
    values = np.concatenate([even[pairs] + odd[pairs], even[pairs] - odd[pairs], [value]])
    centred = values - even[pairs].mean()
    table = kernel[17:, :17] @ np.linalg.solve(kernel[:17, :17] + errors, centred)
    assert np.allclose(found.shapley, by_permutations(table, 6), atol=1e-6)


def test_leaving_out_a_pair_in_closed_form_is_the_fit_to_the_others() -> None:
    signs, odd, even = signed(7, 16)
    relevances = learn_pair_relevances(signs, odd, even)
    whole = odd_fit(signs, odd, relevances)
    rest = np.delete(np.arange(16), 5)
    without = odd_fit(signs[rest], odd[rest], relevances)
    assert np.allclose(whole.shapley - whole.influence[:, 5] * whole.left[5], without.shapley)
    assert np.allclose(
        (whole.residual - whole.leverage[:, 5] * whole.left[5])[rest], without.residual
    )


def test_pairs_have_the_relevances_of_their_masks() -> None:
    masks = shapley_masks(8, 80)
    values = masks[:, 0] * 2.0 + masks[:, 1] * masks[:, 2] + np.sin(masks @ np.arange(8.0))
    first, second = values[:40], values[40:]
    pairs = learn_pair_relevances(
        np.where(masks[:40], 1.0, -1.0), (first - second) / 2, (first + second) / 2
    )
    alone = learn_relevances(observe(masks, values), prior_precision=0.3)
    assert pairs.fading < 0.01  # which the other kernel has not
    assert np.allclose(pairs.players, alone.players, atol=0.02)
    assert pairs.scale == pytest.approx(alone.scale, rel=0.1)


def test_effects_that_fade_with_the_number_of_players_are_seen_as_such() -> None:
    # The first few players are worth most, as where a model is trained on them.
    masks = shapley_masks(16, 160)
    slopes = np.random.default_rng(4).normal(size=16)
    values = masks @ slopes / (1 + masks.sum(axis=1))
    odd, even = halves(values)
    signs = np.where(masks[:80], 1.0, -1.0)
    relevances = learn_pair_relevances(signs, odd, even)
    assert relevances.fading > 0.3
    with_sizes, without = (
        np.square(odd_fit(signs, odd, replace(relevances, fading=fading)).left).sum()
        for fading in (relevances.fading, 0.0)
    )
    assert with_sizes < without / 4


def test_a_sparse_function_is_found_exactly() -> None:
    # Eight triples with all their subsets.
    rng = np.random.default_rng(8)
    table = {(): 0.5}
    for _ in range(8):
        triple = sorted(rng.choice(24, 3, replace=False).tolist())
        for size in (1, 2, 3):
            table |= {term: float(rng.normal()) for term in combinations(triple, size)}
    spectrum = Spectrum.from_dict(table, n_players=24)
    found = shapley_values(spectrum.predict, 24, budget=400)
    assert np.allclose(found.values, shapley_of(spectrum), atol=1e-5)
    assert found.standard_errors.max() < 1e-4


def test_what_fit_and_correction_owe_to_the_same_pairs_makes_values_better() -> None:
    # A fit cannot follow the corner of the ramp. Both estimates err where the same pairs are odd;
    # by James & Stein's share, which takes them for independent, too little of the correction is
    # used.
    slopes = np.random.default_rng(6).normal(size=14)

    def ramp(masks: np.ndarray) -> np.ndarray:
        return np.asarray(np.maximum(0.0, (masks - 0.5) @ slopes - 0.3))

    truth = shapley_of(exact_spectrum(ramp(all_masks(14))))
    errors = []
    for seed in range(12):
        masks = shapley_masks(14, 800, seed=seed)
        found = corrected(observe(masks, ramp(masks)), seed)
        apart = found.unbiased - found.fit
        share = max(0.0, 1 - found.variances.sum() / np.square(apart).sum())
        estimates = (found.values, found.fit + share * apart, found.fit, found.unbiased)
        errors.append([np.square(one - truth).sum() for one in estimates])
    values, independent, fit, unbiased = np.mean(errors, axis=0)
    assert unbiased < fit / 1.5
    assert values < 0.93 * independent


def test_the_blend_of_two_controls_leaves_less_than_either() -> None:
    rng = np.random.default_rng(9)
    sizes = (3, 3, 30, 30, (3, 30))
    one, other = (Control(*(rng.normal(size=size) for size in sizes)) for _ in range(2))
    importance = rng.random(30)
    both = blended(one, other, importance)
    least = min(importance @ control.left**2 for control in (one, other))
    assert importance @ both.left**2 < least
    share = (both.left - other.left)[0] / (one.left - other.left)[0]
    for name in ("shapley", "without", "seen", "moved"):
        mean = share * getattr(one, name) + (1 - share) * getattr(other, name)
        assert np.allclose(getattr(both, name), mean)


def test_a_constant_function_has_no_shapley_values() -> None:
    found = shapley_values(lambda m: np.ones(len(m)), 20, budget=50)
    assert not found.values.any()


def test_a_function_of_one_mask_is_no_trouble() -> None:
    # A fold without it has nothing to learn from.
    one = shapley_masks(8, 90, seed=0)[20]
    found = shapley_values(lambda m: (m == one).all(axis=1) * 1.0, 8, budget=90)
    assert np.abs(found.values).max() < 0.1
    assert np.isclose(found.values.sum(), 0)


def test_equal_seeds_give_equal_bytes_and_others_other_masks() -> None:
    table = np.random.default_rng(3).normal(size=30)
    one, two = (shapley_values(lambda m: m @ table, 30, budget=90, seed=4) for _ in range(2))
    assert one.values.tobytes() == two.values.tobytes()
    assert not np.array_equal(shapley_masks(30, 90, seed=4), shapley_masks(30, 90, seed=5))


def test_the_largest_values_come_first() -> None:
    table = np.array([0.5, -3.0, 0.0, 2.0])
    found = shapley_values(lambda m: m @ table, 4, budget=16)
    assert found.top(3) == (1, 3, 0)

    assert found.top(0) == ()
    with pytest.raises(UsageError, match="count must be a whole number, 0 or more, but is -1"):
        found.top(-1)


@pytest.mark.parametrize(
    ("players", "budget", "seed", "words"),
    [
        (0, 10, 0, "n_players must be a whole number, 1 or more, but is 0"),
        (5, 2, 0, "budget of Shapley values must be a whole number, 3 or more, but is 2"),
        (10, 90.5, 0, r"but is 90\.5"),
        (10, 90, -1, "seed must be a whole number, 0 to .* but is -1"),
    ],
)
def test_what_is_no_count_or_seed_is_refused(
    players: int, budget: Any, seed: int, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        shapley_values(lambda m: np.zeros(len(m)), players, budget=budget, seed=seed)


def test_a_value_function_of_another_shape_is_refused() -> None:
    with pytest.raises(UsageError, match="one number per mask"):
        shapley_values(lambda m: np.zeros((len(m), 2)), 20, budget=40)


def test_the_tree_formula_of_the_benchmark_agrees_with_enumeration() -> None:
    import importlib.util
    import sys
    from pathlib import Path

    from sklearn.ensemble import RandomForestRegressor

    folder = Path(__file__).parent / "benchmarks"
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location("games_", folder / "shapley_games.py")
        assert spec is not None
        assert spec.loader is not None
        games = importlib.util.module_from_spec(spec)
        sys.modules["games_"] = games  # its dataclass looks itself up
        spec.loader.exec_module(games)
    finally:
        sys.path.remove(str(folder))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 8))
    model = RandomForestRegressor(5, max_depth=5, random_state=0)
    model.fit(x, x[:, 0] * x[:, 1] + x[:, 2])
    game = games.tree_game(model, list(model.estimators_), 1 / 5, x[0], x[1], model.predict)
    values = game.function(all_masks(8))
    assert np.allclose(game.shapley, games.by_enumeration(values, 8), atol=1e-12)
    assert np.allclose(by_permutations(values[:16], 4), games.by_enumeration(values[:16], 4))


def test_more_sets_of_a_size_than_a_float_counts_are_no_hindrance() -> None:
    masks = shapley_masks(1_100, 2_600)
    assert len(np.unique(masks, axis=0)) == 2_600
    np.testing.assert_array_equal(masks[:1_300], ~masks[1_300:])
