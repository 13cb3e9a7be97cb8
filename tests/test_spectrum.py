import importlib
import math
import sys
import time
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_spectra import REPORT, random_spectrum, reported
from scipy.linalg import hadamard
from sklearn.metrics import r2_score

from headspex.engine.characters import characters
from headspex.engine.spectrum import Spectrum
from headspex.engine.terms import Term
from headspex.errors import UsageError


def all_masks(n: int) -> npt.NDArray[Any]:
    return (np.arange(2**n)[:, None] >> np.arange(n) & 1).astype(bool)


def value_by_definition(spectrum: Spectrum, mask: npt.NDArray[Any]) -> float:
    total = 0.0
    for term, coefficient in spectrum.to_dict().items():
        for i in term:
            p = spectrum.keep[i]
            coefficient *= (p - mask[i]) / math.sqrt(p * (1 - p))
        total += coefficient
    return total


seeds = st.integers(0, 2**32 - 1)


@given(seeds)
@settings(max_examples=40)
def test_predict_equals_the_sum_of_the_definition_term_by_term(seed: int) -> None:
    spectrum = random_spectrum(seed)
    masks = all_masks(6)
    expected = [value_by_definition(spectrum, mask) for mask in masks]
    np.testing.assert_allclose(spectrum.predict(masks), expected, atol=1e-9)


def test_and_gate_has_the_hand_computed_spectrum() -> None:
    # m0 m1 = (1 - x0)(1 - x1) / 4 with x = 1 - 2 m
    spectrum = Spectrum.from_dict({(): 0.25, (0,): -0.25, (1,): -0.25, (0, 1): 0.25}, n_players=2)
    masks = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], dtype=bool)
    assert spectrum.predict(masks).tolist() == [0, 0, 0, 1]


def test_predict_in_chunks_equals_predict_mask_by_mask() -> None:
    rng = np.random.default_rng(0)
    n = 40
    terms = {tuple(sorted(rng.choice(n, 3, replace=False).tolist())) for _ in range(900)}
    spectrum = Spectrum.from_dict({t: rng.normal() for t in terms}, n_players=n, keep=0.9)
    masks = rng.random((1300, n)) < 0.9
    at_once = spectrum.predict(masks)
    one_by_one = np.concatenate([spectrum.predict(mask[None]) for mask in masks[::100]])
    np.testing.assert_allclose(at_once[::100], one_by_one, rtol=1e-10)
    assert spectrum.predict(np.zeros((0, n), dtype=bool)).shape == (0,)


@given(seeds)
@settings(max_examples=25)
def test_characters_are_orthonormal_under_sampling_with_keep(seed: int) -> None:
    keep = np.random.default_rng(seed).uniform(0.1, 0.9, 5)
    terms = [t for k in range(6) for t in combinations(range(5), k)]
    masks = all_masks(5)
    weights = np.where(masks, keep, 1 - keep).prod(axis=1)
    design = characters(masks, terms, keep).astype(np.float64)
    np.testing.assert_allclose(design.T @ (weights[:, None] * design), np.eye(32), atol=1e-4)


def test_characters_of_unsorted_terms_come_in_the_sequence_asked_for() -> None:
    masks = all_masks(3)
    signs = 1.0 - 2.0 * masks
    design = characters(masks, [(0, 2), (), (1,), (0, 1, 2)], 0.5)
    assert design.dtype == np.float32
    expected = [signs[:, 0] * signs[:, 2], np.ones(8), signs[:, 1], signs.prod(axis=1)]
    np.testing.assert_array_equal(design, np.stack(expected, axis=1))
    with pytest.raises(UsageError, match=r"outside 0\.\.2"):
        characters(masks, [(3,)], 0.5)


@given(seeds, seeds)
@settings(max_examples=40)
def test_change_of_basis_keeps_the_function_and_returns(seed: int, other: int) -> None:
    spectrum = random_spectrum(seed)
    keep = np.random.default_rng(other).uniform(0.1, 0.95, 6)
    keep[:2] = spectrum.keep[:2]
    changed = spectrum.with_keep(keep)
    masks = all_masks(6)
    np.testing.assert_allclose(changed.predict(masks), spectrum.predict(masks), atol=1e-8)
    back = changed.with_keep(spectrum.keep).to_dict()
    expected = spectrum.to_dict()
    for term in back.keys() | expected.keys():
        assert back.get(term, 0) == pytest.approx(expected.get(term, 0), abs=1e-7)


@given(seeds)
@settings(max_examples=40)
def test_coefficients_in_a_new_basis_are_inner_products_with_its_characters(seed: int) -> None:
    spectrum = random_spectrum(seed)
    masks = all_masks(6)
    values = spectrum.predict(masks)
    keep = np.linspace(0.2, 0.9, 6)
    weights = np.where(masks, keep, 1 - keep).prod(axis=1)
    scaled = (keep - masks) / np.sqrt(keep * (1 - keep))
    changed = spectrum.with_keep(keep).to_dict()
    for k in range(7):
        for term in combinations(range(6), k):
            expected = float((weights * values * scaled[:, list(term)].prod(axis=1)).sum())
            assert changed.get(term, 0.0) == pytest.approx(expected, abs=1e-9)


