"""Interactions of two players from few evaluations, with intervals."""

from collections.abc import Callable
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
import pytest

import headspex
from headspex.engine.methods.odd_kernel import learn_pair_relevances
from headspex.engine.methods.part_kernel import pair_effects, part_fit
from headspex.engine.observations import observe
from headspex.engine.pair_indices import PAIR_INDICES, quadrature
from headspex.engine.pairwise import Correction, corrected, interaction_masks, interaction_values
from headspex.engine.search import all_masks
from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError

Game = Callable[[np.ndarray], np.ndarray]

# The chance that a derivative's set has k of the n - 2 other players, from the papers.
CHANCE: dict[str, Callable[[int, int], float]] = {
    "sii": lambda n, k: 1 / (n - 1),
    "stii": lambda n, k: 2 / n * comb(n - 2, k) / comb(n - 1, k),
    "fsii": lambda n, k: 6 * (k + 1) * (n - k - 1) / ((n - 1) * n * (n + 1)),
    "banzhaf": lambda n, k: comb(n - 2, k) / 2 ** (n - 2),
}


def by_definition(table: np.ndarray, n: int, index: str) -> np.ndarray:
    """The weighted mean of f(S + ij) - f(S + i) - f(S + j) + f(S) over all S without i and j."""
    numbers = np.arange(2**n)
    sizes = np.bitwise_count(numbers.astype(np.uint64)).astype(int)
    weight = np.array([CHANCE[index](n, k) / comb(n - 2, k) for k in range(n - 1)] + [0.0, 0.0])
    found = np.zeros((n, n))
    for i, j in combinations(range(n), 2):
        one, other = 1 << i, 1 << j
        rest = numbers[(numbers & (one | other)) == 0]
        gains = table[rest | one | other] - table[rest | one] - table[rest | other] + table[rest]
        found[i, j] = found[j, i] = weight[sizes[rest]] @ gains
    return found


def looked_up(table: np.ndarray) -> Game:
    powers = 1 << np.arange(len(table).bit_length() - 1)
    return lambda masks: np.asarray(table[masks @ powers])


def random_table(n: int, seed: int) -> np.ndarray:
    """All orders, rough."""
    rng = np.random.default_rng(seed)
    return np.asarray(rng.normal(size=2**n) + all_masks(n) @ (2 * rng.normal(size=n)))


def smooth_table(n: int, seed: int) -> np.ndarray:
    """A random network with one hidden layer."""
    rng = np.random.default_rng(seed)
    inner = rng.normal(size=(n, 12)) * rng.exponential(1, (n, 1)) / np.sqrt(n)
    return np.asarray(np.tanh(all_masks(n) @ inner) @ rng.normal(size=12))


@pytest.mark.parametrize("index", PAIR_INDICES)
@pytest.mark.parametrize("players", [2, 3, 6])
def test_all_masks_give_the_index_by_its_definition(index: str, players: int) -> None:
    table = random_table(players, 0)
    found = interaction_values(looked_up(table), players, index=index, budget=2**players)
    assert found.exact
    assert found.n_evaluations == 2**players
    assert np.allclose(found.values, by_definition(table, players, index), atol=1e-12)
    assert not found.standard_errors.any()


@pytest.mark.parametrize("index", PAIR_INDICES)
def test_all_opposites_give_it_without_their_table(index: str) -> None:
    table = random_table(7, 1)
    masks = interaction_masks(index, 7, 128)
    found = corrected(observe(masks, looked_up(table)(masks)), index, 0)
    assert np.allclose(found.unbiased, by_definition(table, 7, index), atol=1e-12)
    assert not found.variances.any()


@pytest.mark.parametrize("index", PAIR_INDICES)
def test_shapiq_computes_the_same_from_all_masks(index: str) -> None:
    shapiq = pytest.importorskip("shapiq", reason="shapiq is not installed")
    table = random_table(6, 2)
    found = interaction_values(looked_up(table), 6, index=index, budget=64).values
    computer = shapiq.ExactComputer(looked_up(table), 6)
    theirs = computer({"banzhaf": "BII"}.get(index, index.upper()), order=2)
    for pair in combinations(range(6), 2):
        assert theirs[pair] == pytest.approx(found[pair], abs=1e-9)


def runs(table: np.ndarray, index: str, budget: int, seeds: int) -> list[Correction]:
    found = []
    for seed in range(seeds):
        masks = interaction_masks(index, len(table).bit_length() - 1, budget, seed=seed)
        found.append(corrected(observe(masks, looked_up(table)(masks)), index, seed))
    return found


@pytest.mark.parametrize("index", ["stii", "banzhaf"])
def test_the_corrected_estimate_has_no_bias_and_a_known_variance(index: str) -> None:
    table = random_table(7, 3)
    truth = by_definition(table, 7, index)
    found = runs(table, index, 70, seeds=32)
    pairs = np.triu_indices(7, 1)
    values = np.array([run.unbiased[pairs] for run in found])
    error = values.std(axis=0, ddof=1) / np.sqrt(len(found))
    assert np.abs((values.mean(axis=0) - truth[pairs]) / error).max() < 3.5
    variance = np.mean([run.variances[pairs].sum() for run in found])
    assert 0.75 < variance / np.square(values - truth[pairs]).sum(axis=1).mean() < 1.35


