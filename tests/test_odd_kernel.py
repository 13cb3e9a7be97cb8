"""Kernel ridge regression on pairs of opposite masks, against tables of all masks."""

from dataclasses import replace

import numpy as np
import pytest
from permutations import by_permutations

from headspex.engine.control import halves
from headspex.engine.methods.kernel import learn_relevances, product_kernel
from headspex.engine.methods.odd_kernel import learn_pair_relevances, odd_fit, without_opposite
from headspex.engine.observations import observe
from headspex.engine.pair_design import shapley_masks
from headspex.engine.search import all_masks


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