def test_fourier_coefficients_equal_a_walsh_hadamard_transform() -> None:
    spectrum = random_spectrum(3)
    transform = hadamard(64) @ spectrum.predict(all_masks(6)) / 64
    fourier = spectrum.to_fourier()
    for code in range(64):
        term = tuple(i for i in range(6) if code >> i & 1)
        assert fourier.get(term, 0.0) == pytest.approx(transform[code], abs=1e-10)


def test_terms_that_cancel_do_not_survive_as_rounding_noise() -> None:
    spectrum = Spectrum.from_dict({(0, 1, 2): 0.3, (1,): 0.7}, n_players=3, keep=0.37)
    assert set(spectrum.with_keep(0.81).with_keep(0.37).to_dict()) == {(), (1,), (0, 1, 2)}


def test_variance_is_that_of_the_value_over_all_weighted_masks() -> None:
    spectrum = random_spectrum(11)
    masks = all_masks(6)
    weights = np.where(masks, spectrum.keep, 1 - spectrum.keep).prod(axis=1)
    values = spectrum.predict(masks)
    mean = weights @ values
    assert spectrum.variance == pytest.approx(weights @ (values - mean) ** 2)


def test_truncation_keeps_the_strongest_terms_and_the_constant() -> None:
    spectrum = Spectrum.from_dict(
        {(): 0.01, (0,): 3.0, (1,): -1.0, (2,): 1.0, (0, 1): -2.0}, n_players=3
    )
    assert set(spectrum.truncate(max_terms=2).to_dict()) == {(), (0,), (0, 1)}
    assert set(spectrum.truncate(max_terms=3).to_dict()) == {(), (0,), (1,), (0, 1)}
    assert set(spectrum.truncate(max_order=1).to_dict()) == {(), (0,), (1,), (2,)}
    assert set(spectrum.truncate(min_share=0.2).to_dict()) == {(), (0,), (0, 1)}
    assert spectrum.truncate(max_terms=0).terms == ((),)
    with pytest.raises(UsageError, match="not be negative"):
        spectrum.truncate(max_terms=-1)


def test_the_report_follows_the_terms_it_describes() -> None:
    changed = reported().with_keep(0.5)
    assert changed.terms == ((), (0,), (1,), (0, 1))
    assert changed.report is not None
    assert changed.report.sources == ("constant", "heads", "change of basis", "trees")
    with pytest.raises(UsageError, match="one source per term"):
        Spectrum(((), (0,)), np.ones(2), 2, np.full(2, 0.5), REPORT)


def test_a_part_of_a_spectrum_does_not_claim_the_r2_of_the_whole() -> None:
    assert reported().truncate(max_terms=1).report is None
    assert reported().truncate(max_terms=100).report == reported().report


def test_a_spectrum_shows_its_size_basis_and_energies_in_one_line() -> None:
    spectrum = Spectrum.from_dict({(0,): 2.0, (0, 1): 1.0}, n_players=2, keep=0.8)
    assert repr(spectrum) == (
        "Spectrum(2 players, 3 terms to order 2, p = 0.8; energy 80% singles, 20% pairs, 0% higher)"
    )
    assert "cross-validated R² 0.900 by trees" in repr(reported())
    assert repr(Spectrum.from_dict({}, n_players=3)).endswith("to order 0, p = 0.5)")