def test_nineteen_of_twenty_intervals_hold_the_value() -> None:
    covered = []
    pairs = np.triu_indices(9, 1)
    for seed in range(28):
        index = list(PAIR_INDICES)[seed % 4]
        table = (smooth_table, random_table)[seed // 4 % 2](9, seed)
        truth = by_definition(table, 9, index)
        found = interaction_values(looked_up(table), 9, index=index, budget=80, seed=seed)
        assert ((found.low <= found.values) & (found.values <= found.high)).all()
        covered.append(((found.low <= truth) & (truth <= found.high))[pairs])
    assert 0.93 < np.mean(covered) < 0.99


def test_more_masks_are_nearer_to_the_truth() -> None:
    table = smooth_table(9, 40)
    truth = by_definition(table, 9, "sii")
    errors = [
        np.square(interaction_values(looked_up(table), 9, budget=budget).values - truth).sum()
        for budget in (40, 120, 360)
    ]
    assert errors[1] < errors[0] / 3
    assert errors[2] < errors[1] / 3


def test_a_sparse_game_is_found_exactly_and_its_intervals_say_so() -> None:
    terms = {(3,): 1.0, (0, 1): 0.5, (2, 7): -0.8, (4, 9, 20): 0.3, (11, 12): 0.2, (): 5.0}
    spectrum = Spectrum.from_dict(terms, n_players=24)
    found = interaction_values(spectrum.predict, 24, index="fsii", budget=400)
    truth = spectrum.interactions("fsii", order=2)
    for pair in combinations(range(24), 2):
        assert found.values[pair] == pytest.approx(truth.get(pair, 0.0), abs=1e-6)
    assert found.standard_errors.max() < 1e-6
    assert found.top(3) == ((2, 7), (0, 1), (11, 12))
    assert not found.exact


@pytest.mark.parametrize("index", PAIR_INDICES)
def test_the_index_of_the_kernels_fit_is_that_of_its_table(index: str) -> None:
    masks = interaction_masks(index, 6, 30)[1:15]
    signs = np.where(masks, 1.0, -1.0)
    table = smooth_table(6, 4)
    first, second = looked_up(table)(masks), looked_up(table)(~masks)
    odd, even = (first - second) / 2, (first + second) / 2
    relevances = learn_pair_relevances(signs, odd, even, fades=False)
    everything = np.where(all_masks(6), 1.0, -1.0)
    for parity in (1, -1):
        fit = part_fit(signs, (first + parity * second) / 2, relevances, parity)
        kernel = [
            np.prod(1 + relevances.players * everything[:, None] * other, axis=2)
            for other in (signs, -signs)
        ]
        posterior = relevances.scale / 2 * (kernel[0] + parity * kernel[1]) @ fit.dual
        found = pair_effects(signs, relevances, fit.dual, *quadrature(index, 6, parity))
        assert np.allclose(found, by_definition(posterior, 6, index), atol=1e-9)


def test_values_of_any_size_and_offset_are_estimated() -> None:
    game = looked_up(smooth_table(9, 5))
    plain = interaction_values(game, 9, budget=60)
    far = interaction_values(lambda m: 2.0**900 * game(m), 9, budget=60)
    assert np.array_equal(far.values, 2.0**900 * plain.values)
    assert np.array_equal(far.high, 2.0**900 * plain.high)


def test_games_of_one_value_or_a_single_spike_are_no_trouble() -> None:
    constant = interaction_values(lambda m: np.ones(len(m)), 12, budget=60)
    assert not constant.values.any()
    assert not constant.high.any()
    spike = interaction_values(lambda m: (m.sum(axis=1) == 1) & m[:, 3], 12, budget=60)
    assert np.isfinite(spike.values).all()
    assert np.isfinite(spike.high).all()


def test_equal_seeds_give_equal_bytes() -> None:
    game = looked_up(smooth_table(9, 6))
    one, two = (interaction_values(game, 9, budget=60, seed=4) for _ in range(2))
    assert one.values.tobytes() == two.values.tobytes()
    assert not np.array_equal(
        interaction_masks("sii", 30, 90, seed=4), interaction_masks("sii", 30, 90, seed=5)
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"index": "bii"}, "no index 'bii' with intervals; known: sii, stii, fsii, banzhaf"),
        ({"n_players": 1}, "n_players of interactions must be a whole number, 2 or more"),
        ({"budget": 29}, "the interactions of 12 players must be a whole number, 30 or more"),
        ({"n_players": 4, "budget": 15}, "16 or more, but is 15"),
        ({"seed": -1}, "seed must be a whole number"),
    ],
)
def test_what_cannot_be_estimated_is_refused(given: dict[str, Any], words: str) -> None:
    asked = {"n_players": 12, "budget": 60, **given}
    with pytest.raises(UsageError, match=words):
        headspex.interaction_values(lambda m: np.zeros(len(m)), **asked)
