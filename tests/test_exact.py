"""The integer program, exchanges and shapes against brute force."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError
from headspex.export.shapes import Shape, shape_of
from headspex.players import Players
from headspex.schedules.constraints import Constraints, Limit
from headspex.schedules.exact import best_mask, best_sets
from headspex.schedules.local_search import exchanged
from headspex.schedules.program import RemovalProgram
from headspex.schedules.schedule import prune_schedule
from headspex.schedules.shape_search import best_of_shape

seeds = st.integers(0, 2**32 - 1)


def random_spectrum(seed: int, n: int, *, most: int = 40) -> Spectrum:
    rng = np.random.default_rng(seed)
    subsets = [t for k in range(1, 5) for t in combinations(range(n), k)]
    chosen = rng.choice(len(subsets), min(len(subsets), int(rng.integers(1, most))), replace=False)
    keep = rng.uniform(0.2, 0.95, n)
    return Spectrum.from_dict({subsets[i]: rng.normal() for i in chosen}, n_players=n, keep=keep)


def all_masks(n: int, n_pruned: int) -> np.ndarray:
    masks = (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(bool)
    return np.asarray(masks[(~masks).sum(axis=1) == n_pruned])


def brute_force(spectrum: Spectrum, n_pruned: int, constraints: Constraints | None = None) -> float:
    masks = all_masks(spectrum.n_players, n_pruned)
    if constraints is not None:
        masks = masks[[constraints.allows(mask) for mask in masks]]
    return float(spectrum.predict(masks).max())


def random_rules(seed: int, n: int) -> Constraints:
    """One protected player, and halves that may lose a few."""
    rng = np.random.default_rng(seed)
    half = n // 2
    first, second = tuple(range(half)), tuple(range(half, n))
    protected = Limit((int(rng.integers(n)),), 0)
    return Constraints(
        n, (protected, Limit(first, int(rng.integers(1, half))), Limit(second, half - 1))
    )


@given(seeds, st.integers(4, 10), st.data())
@settings(max_examples=60)
def test_the_program_finds_what_brute_force_finds_and_proves_it(
    seed: int, n: int, data: st.DataObject
) -> None:
    spectrum = random_spectrum(seed, n)
    size = data.draw(st.integers(0, n))
    found = best_mask(spectrum, size, masks=0)
    assert (~found.mask).sum() == size
    assert found.value == pytest.approx(brute_force(spectrum, size), abs=1e-6)
    assert found.value == pytest.approx(float(spectrum.predict(found.mask[None])[0]))
    assert found.proven
    assert found.gap == 0


@pytest.mark.slow
def test_the_program_equals_brute_force_on_hundreds_of_spectra_to_sixteen_players() -> None:
    for seed in range(300):
        n = 4 + seed % 13
        size = seed % (n + 1)
        spectrum = random_spectrum(seed, n, most=30)
        found = best_mask(spectrum, size, masks=0)
        assert found.value == pytest.approx(brute_force(spectrum, size), abs=1e-6), seed
        assert found.proven, seed


@given(seeds, st.integers(4, 9), st.sampled_from([0, 1_000]))
@settings(max_examples=30)
def test_rules_hold_and_the_best_mask_within_them_is_found(seed: int, n: int, masks: int) -> None:
    spectrum, constraints = random_spectrum(seed, n), random_rules(seed, n)
    schedule = prune_schedule(spectrum, constraints=constraints)
    for size in range(1, len(schedule.order) + 1):
        assert constraints.allows(schedule.mask(size))
        found = best_mask(spectrum, size, constraints=constraints, masks=masks)
        assert constraints.allows(found.mask)
        assert found.value == pytest.approx(brute_force(spectrum, size, constraints), abs=1e-6)
    with pytest.raises(UsageError, match="were asked for; protect fewer"):
        best_mask(spectrum, n, constraints=constraints, masks=masks)


def test_sixteen_players_are_proven_whatever_the_number_of_terms() -> None:
    """More terms than the integer program takes."""
    rng = np.random.default_rng(0)
    subsets = [t for k in range(1, 5) for t in combinations(range(16), k)]
    terms = dict(zip(subsets, rng.normal(size=len(subsets)).tolist(), strict=True))
    spectrum = Spectrum.from_dict(terms, n_players=16, keep=0.6)
    for size in (0, 1, 8, 15, 16):
        found = best_mask(spectrum, size)
        assert (found.proven, found.gap) == (True, 0)
        assert (~found.mask).sum() == size
        assert found.value == pytest.approx(brute_force(spectrum, size), abs=1e-9)


def test_what_is_removed_already_stays_so_and_counts_against_the_rules() -> None:
    spectrum = random_spectrum(7, 8)
    constraints = Constraints(8, (Limit((0, 1, 2), 1), Limit((7,), 0)))
    found = best_mask(spectrum, 3, constraints=constraints, removed=[1])
    masks = all_masks(8, 3)
    allowed = masks[[constraints.allows(mask) and not mask[1] for mask in masks]]
    assert found.value == pytest.approx(float(spectrum.predict(allowed).max()), abs=1e-9)
    assert not found.mask[1]
    with pytest.raises(UsageError, match="were asked for; protect fewer"):
        best_mask(spectrum, 1, constraints=constraints, removed=[1, 3])


def test_a_set_that_greedy_removal_cannot_reach_is_found_where_limits_overlap() -> None:
    # Player 1 is the best to go, and its two limits are full then; only 0 and 2 go together.
    spectrum = Spectrum.from_dict({(1,): 1.0}, n_players=3)
    constraints = Constraints(3, (Limit((0, 1), 1), Limit((1, 2), 1)))
    assert best_mask(spectrum, 2, constraints=constraints).mask.tolist() == [False, True, False]


def test_of_equal_masks_the_one_that_removes_the_lower_columns_is_taken() -> None:
    """Rounding gives equal sums other last bits."""
    spectrum = Spectrum.from_dict({(i,): 0.1 for i in range(9)}, n_players=9, keep=0.3)
    for size in range(1, 9):
        assert np.flatnonzero(~best_mask(spectrum, size).mask).tolist() == list(range(size))


@given(seeds, st.integers(5, 9))
@settings(max_examples=20)
def test_nested_sets_only_grow_and_each_is_the_best_that_its_predecessor_allows(
    seed: int, n: int
) -> None:
    spectrum = random_spectrum(seed, n)
    found = best_sets(spectrum, [2, 4, n], nested=True)
    masks = found.masks([0, 2, 4, n])
    assert (masks[:-1] >= masks[1:]).all()
    allowed = all_masks(n, 4)
    allowed = allowed[~(allowed & ~masks[1]).any(axis=1)]
    assert found.optima[4].value == pytest.approx(float(spectrum.predict(allowed).max()), abs=1e-6)
    free = best_sets(spectrum, [2, 4])
    assert free.optima[2].value == pytest.approx(found.optima[2].value, abs=1e-6)
    assert free.optima[4].value >= found.optima[4].value - 1e-9
    with pytest.raises(UsageError, match=r"known for \[2, 4\]"):
        free.masks([3])


@given(seeds, st.integers(4, 9), st.data())
@settings(max_examples=50)
def test_exchanges_end_where_no_exchange_helps(seed: int, n: int, data: st.DataObject) -> None:
    spectrum = random_spectrum(seed, n)
    size = data.draw(st.integers(1, n - 1))
    start = np.ones(n, dtype=bool)
    start[:size] = False
    found = exchanged(spectrum, start, Constraints(n))
    assert (~found).sum() == size
    value = float(spectrum.predict(found[None])[0])
    assert value >= float(spectrum.predict(start[None])[0])
    for off in np.flatnonzero(~found):
        for on in np.flatnonzero(found):
            other = found.copy()
            other[off], other[on] = True, False
            assert float(spectrum.predict(other[None])[0]) <= value + 1e-6


def test_what_the_solver_does_not_finish_comes_with_a_gap_that_holds() -> None:
    spectrum = random_spectrum(5, 10)
    found = best_mask(spectrum, 4, masks=0, nodes=0)
    best = brute_force(spectrum, 4)
    assert found.value <= best + 1e-9 <= found.value + found.gap + 2e-9
    assert not found.proven


def test_the_program_is_the_spectrum_in_removed_players() -> None:
    spectrum = random_spectrum(3, 8)
    program = RemovalProgram.of(spectrum)
    masks = np.random.default_rng(0).random((50, 8)) < 0.5
    off = (~masks).astype(float)
    products = np.stack([off[:, list(t)].prod(axis=1) for t in program.products], axis=1)
    values = program.constant + off @ program.linear + products @ program.coefficients
    np.testing.assert_allclose(values, spectrum.predict(masks), atol=1e-9)


@given(seeds, st.integers(1, 2), st.integers(1, 2))
@settings(max_examples=30)
def test_the_best_mask_of_a_shape_is_that_of_brute_force(
    seed: int, groups: int, heads: int
) -> None:
    spectrum = random_spectrum(seed, 12)
    columns = np.arange(12).reshape(2, 3, 2)
    found = best_of_shape(spectrum, columns, groups, heads)
    shape = Shape(groups, heads)
    masks = all_masks(12, 12 - 2 * shape.per_layer)
    even = masks[
        [m.reshape(2, 6).any(axis=1).all() and shape_of(m.reshape(2, 6), 3) == shape for m in masks]
    ]
    assert shape_of(found.reshape(2, 6), 3) == shape
    value = float(spectrum.predict(found[None])[0])
    assert value == pytest.approx(float(spectrum.predict(even).max()), abs=1e-6)
    without = best_of_shape(spectrum, columns, groups, heads, nodes=0)
    assert shape_of(without.reshape(2, 6), 3) == shape


def test_rules_of_players_protect_and_limit_layers() -> None:
    players = Players.heads(3, 4, [0, 2])
    constraints = Constraints.of(players, protect=[1], per_layer=2)
    assert constraints.most() == 4
    mask = np.ones(8, dtype=bool)
    mask[[0, 2]] = False
    assert constraints.allows(mask)
    for column in (1, 3):
        other = mask.copy()
        other[column] = False
        assert not constraints.allows(other)
    with pytest.raises(UsageError, match=r"within 0\.\.7, but got \[8\]"):
        Constraints.of(players, protect=[8])
    with pytest.raises(UsageError, match="limits go with removal"):
        prune_schedule(
            Spectrum.from_dict({}, n_players=8), constraints=constraints, direction="build-up"
        )


@pytest.mark.slow
def test_ninety_six_players_with_two_hundred_terms_are_proven() -> None:
    rng = np.random.default_rng(0)
    terms: dict[tuple[int, ...], float] = {}
    while len(terms) < 200:
        order = int(rng.choice((1, 2, 2, 2, 3)))
        terms[tuple(sorted(rng.choice(96, order, replace=False).tolist()))] = float(rng.normal())
    spectrum = Spectrum.from_dict(terms, n_players=96, keep=0.7)
    for size in (24, 48):
        found = best_mask(spectrum, size)
        assert found.proven
        greedy = prune_schedule(spectrum).mask(size)
        assert found.value >= float(spectrum.predict(greedy[None])[0])


@pytest.mark.slow
def test_a_thousand_players_come_back_with_their_best_within_the_limit() -> None:
    rng = np.random.default_rng(1)
    terms: dict[tuple[int, ...], float] = {}
    while len(terms) < 5000:
        order = int(rng.choice((1, 2, 2, 3)))
        terms[tuple(sorted(rng.choice(1024, order, replace=False).tolist()))] = float(rng.normal())
    spectrum = Spectrum.from_dict(terms, n_players=1024, keep=0.7)
    found = best_mask(spectrum, 256)
    greedy = prune_schedule(spectrum).mask(256)
    assert found.value >= float(spectrum.predict(greedy[None])[0])
    assert (~found.mask).sum() == 256
    assert found.gap > 0