@pytest.mark.parametrize(
    ("terms", "sentence"),
    [
        (((0,),), "begin with"),
        (((), (1,), (0,)), "sorted"),
        (((), (0,), (0,)), "named once"),
        (((), (0, 1), (2,)), "sorted"),
        (((), (1, 0)), "ascend"),
        (((), (0, 0)), "ascend"),
        (((), (3,)), r"outside 0\.\.2"),
        (((), (2**40,)), r"outside 0\.\.2"),
        (((), (-1,)), r"outside 0\.\.2"),
        ((), "begin with"),
    ],
)
def test_terms_out_of_form_are_refused(terms: tuple[Term, ...], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Spectrum(terms, np.ones(len(terms)), 3, np.full(3, 0.5))


def test_other_wrong_input_is_refused() -> None:
    with pytest.raises(UsageError, match=r"strictly between 0 and 1, but got 1\.0"):
        Spectrum.from_dict({}, n_players=2, keep=1.0)
    with pytest.raises(UsageError, match="one per player"):
        Spectrum.from_dict({}, n_players=2, keep=[0.5])
    with pytest.raises(UsageError, match="finite"):
        Spectrum.from_dict({(0,): math.nan}, n_players=2)
    with pytest.raises(UsageError, match="given twice"):
        Spectrum.from_dict({(0, 1): 1.0, (1, 0): 1.0}, n_players=2)
    with pytest.raises(UsageError, match="at least one player"):
        Spectrum.from_dict({}, n_players=0)
    with pytest.raises(UsageError, match="one coefficient per term"):
        Spectrum(((),), np.ones(2), 2, np.full(2, 0.5))
    with pytest.raises(UsageError, match="True and False"):
        Spectrum.from_dict({}, n_players=2).predict(np.full((1, 2), 2.0))
    with pytest.raises(UsageError, match="expands to"):
        Spectrum.from_dict({tuple(range(30)): 1.0}, n_players=30).with_keep(0.7)


def test_arrays_cannot_be_changed_from_outside() -> None:
    coefficients = np.zeros(1)
    spectrum = Spectrum(((),), coefficients, 2, np.full(2, 0.5))
    coefficients[0] = 5.0
    assert spectrum.coefficients[0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        spectrum.coefficients[0] = 1.0


def test_without_shapiq_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "shapiq", None)
    with pytest.raises(UsageError, match=r"pip install 'headspex\[shapiq\]'"):
        reported().to_shapiq()
    with pytest.raises(UsageError, match="no index 'influence'"):
        reported().to_shapiq("influence")


def test_without_shapiq_there_is_no_approximator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shapiq", None)
    monkeypatch.delitem(sys.modules, "headspex.engine.shapiq_approximator", raising=False)
    with pytest.raises(ImportError, match=r"pip install 'headspex\[shapiq\]'"):
        importlib.import_module("headspex.engine.shapiq_approximator")


def test_a_weighted_sum_of_spectra_predicts_the_weighted_sum_of_their_predictions() -> None:
    first = Spectrum.from_dict({(): 1.0, (0,): 2.0, (0, 2): -1.0}, n_players=3, keep=0.8)
    second = Spectrum.from_dict({(0,): 3.0, (1,): 0.5}, n_players=3, keep=0.8)
    masks = np.array(list(np.ndindex(2, 2, 2)), dtype=bool)

    both = Spectrum.weighted_sum([(0.5, first), (-2.0, second)])

    np.testing.assert_allclose(
        both.predict(masks), 0.5 * first.predict(masks) - 2 * second.predict(masks), atol=1e-12
    )
    assert both.terms == ((), (0,), (1,), (0, 2))


def test_shapiq_reads_the_same_values() -> None:
    pytest.importorskip("shapiq")
    values = reported().to_shapiq("banzhaf")
    assert values[(0, 1)] == pytest.approx(reported().interactions("banzhaf", keep=0.5)[(0, 1)])


def test_shapiq_gets_no_group_but_those_there_are() -> None:
    """Of 1,024 players there are 178 million groups of up to three."""
    pytest.importorskip("shapiq", reason="shapiq is not installed")
    table = {(0,): 1.0, (1, 2): 2.0, (3, 4, 5): 1.0}
    start = time.monotonic()
    values = Spectrum.from_dict(table, n_players=1024).to_shapiq("moebius", order=3)
    assert time.monotonic() - start < 1
    # (1 - 2 m): -2 for a product of one, 4 for two, -8 for three, beside their smaller groups.
    assert values[(3, 4, 5)] == -8.0
    assert values[(1, 2)] == 8.0
    assert len(values.interactions) == 1 + 3 + 7


def test_the_strongest_effects_come_first() -> None:
    spectrum = Spectrum.from_dict(
        {(): 0.5, (0,): -0.1, (2,): 0.3, (0, 1): 0.2, (1,): 0.0}, n_players=3, keep=0.5
    )
    assert list(spectrum.effects()) == [(2,), (0, 1), (0,), (1,)]
    # A player that comes on moves its character by -2 at keep 1/2.
    assert list(spectrum.effects().values()) == pytest.approx([-0.6, 0.8, 0.2, 0.0])
    assert [one.players for one in spectrum.top(2)] == [(2,), (0, 1)]
    assert [one.players for one in spectrum.top(9, least_order=2)] == [(0, 1)]
    assert sum(one.share for one in spectrum.top(9)) == pytest.approx(1)


def test_the_score_is_r2_as_sklearn_has_it() -> None:
    spectrum = Spectrum.from_dict({(): 0.5, (0,): -0.1, (0, 1): 0.2}, n_players=3, keep=0.6)
    rng = np.random.default_rng(0)
    masks = rng.random((50, 3)) < 0.6
    values = spectrum.predict(masks) + rng.normal(0, 0.1, 50)
    assert spectrum.score(masks, values) == pytest.approx(r2_score(values, spectrum.predict(masks)))
    assert spectrum.score(masks, 1e300 * spectrum.predict(masks)) < 1
    with pytest.raises(UsageError, match="values that differ"):
        spectrum.score(masks, np.ones(50))
    with pytest.raises(UsageError, match="50 masks"):
        spectrum.score(masks, values[:-1])


def test_a_saved_spectrum_is_loaded_the_same(tmp_path: Path) -> None:
    there = tmp_path / "spectrum.json"
    reported().save(there)
    assert Spectrum.load(there).to_json() == reported().to_json()
    with pytest.raises(UsageError, match=r"gone\.json cannot be read"):
        Spectrum.load(tmp_path / "gone.json")
