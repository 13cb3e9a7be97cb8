"""Every index against its definition by discrete derivatives or least squares on all coalitions."""

from collections.abc import Callable, Sequence
from itertools import combinations
from math import comb, factorial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headspex.engine.effects import effect_sizes
from headspex.engine.indices import INDICES, interactions, moebius_transform
from headspex.engine.spectrum import Spectrum
from headspex.engine.terms import Term
from headspex.errors import UsageError

PLAYERS = st.integers(2, 6)
seeds = st.integers(0, 2**32 - 1)


def groups(n: int, order: int) -> list[Term]:
    return [t for k in range(1, order + 1) for t in combinations(range(n), k)]


def all_masks(n: int) -> npt.NDArray[Any]:
    return (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(bool)


def random_spectrum(seed: int, n: int) -> Spectrum:
    rng = np.random.default_rng(seed)
    subsets = [(), *groups(n, n)]
    chosen = rng.choice(len(subsets), rng.integers(1, len(subsets) + 1), replace=False)
    return Spectrum.from_dict(
        {subsets[i]: rng.normal() for i in chosen}, n_players=n, keep=rng.uniform(0.2, 0.8, n)
    )


def derivative(values: npt.NDArray[Any], group: Term, coalition: Sequence[int]) -> float:
    """Sum over L within the group of (-1)^(|group| - |L|) f(coalition + L)."""
    base = sum(1 << i for i in coalition)
    return sum(
        (-1.0 if (len(group) - k) % 2 else 1.0) * float(values[base + sum(1 << i for i in inner)])
        for k in range(len(group) + 1)
        for inner in combinations(group, k)
    )


def averaged_derivative(
    values: npt.NDArray[Any], group: Term, n: int, weight: Callable[[int], float]
) -> float:
    rest = [i for i in range(n) if i not in group]
    return sum(
        weight(k) * derivative(values, group, coalition)
        for k in range(len(rest) + 1)
        for coalition in combinations(rest, k)
    )


def sii_by_definition(values: npt.NDArray[Any], group: Term, n: int) -> float:
    t = len(group)
    return averaged_derivative(
        values, group, n,
        lambda k: factorial(n - k - t) * factorial(k) / factorial(n - t + 1),
    )  # fmt: skip


def stii_by_definition(values: npt.NDArray[Any], group: Term, n: int, order: int) -> float:
    if len(group) < order:
        return derivative(values, group, ())
    return averaged_derivative(values, group, n, lambda k: order / n / comb(n - 1, k))


def least_squares_by_definition(
    values: npt.NDArray[Any], n: int, order: int, weights: npt.NDArray[Any]
) -> dict[Term, float]:
    """Best sum of group effects; coalitions of infinite weight are met exactly (by KKT)."""
    masks = all_masks(n)
    terms = [(), *groups(n, order)]
    design = np.stack([masks[:, list(t)].all(axis=1) for t in terms], axis=1).astype(float)
    exact = np.isinf(weights)
    normal = design[~exact].T @ (weights[~exact, None] * design[~exact])
    target = design[~exact].T @ (weights[~exact] * values[~exact])
    bound = design[exact]
    system = np.block([[normal, bound.T], [bound, np.zeros((len(bound), len(bound)))]])
    solution = np.linalg.lstsq(system, np.concatenate([target, values[exact]]), rcond=None)[0]
    return dict(zip(terms, solution, strict=False))


def assert_equal(
    found: dict[Term, float], expected: Callable[[Term], float], n: int, order: int
) -> None:
    assert all(1 <= len(t) <= order for t in found)
    for group in groups(n, order):
        assert found.get(group, 0.0) == pytest.approx(expected(group), abs=1e-7)


@given(seeds, PLAYERS, st.integers(1, 4))
@settings(max_examples=30)
def test_moebius_equals_derivatives_at_the_empty_coalition(seed: int, n: int, order: int) -> None:
    spectrum = random_spectrum(seed, n)
    values = spectrum.predict(all_masks(n))
    found = interactions(spectrum, "moebius", order=order)
    assert_equal(found, lambda t: derivative(values, t, ()), n, order)


@given(seeds, PLAYERS, st.integers(1, 4))
@settings(max_examples=30)
def test_banzhaf_equals_the_mean_derivative_over_all_coalitions(
    seed: int, n: int, order: int
) -> None:
    spectrum = random_spectrum(seed, n)
    values = spectrum.predict(all_masks(n))
    found = interactions(spectrum, "banzhaf", order=order, keep=0.5)
    assert_equal(
        found,
        lambda t: averaged_derivative(values, t, n, lambda k: 0.5 ** (n - len(t))),
        n,
        order,
    )


@given(seeds, PLAYERS, st.integers(1, 4))
@settings(max_examples=30)
def test_sii_and_shapley_equal_their_weighted_mean_derivatives(
    seed: int, n: int, order: int
) -> None:
    spectrum = random_spectrum(seed, n)
    values = spectrum.predict(all_masks(n))
    found = interactions(spectrum, "sii", order=order)
    assert_equal(found, lambda t: sii_by_definition(values, t, n), n, order)
    shapley = interactions(spectrum, "shapley", order=order)
    assert_equal(shapley, lambda t: sii_by_definition(values, t, n), n, 1)
    assert sum(shapley.values()) == pytest.approx(values[-1] - values[0], abs=1e-7)


@given(seeds, PLAYERS, st.integers(1, 4))
@settings(max_examples=30)
def test_stii_equals_its_definition_and_adds_up_to_the_whole_value(
    seed: int, n: int, order: int
) -> None:
    order = min(order, n)
    spectrum = random_spectrum(seed, n)
    values = spectrum.predict(all_masks(n))
    found = interactions(spectrum, "stii", order=order)
    assert_equal(found, lambda t: stii_by_definition(values, t, n, order), n, order)
    assert sum(found.values()) == pytest.approx(values[-1] - values[0], abs=1e-6)


@given(seeds, PLAYERS, st.integers(1, 4))
@settings(max_examples=30)
def test_fsii_equals_least_squares_under_the_shapley_kernel(seed: int, n: int, order: int) -> None:
    order = min(order, n)
    spectrum = random_spectrum(seed, n)
    masks = all_masks(n)
    sizes = masks.sum(axis=1)
    weights = np.array(
        [np.inf if s in (0, n) else (n - 1) / (comb(n, s) * s * (n - s)) for s in sizes]
    )
    expected = least_squares_by_definition(spectrum.predict(masks), n, order, weights)
    assert_equal(interactions(spectrum, "fsii", order=order), expected.__getitem__, n, order)


@given(seeds, PLAYERS, st.integers(1, 4), st.floats(0.2, 0.8))
@settings(max_examples=30)
def test_fbii_equals_least_squares_under_the_sampling_measure(
    seed: int, n: int, order: int, keep: float
) -> None:
    order = min(order, n)
    spectrum = random_spectrum(seed, n)
    masks = all_masks(n)
    values = spectrum.predict(masks)
    uniform = least_squares_by_definition(values, n, order, np.ones(len(masks)))
    found = interactions(spectrum, "fbii", order=order, keep=0.5)
    assert_equal(found, uniform.__getitem__, n, order)
    weights = np.where(masks, keep, 1 - keep).prod(axis=1)
    biased = least_squares_by_definition(values, n, order, weights)
    found = interactions(spectrum, "fbii", order=order, keep=keep)
    assert_equal(found, biased.__getitem__, n, order)


@given(seeds, PLAYERS)
@settings(max_examples=30)
def test_influence_equals_the_mean_variance_that_a_player_causes(seed: int, n: int) -> None:
    spectrum = random_spectrum(seed, n)
    values = spectrum.predict(all_masks(n))
    numbers = np.arange(2**n)
    for keep in (0.5, 0.7):
        weights = np.where(all_masks(n), keep, 1 - keep).prod(axis=1)
        found = interactions(spectrum, "influence", keep=keep)
        for i in range(n):
            gap = values[numbers | 1 << i] - values[numbers & ~(1 << i)]
            expected = keep * (1 - keep) * weights @ gap**2
            assert found.get((i,), 0.0) == pytest.approx(expected, abs=1e-8)


@given(seeds, PLAYERS)
@settings(max_examples=30)
def test_effects_equal_the_expected_derivative_under_the_spectrums_own_sampling(
    seed: int, n: int
) -> None:
    spectrum = random_spectrum(seed, n)
    masks = all_masks(n)
    values = spectrum.predict(masks)
    for term, effect in zip(spectrum.terms, effect_sizes(spectrum), strict=True):
        rest = [i for i in range(n) if i not in term]
        expected = 0.0
        for mask in masks[~masks[:, list(term)].any(axis=1)]:
            weight = np.where(mask, spectrum.keep, 1 - spectrum.keep)[rest].prod()
            expected += weight * derivative(values, term, np.flatnonzero(mask).tolist())
        assert effect == pytest.approx(expected, abs=1e-7)


def test_moebius_transform_rebuilds_the_value_as_a_sum_over_subsets() -> None:
    spectrum = random_spectrum(4, 5)
    blocks = moebius_transform(spectrum)
    for mask in all_masks(5):
        total = sum(
            float(block.coefficients[mask[block.columns].all(axis=1)].sum()) for block in blocks
        )
        assert total == pytest.approx(spectrum.predict(mask[None])[0])


def test_an_and_gate_has_positive_effects_and_synergy() -> None:
    spectrum = Spectrum.from_dict({(): 0.25, (0,): -0.25, (1,): -0.25, (0, 1): 0.25}, n_players=2)
    assert interactions(spectrum, "fourier") == {(0,): -0.25, (1,): -0.25, (0, 1): 0.25}
    assert interactions(spectrum, "banzhaf") == {(0,): 0.5, (1,): 0.5, (0, 1): 1.0}
    assert interactions(spectrum, "moebius") == {(0, 1): 1.0}
    assert spectrum.interactions("shapley") == {(0,): 0.5, (1,): 0.5}


def test_fourier_of_another_measure_is_its_change_of_basis() -> None:
    spectrum = random_spectrum(1, 4)
    changed = spectrum.with_keep(0.9).to_dict()
    found = spectrum.interactions("fourier", order=3, keep=0.9)
    assert found == {t: c for t, c in changed.items() if 1 <= len(t) <= 3}


def test_a_constant_has_no_interactions() -> None:
    spectrum = Spectrum.from_dict({(): 2.0}, n_players=3)
    assert {name: interactions(spectrum, name) for name in INDICES} == {
        name: {} for name in INDICES
    }


def test_an_unknown_index_or_order_is_refused_with_the_known_ones() -> None:
    spectrum = Spectrum.from_dict({}, n_players=3)
    with pytest.raises(UsageError, match="no index 'sv'; known: fourier, moebius"):
        interactions(spectrum, "sv")
    with pytest.raises(UsageError, match="order must be a whole number, 1 or more"):
        interactions(spectrum, "sii", order=0)
    with pytest.raises(UsageError, match=r"order must be a whole number, .* but is 2\.5"):
        interactions(spectrum, "sii", order=2.5)  # type: ignore[arg-type]


def test_an_index_is_of_the_keep_of_the_spectrum_unless_another_is_asked_for() -> None:
    spectrum = Spectrum.from_dict({(0,): -0.3, (0, 1): 0.2, (): 1.0}, n_players=3, keep=0.8)
    for index in ("fourier", "banzhaf", "fbii", "influence"):
        own, half = spectrum.interactions(index), spectrum.interactions(index, keep=0.5)
        assert own == spectrum.interactions(index, keep=0.8)
        assert own != half
    assert spectrum.interactions("banzhaf") == spectrum.effects()
