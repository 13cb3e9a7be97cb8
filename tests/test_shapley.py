"""Shapley values from few evaluations."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from permutations import by_permutations

from headspex.engine.control import Control, blended
from headspex.engine.fit import ValueFunction
from headspex.engine.indices import shapley_of
from headspex.engine.observations import observe
from headspex.engine.pair_design import shapley_masks
from headspex.engine.search import all_masks, exact_spectrum
from headspex.engine.shapley import Correction, corrected, shapley_values
from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError


def test_all_masks_give_the_mean_over_all_permutations() -> None:
    table = np.random.default_rng(0).normal(size=2**5)
    found = shapley_values(lambda m: table[m @ (1 << np.arange(5))], 5, budget=32)
    assert found.exact
    assert np.allclose(found.values, by_permutations(table, 5))


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


def linear(slopes: np.ndarray) -> ValueFunction:
    """A game in which every player adds its slope."""
    return lambda masks: masks @ slopes


def test_the_last_mask_of_an_odd_budget_helps() -> None:
    def errors(budget: int) -> list[float]:
        slopes = [np.random.default_rng(seed).normal(size=12) for seed in range(20)]
        found = [
            shapley_values(linear(one), 12, budget=budget, seed=seed)
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
        found = shapley_values(linear(slopes), 20, budget=22, seed=seed)
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
