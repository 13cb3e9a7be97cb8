import json
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import hadamard

from headspex.engine.methods.extraction import tree_spectrum
from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError

N = 10
MASKS = (np.arange(2**N)[:, None] >> np.arange(N) & 1).astype(bool)
EVERY_MASK = xgboost.DMatrix(MASKS.astype(np.float32))
SUBSETS = [tuple(i for i in range(N) if code >> i & 1) for code in range(2**N)]

seeds = st.integers(0, 2**32 - 1)


def train(
    inputs: npt.NDArray[Any], values: npt.NDArray[Any], rounds: int, **parameters: Any
) -> xgboost.Booster:
    parameters = {"nthread": 1, "eta": 0.5, "lambda": 0.1, **parameters}
    return xgboost.train(parameters, xgboost.DMatrix(inputs.astype(np.float32), values), rounds)


def random_values(rng: np.random.Generator, masks: npt.NDArray[Any]) -> npt.NDArray[Any]:
    values = rng.normal(size=len(masks))
    for _ in range(4):
        columns = rng.choice(N, rng.integers(1, 5), replace=False)
        values += 2 * rng.normal() * masks[:, columns].all(axis=1)
    return values


def inner_products(values: npt.NDArray[Any], keep: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """E[value * prod_{i in T} chi_i] over all masks for every T, one player at a time."""
    tensor = values.reshape((2,) * N).transpose()  # bit i of a mask's number -> axis i
    for i, p in enumerate(keep):
        off, on = np.take(tensor, 0, axis=i), np.take(tensor, 1, axis=i)
        mean = (1 - p) * off + p * on
        tensor = np.stack([mean, np.sqrt(p * (1 - p)) * (off - on)], axis=i)
    return tensor.transpose().ravel()


def assert_same(spectrum: Spectrum, expected: npt.NDArray[Any], tolerance: float) -> None:
    table = spectrum.to_dict()
    found = np.array([table.get(term, 0.0) for term in SUBSETS])
    np.testing.assert_allclose(found, expected, atol=tolerance)


@given(seed=seeds, rounds=st.integers(1, 8), depth=st.integers(1, 7), rows=st.integers(5, 300))
@settings(max_examples=250)
def test_extraction_equals_walsh_hadamard_of_the_ensemble_on_all_masks(
    seed: int, rounds: int, depth: int, rows: int
) -> None:
    rng = np.random.default_rng(seed)
    masks = rng.random((rows, N)) < 0.5
    booster = train(masks, random_values(rng, masks), rounds, max_depth=depth)
    values = booster.predict(EVERY_MASK).astype(np.float64)
    transform = hadamard(2**N) @ values / 2**N
    # xgboost adds the trees up in float32
    assert_same(tree_spectrum(booster, N), transform, 1e-5 * (1 + np.abs(values).max()))


@given(seed=seeds, rounds=st.integers(1, 6), depth=st.integers(1, 5))
@settings(max_examples=80)
def test_extraction_in_a_biased_basis_equals_inner_products_over_weighted_masks(
    seed: int, rounds: int, depth: int
) -> None:
    rng = np.random.default_rng(seed)
    keep = rng.uniform(0.05, 0.95, N)
    masks = rng.random((200, N)) < keep
    booster = train(masks, random_values(rng, masks), rounds, max_depth=depth)
    values = booster.predict(EVERY_MASK).astype(np.float64)
    spectrum = tree_spectrum(booster, N, keep=keep)
    assert_same(spectrum, inner_products(values, keep), 1e-5 * (1 + np.abs(values).max()))


@given(seed=seeds)
@settings(max_examples=60)
def test_splits_that_repeat_a_player_or_decide_nothing_are_followed_as_xgboost_does(
    seed: int,
) -> None:
    # Trained on real numbers, paths split a column several times, also below 0 and above 1.
    rng = np.random.default_rng(seed)
    inputs = rng.uniform(-1, 2, size=(200, N))
    values = np.sin(3 * inputs[:, 0]) + inputs[:, 1] * inputs[:, 0] + rng.normal(size=200)
    booster = train(inputs, values, 4, max_depth=6)
    on_masks = booster.predict(EVERY_MASK).astype(np.float64)
    assert_same(tree_spectrum(booster, N), hadamard(2**N) @ on_masks / 2**N, 1e-5)


def test_the_inner_products_of_this_file_equal_the_definition() -> None:
    keep, values = np.linspace(0.1, 0.9, N), np.random.default_rng(0).normal(size=2**N)
    weights = np.where(MASKS, keep, 1 - keep).prod(axis=1)
    scaled = (keep - MASKS) / np.sqrt(keep * (1 - keep))
    found = inner_products(values, keep)
    for code in [0, 1, 2, 37, 1023]:
        expected = (weights * values * scaled[:, list(SUBSETS[code])].prod(axis=1)).sum()
        assert found[code] == pytest.approx(expected)


@pytest.mark.parametrize(
    "parameters",
    [
        {"booster": "gbtree", "num_parallel_tree": 5, "subsample": 0.5},
        {"objective": "reg:absoluteerror"},
        {"base_score": 3.25},
        {"grow_policy": "lossguide", "max_leaves": 9, "max_depth": 0},
        {"tree_method": "exact"},
        {"tree_method": "hist", "max_bin": 2},
    ],
)
def test_every_way_to_grow_trees_is_read(parameters: dict[str, Any]) -> None:
    rng = np.random.default_rng(5)
    masks = rng.random((150, N)) < 0.5
    booster = train(masks, random_values(rng, masks), 5, **parameters)
    spectrum = tree_spectrum(booster, N, keep=0.7)
    np.testing.assert_allclose(spectrum.predict(MASKS), booster.predict(EVERY_MASK), atol=1e-4)


def test_a_wide_ensemble_predicts_as_xgboost_does() -> None:
    rng = np.random.default_rng(1)
    masks = rng.random((800, 300)) < 0.8
    values = masks[:, 0] * masks[:, 299] * 3.0 + masks[:, :50].sum(axis=1) + rng.normal(size=800)
    booster = train(masks, values, 30, max_depth=9)
    spectrum = tree_spectrum(booster, 300, keep=0.8)
    assert spectrum.order > 7  # needs more than one 64-bit word per term
    assert spectrum.terms == tuple(sorted(spectrum.terms, key=lambda t: (len(t), t)))
    # The leaf that xgboost sends each mask to, added up in float64 rather than float32.
    leaves = booster.predict(xgboost.DMatrix(masks.astype(np.float32)), pred_leaf=True)
    table = booster.trees_to_dataframe().set_index(["Tree", "Node"])["Gain"]
    exact = np.array(
        [sum(table[tree, int(leaf)] for tree, leaf in enumerate(row)) for row in leaves[:50]]
    )
    base = spectrum.predict(masks[:50]) - exact
    np.testing.assert_allclose(base, np.full(50, base[0]), atol=1e-6)
    found = booster.predict(xgboost.DMatrix(masks[:50].astype(np.float32)))
    np.testing.assert_allclose(exact + base[0], found, atol=1e-4)


def test_weak_terms_are_left_out_on_request() -> None:
    rng = np.random.default_rng(2)
    masks = rng.random((200, N)) < 0.5
    booster = train(masks, random_values(rng, masks), 5)
    whole, strong = tree_spectrum(booster, N), tree_spectrum(booster, N, min_abs=0.1)
    expected = {t: c for t, c in whole.to_dict().items() if not t or abs(c) >= 0.1}
    assert strong.to_dict() == expected
    assert tree_spectrum(booster, N, min_abs=1e9).terms == ((),)


def test_no_trees_and_constant_values_give_a_constant() -> None:
    masks = np.random.default_rng(0).random((20, N)) < 0.5
    for rounds in (0, 3):
        spectrum = tree_spectrum(train(masks, np.full(20, 0.5), rounds), N)
        np.testing.assert_allclose(spectrum.predict(MASKS), 0.5, atol=1e-6)


def test_boosters_that_are_no_plain_sum_of_trees_are_refused() -> None:
    masks = np.random.default_rng(0).random((40, N)) < 0.5
    labels = masks[:, 0].astype(float)
    with pytest.raises(UsageError, match=r"binary:logistic.*link"):
        tree_spectrum(train(masks, labels, 2, objective="binary:logistic"), N)
    with pytest.raises(UsageError, match="10 columns, but 11 players"):
        tree_spectrum(train(masks, labels, 2), N + 1)
    with pytest.raises(UsageError, match="several values"):
        tree_spectrum(train(masks, np.stack([labels, labels], axis=1), 2), N)


@pytest.mark.filterwarnings("ignore:.*is deprecated")  # both kinds, from xgboost 3.4 on
@pytest.mark.parametrize("parameters", [{"booster": "dart", "rate_drop": 0.5, "one_drop": 1}])
def test_a_booster_that_weighs_its_trees_is_refused(parameters: dict[str, Any]) -> None:
    # Its prediction is no plain sum of leaves; up to xgboost 3.2 its kind says so, later a field.
    rng = np.random.default_rng(0)
    booster = train(MASKS, random_values(rng, MASKS), 8, **parameters)
    with pytest.raises(UsageError, match=r"but got dart|also has .*weight_drop"):
        tree_spectrum(booster, N)


@pytest.mark.parametrize("place", [(), ("gradient_booster", "model"), ("learner_model_param",)])
def test_a_field_that_nobody_here_knows_is_refused(place: tuple[str, ...]) -> None:
    booster = train(MASKS, random_values(np.random.default_rng(0), MASKS), 2)
    model = json.loads(bytes(booster.save_raw("json")))
    inside = model["learner"]
    for key in place:
        inside = inside[key]
    inside["halved"] = "1"

    class OfTomorrow(xgboost.Booster):  # type: ignore[misc]
        def save_raw(self, raw_format: str = "json") -> bytearray:
            return bytearray(json.dumps(model).encode())

    with pytest.raises(UsageError, match=rf"also has {'.'.join([*place, 'halved'])}; train"):
        tree_spectrum(OfTomorrow(), N)


def test_pairs_of_an_and_gate_are_found_with_their_hand_computed_coefficients() -> None:
    values = 4.0 * MASKS[:, 2] * MASKS[:, 7]
    booster = train(MASKS, values, 1, max_depth=2, eta=1.0, **{"lambda": 0.0})
    table = tree_spectrum(booster, N).to_dict()
    assert table == pytest.approx({(): 1.0, (2,): -1.0, (7,): -1.0, (2, 7): 1.0}, abs=1e-6)
    assert not any(t in table for t in combinations(range(N), 3))
