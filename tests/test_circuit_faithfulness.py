"""MIB's faithfulness of circuits, its areas CPR and CMD, and their intervals."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jaxtyping import Float

from headspex.engine.circuit_faithfulness import (
    SHARES,
    areas,
    circuit_faithfulness,
    kept_sizes,
)

# Ten values of f, the last of them 1; nearly all curves have values of every kind.
CURVES = st.lists(st.floats(-3, 3), min_size=9, max_size=9).map(lambda some: np.array([*some, 1.0]))


def test_the_numbers_of_heads_kept_are_rounded_down_as_in_mibs_code() -> None:
    assert kept_sizes(270) == (0, 0, 1, 2, 5, 13, 27, 54, 135, 270)
    assert kept_sizes(10) == (0, 0, 0, 0, 0, 0, 1, 2, 5, 10)


def test_f_and_both_areas_equal_a_computation_by_hand() -> None:
    # Of 10 heads 0, 1, 2, 5 and 10 are kept, with mean scores of 1, 2, 3, 6 and 5 on two prompts.
    mean = {0: 1.0, 1: 2.0, 2: 3.0, 5: 6.0, 10: 5.0}
    found = circuit_faithfulness({k: m + np.array([-0.1, 0.1]) for k, m in mean.items()}, 10)
    assert found is not None
    assert found.kept == (0, 0, 0, 0, 0, 0, 1, 2, 5, 10)
    f = [one.value for one in found.f]
    assert f == pytest.approx([0, 0, 0, 0, 0, 0, 0.25, 0.5, 1.25, 1])
    # Below f, from 5 % on: .05 x .125 + .1 x .375 + .3 x .875 + .5 x 1.125.
    assert found.cpr.value == pytest.approx(0.00625 + 0.0375 + 0.2625 + 0.5625)
    # From f to 1: .049 x 1 up to 5 %, then .05 x .875 + .1 x .625 + .3 x .375 + .5 x .125.
    assert found.cmd.value == pytest.approx(0.049 + 0.04375 + 0.0625 + 0.1125 + 0.0625)
    # Every prompt says the same, so nothing is uncertain.
    assert (found.cpr.low, found.cpr.high) == pytest.approx((0.86875, 0.86875))
    assert (found.cmd.low, found.cmd.high) == pytest.approx((0.33025, 0.33025))


@given(CURVES)
def test_both_areas_together_are_the_width_where_f_stays_between_0_and_1(
    f: Float[np.ndarray, " shares"],
) -> None:
    width = 1 - SHARES[0]  # MIB's area begins at the smallest share, not at 0
    cpr, cmd = areas(np.clip(f, 0, 1))
    assert cpr + cmd == pytest.approx(width)
    cpr, cmd = areas(f)
    assert cmd >= abs(width - cpr) - 1e-9
    assert cpr + cmd >= width - 1e-9


@given(st.integers(0, 10_000), st.integers(4, 400), st.floats(0.1, 10), st.floats(-10, 10))
def test_f_is_0_without_heads_and_1_with_all_in_any_unit_of_the_score(
    seed: int, n_players: int, unit: float, zero: float
) -> None:
    scores = drawn(seed, n_players)
    found = circuit_faithfulness(scores, n_players)
    assume(found is not None)
    assert found is not None
    for kept, f in zip(found.kept, found.f, strict=True):
        assert f.low <= f.value <= f.high
        if kept in (0, n_players):
            assert (f.low, f.value, f.high) == (kept > 0, kept > 0, kept > 0)
    assert found.cpr.low <= found.cpr.value <= found.cpr.high
    assert 0 <= found.cmd.low <= found.cmd.value <= found.cmd.high
    for sign in (1, -1):
        other = {kept: sign * unit * some + zero for kept, some in scores.items()}
        again = circuit_faithfulness(other, n_players)
        assert again is not None
        assert again.cpr.value == pytest.approx(found.cpr.value, rel=1e-6, abs=1e-6)
        assert again.cmd.high == pytest.approx(found.cmd.high, rel=1e-6, abs=1e-6)


def test_where_the_whole_model_scores_as_without_heads_f_is_not_defined() -> None:
    rng = np.random.default_rng(0)
    noise = {kept: rng.normal(size=30) for kept in set(kept_sizes(40))}
    assert circuit_faithfulness(noise, 40) is None
    same = dict.fromkeys(kept_sizes(40), np.ones(30))
    assert circuit_faithfulness(same, 40) is None


def test_intervals_cover_the_areas_of_all_prompts() -> None:
    """Prompts differ in how much the whole model scores and in what a circuit keeps of it."""
    rng = np.random.default_rng(0)
    n, draws, covered = 40, 400, np.zeros(2)
    sizes = sorted(set(kept_sizes(n)))
    share = dict(zip(sizes, np.linspace(0, 1, len(sizes)) ** 2, strict=True))
    truth = areas(np.array([share[kept] for kept in kept_sizes(n)]))
    for _ in range(draws):
        size, lost = rng.gamma(4, size=(2, 30))
        scores = {
            kept: size * f + (f < 1) * (f > 0) * 0.3 * (lost - 4) for kept, f in share.items()
        }
        found = circuit_faithfulness(scores, n)
        assert found is not None
        both = (found.cpr, found.cmd)
        covered += [one.low <= true <= one.high for one, true in zip(both, truth, strict=True)]
    assert (np.abs(covered / draws - 0.95) < 0.03).all()


def drawn(seed: int, n_players: int) -> dict[int, Float[np.ndarray, " prompts"]]:
    """Scores of 20 prompts at each size, rising from 0 to about 3."""
    rng = np.random.default_rng(seed)
    return {
        kept: 3 * kept / n_players + rng.normal(size=20)
        for kept in sorted(set(kept_sizes(n_players)))
    }
