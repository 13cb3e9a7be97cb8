"""SPEX: the code behind it, its masks, and what it recovers from their values."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from headspex.engine.fit import explain
from headspex.engine.spectrum import Spectrum
from headspex.engine.spex.bch import BCHCode, field
from headspex.engine.spex.peeling import peel
from headspex.engine.spex.spex import fit_spex, smallest_budget, spex_design
from headspex.engine.terms import Term
from headspex.engine.walsh import walsh_hadamard
from headspex.errors import UsageError


def sets_up_to(order: int, n_players: int) -> np.ndarray:
    """Every set of at most `order` players, as rows."""
    terms = [term for size in range(order + 1) for term in combinations(range(n_players), size)]
    rows = np.zeros((len(terms), n_players), dtype=bool)
    for row, term in zip(rows, terms, strict=True):
        row[list(term)] = True
    return rows


def peaks(n_players: int, *, count: int, order: int, seed: int) -> Spectrum:
    """Lone sets of exactly `order` players, coefficients between 0.2 and 1 in size."""
    rng = np.random.default_rng(seed)
    table: dict[Term, float] = {(): 2.0}
    for _ in range(count):
        term = tuple(sorted(rng.choice(n_players, order, replace=False).tolist()))
        table[term] = float(rng.uniform(0.2, 1) * rng.choice([-1, 1]))
    return Spectrum.from_dict(table, n_players=n_players)


def r2(truth: Spectrum, found: Spectrum) -> float:
    masks = np.random.default_rng(77).random((2000, truth.n_players)) < 0.5
    values = truth.predict(masks)
    return float(1 - np.mean((values - found.predict(masks)) ** 2) / np.var(values))


# The code.


def test_the_field_of_eight_elements_multiplies_as_polynomials_modulo_x3_x_1() -> None:
    gf8 = field(3)
    product = gf8.multiply(np.array([0b010, 0b110, 0b111, 0, 5]), np.array([0b100, 0b011, 1, 3, 0]))
    assert product.tolist() == [0b011, 0b001, 0b111, 0, 0]


@pytest.mark.parametrize(
    ("n_players", "order"), [(1, 1), (2, 2), (3, 1), (5, 5), (7, 2), (8, 3), (15, 2), (16, 2)]
)
def test_decoding_every_syndrome_agrees_with_brute_force(n_players: int, order: int) -> None:
    code = BCHCode(n_players, order)
    sets = sets_up_to(order, n_players)
    of_set = {
        tuple(syndrome): row
        for syndrome, row in zip(code.syndromes(sets).tolist(), sets, strict=True)
    }
    assert len(of_set) == len(sets)  # no two sets have the same syndrome
    n_checks = len(code.checks)
    every = (np.arange(2**n_checks)[:, None] >> np.arange(n_checks) & 1).astype(bool)
    decoded, found = code.decode(every)
    assert found.sum() == len(sets)
    for syndrome, row, ok in zip(every.tolist(), decoded, found, strict=True):
        expected = of_set.get(tuple(syndrome))
        assert ok == (expected is not None)
        assert row.tolist() == (np.zeros(n_players) if expected is None else expected).tolist()


@pytest.mark.parametrize(
    ("n_players", "order", "n_checks"),
    [(15, 2, 8), (31, 3, 15), (63, 5, 27), (96, 5, 35), (127, 5, 35), (1023, 5, 50)],
)
def test_codes_have_as_many_checks_as_the_published_tables_say(
    n_players: int, order: int, n_checks: int
) -> None:
    code = BCHCode(n_players, order)
    assert code.checks.shape == (n_checks, n_players)
    rng = np.random.default_rng(0)
    ranks = rng.random((500, n_players)).argsort(axis=1).argsort(axis=1)
    sets = ranks < rng.integers(0, order + 1, 500)[:, None]
    decoded, found = code.decode(code.syndromes(sets))
    assert found.all()
    np.testing.assert_array_equal(decoded, sets)


def test_a_power_of_two_of_players_costs_one_check_more_than_one_player_less() -> None:
    assert len(BCHCode(64, 5).checks) == len(BCHCode(63, 5).checks) + 1


# The masks.


@given(
    n_players=st.integers(1, 80),
    budget=st.integers(1, 1500),
    max_order=st.integers(1, 6),
    seed=st.integers(0, 5),
)
@settings(max_examples=60)
def test_masks_are_different_and_use_the_budget(
    n_players: int, budget: int, max_order: int, seed: int
) -> None:
    if budget < smallest_budget(n_players):
        with pytest.raises(UsageError, match=f"at least {smallest_budget(n_players)} masks"):
            spex_design(n_players, budget=budget, max_order=max_order, seed=seed)
        return
    design = spex_design(n_players, budget=budget, max_order=max_order, seed=seed)
    assert design.masks.shape == (min(budget, 2**n_players), n_players)
    assert len(np.unique(design.masks, axis=0)) == len(design.masks)
    assert 1 <= design.code.order <= max_order


def test_a_group_is_an_affine_subspace_moved_by_the_checks() -> None:
    design = spex_design(20, budget=900, max_order=3, seed=4)
    assert len(design.rows) >= 3
    for generator, rows in zip(design.generators, design.rows, strict=True):
        base = design.masks[rows[0, 0]]
        for delay, check in enumerate([np.zeros(20, dtype=bool), *design.code.checks]):
            for number in range(rows.shape[1]):
                bits = number >> np.arange(len(generator)) & 1
                moved = base ^ check ^ (bits @ generator % 2 == 1)
                np.testing.assert_array_equal(design.masks[rows[delay, number]], moved)


def test_a_small_budget_lowers_the_order_and_a_tiny_one_is_refused() -> None:
    assert spex_design(64, budget=400).code.order == 5
    assert spex_design(64, budget=200).code.order == 2
    assert spex_design(64, budget=smallest_budget(64)).code.order == 1
    with pytest.raises(UsageError, match="at least 96 masks of 64 players, but the budget is 95"):
        spex_design(64, budget=95)


@pytest.mark.parametrize("wrong", [{"n_players": 0}, {"max_order": 0}, {"seed": -1}])
def test_arguments_below_their_minimum_are_refused(wrong: dict[str, int]) -> None:
    arguments = {"n_players": 10, "budget": 500, "max_order": 2, "seed": 0, **wrong}
    with pytest.raises(UsageError, match=r"must be a whole number, [01] "):
        spex_design(**arguments)


# What is recovered.


def test_the_transform_is_the_sum_over_all_strings() -> None:
    values = np.random.default_rng(1).normal(size=(2, 8))
    strings = np.arange(8)
    signs = np.array([[(-1) ** (i & j).bit_count() for i in range(8)] for j in strings])
    np.testing.assert_allclose(walsh_hadamard(values), values @ signs.T / 8, atol=1e-15)


@given(
    n_players=st.integers(20, 70),
    count=st.integers(1, 10),
    order=st.integers(1, 5),
    seed=st.integers(0, 1000),
)
@settings(max_examples=15)
def test_lone_interactions_of_up_to_five_players_are_recovered_exactly(
    n_players: int, count: int, order: int, seed: int
) -> None:
    truth = peaks(n_players, count=count, order=order, seed=seed)
    design = spex_design(n_players, budget=1200, seed=seed)
    found = peel(design, truth.predict(design.masks), np.ones(1200, dtype=bool))
    terms = [tuple(np.flatnonzero(players).tolist()) for players in found.sets]
    table = dict(zip(terms, found.coefficients.tolist(), strict=True))
    assert table == pytest.approx(truth.to_dict(), abs=1e-9)


def test_backed_up_and_cooperating_heads_are_recovered_exactly() -> None:
    def value(masks: np.ndarray) -> np.ndarray:
        either = masks[:, 0:12].reshape(-1, 4, 3).any(axis=2).sum(axis=1)
        both = masks[:, 20:40].reshape(-1, 10, 2).all(axis=2) @ np.linspace(-1, 2, 10)
        return np.asarray(either + both + masks[:, 30:48] @ np.linspace(-1, 1, 18))

    found = explain(value, 48, budget=2000, engine="spex")
    fourier = found.to_fourier()
    assert fourier[0, 1, 2] == pytest.approx(-1 / 8)  # OR = 1 - prod_i (1 + chi_i) / 2
    assert fourier[38, 39] == pytest.approx(2 / 4)  # AND = prod_i (1 - chi_i) / 2
    assert found.report is not None
    assert found.report.method == "spex"
    assert 0.999 < found.report.cv_r2 <= 1


def test_order_six_is_within_reach_of_a_code_of_order_six() -> None:
    truth = peaks(40, count=6, order=6, seed=1)
    design = spex_design(40, budget=1500, max_order=6, seed=1)
    found = fit_spex(design, truth.predict(design.masks))
    assert r2(truth, found) == pytest.approx(1)


@pytest.mark.parametrize("n_players", [1, 2, 3, 6])
def test_few_players_are_transformed_completely(n_players: int) -> None:
    rng = np.random.default_rng(n_players)
    table = rng.normal(size=2**n_players)

    def value(masks: np.ndarray) -> np.ndarray:
        return np.asarray(table[masks @ (1 << np.arange(n_players))])

    found = explain(value, n_players, budget=500, engine="spex")
    masks = (np.arange(2**n_players)[:, None] >> np.arange(n_players) & 1).astype(bool)
    np.testing.assert_allclose(found.predict(masks), table)
    assert found.report is None


def test_noise_costs_little_and_the_report_counts_it() -> None:
    truth = peaks(30, count=5, order=3, seed=2)
    design = spex_design(30, budget=800, seed=2)
    noise = 0.5 * np.sqrt(truth.variance) * np.random.default_rng(3).normal(size=800)
    found = fit_spex(design, truth.predict(design.masks) + noise)
    assert r2(truth, found) > 0.95
    assert found.report is not None
    assert 0.6 < found.report.low < found.report.cv_r2 < found.report.high < 0.9  # 0.8 is possible


def test_noise_alone_promises_nothing() -> None:
    design = spex_design(30, budget=400)
    found = fit_spex(design, np.random.default_rng(1).normal(size=400))
    assert found.report is not None
    assert found.report.cv_r2 < 0.03
    assert np.var(found.predict(design.masks)) < 0.15


def test_a_sum_of_many_heads_is_no_worse_than_by_the_lasso() -> None:
    rng = np.random.default_rng(4)
    slopes = rng.normal(size=60)
    design = spex_design(60, budget=600)
    noisy = design.masks @ slopes + 4 * rng.normal(size=600)
    truth = Spectrum.from_dict({(i,): -s / 2 for i, s in enumerate(slopes)}, n_players=60)
    found = fit_spex(design, noisy)
    assert found.report is not None
    assert found.report.cv_r2 >= found.report.methods["linear"]
    shifted = Spectrum.from_dict({**found.to_dict(), (): 0.0}, n_players=60)
    assert r2(truth, shifted) > 0.85


def test_a_constant_gives_the_constant_and_says_so() -> None:
    found = explain(lambda masks: np.full(len(masks), 0.1 + 0.2), 30, budget=400, engine="spex")
    assert found.to_dict() == {(): pytest.approx(0.3)}
    assert found.report is not None
    assert found.report.method == "constant"


def test_the_unit_and_the_level_of_the_values_do_not_matter() -> None:
    truth = peaks(30, count=5, order=4, seed=3)
    design = spex_design(30, budget=700)
    values = truth.predict(design.masks)
    plain, scaled = fit_spex(design, values), fit_spex(design, 1e-6 * values + 5)
    assert plain.terms == scaled.terms
    np.testing.assert_allclose(scaled.coefficients[1:] * 1e6, plain.coefficients[1:], atol=1e-6)


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_threads() -> None:
    truth = peaks(20, count=8, order=3, seed=5)
    noise = np.random.default_rng(6).normal(size=300)

    def noisy(masks: np.ndarray) -> np.ndarray:
        return truth.predict(masks) + noise

    def fit(threads: int) -> str:
        with threadpool_limits(threads):
            return explain(noisy, 20, budget=300, engine="spex", seed=1).to_json()

    assert fit(1) == fit(2)
    one, other = (spex_design(20, budget=300, seed=seed).masks for seed in (1, 2))
    assert not np.array_equal(one, other)


def test_the_value_function_sees_each_mask_once_and_may_spoil_its_copy() -> None:
    seen: list[np.ndarray] = []

    def value(masks: np.ndarray) -> np.ndarray:
        seen.append(masks.copy())
        total = masks[:, :3].sum(axis=1).astype(float)
        masks[:] = False
        return np.asarray(total)

    found = explain(value, 25, budget=300, engine="spex")
    assert len(seen) == 1
    assert len(np.unique(seen[0], axis=0)) == 300
    assert found.to_fourier() == {
        (): pytest.approx(1.5), (0,): pytest.approx(-0.5), (1,): pytest.approx(-0.5),
        (2,): pytest.approx(-0.5),
    }  # fmt: skip


def test_wrong_input_is_refused_in_one_sentence() -> None:
    design = spex_design(10, budget=300)
    with pytest.raises(UsageError, match=r"values has shape \(299,\), but there are 300 masks"):
        fit_spex(design, np.zeros(299))
    with pytest.raises(UsageError, match=r"values\[7\] is nan"):
        fit_spex(design, np.where(np.arange(300) == 7, np.nan, 1.0))
    with pytest.raises(UsageError, match="seed must be a whole number, 0 "):
        fit_spex(design, np.zeros(300), seed=-1)
    with pytest.raises(UsageError, match="no engine 'spx'; known: proxyspex, spex"):
        explain(lambda masks: masks[:, 0] * 1.0, 10, budget=300, engine="spx")
    with pytest.raises(UsageError, match=r"keep half of the players, but keep is 0\.8"):
        explain(lambda masks: masks[:, 0] * 1.0, 10, budget=300, keep=0.8, engine="spex")
    with pytest.raises(UsageError, match="one number per mask"):
        explain(lambda masks: np.zeros((len(masks), 2)), 10, budget=300, engine="spex")
