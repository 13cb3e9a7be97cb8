"""Masks and values in whatever people hold them."""

import os
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from headspex import UsageError, explain, fit_spectrum
from headspex.engine.search import search
from headspex.support.arrays import as_array

RNG = np.random.default_rng(0)
MASKS = RNG.random((120, 6)) < 0.5
GATE = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))


def played(masks: np.ndarray) -> np.ndarray:
    """Whole numbers, which bfloat16 and float8 hold too."""
    values: np.ndarray = 4.0 * masks[:, 0] - 2.0 * (masks[:, 1] & masks[:, 2])
    return values


VALUES = played(MASKS)
FITTED = fit_spectrum(MASKS, VALUES).to_dict()

HELD_MASKS: dict[str, Callable[[], Any]] = {
    "a sparse matrix": lambda: scipy.sparse.csr_matrix(MASKS),
    "a sparse array": lambda: scipy.sparse.coo_array(MASKS.astype(float)),
    "a bfloat16 tensor": lambda: torch.tensor(MASKS).bfloat16(),
    "a tensor with gradient": lambda: torch.tensor(MASKS * 1.0, requires_grad=True),
    "a sparse tensor": lambda: torch.tensor(MASKS * 1.0).to_sparse(),
    "a list of tensors": lambda: [torch.tensor(row) for row in MASKS],
    "a frame with a shuffled index": lambda: pd.DataFrame(MASKS, index=RNG.permutation(120)),
    "a frame of nullable truth": lambda: pd.DataFrame(MASKS).astype("boolean"),
    "a frame of mixed columns": lambda: pd.DataFrame(
        {i: MASKS[:, i].astype(int if i % 2 else bool) for i in range(6)}
    ),
}
HELD_VALUES: dict[str, Callable[[np.ndarray], Any]] = {
    "a tensor with gradient": lambda v: torch.tensor(v) * GATE,
    "a bfloat16 tensor": lambda v: torch.tensor(v).bfloat16(),
    "a float8 tensor": lambda v: torch.tensor(v).to(torch.float8_e4m3fn),
    "a list of tensors with gradient": lambda v: [torch.tensor(x) * GATE[0] for x in v],
    "a series with a shuffled index": lambda v: pd.Series(v, index=RNG.permutation(len(v))),
    "a nullable series": lambda v: pd.Series(v).astype("Float64"),
    "fractions": lambda v: [Fraction(x) for x in v],
}
NO_VALUES: dict[str, tuple[Callable[[np.ndarray], Any], str]] = {
    "text": (lambda v: [str(x) for x in v], "must be numbers, but are of the type <U"),
    "times": (lambda v: v.astype("timedelta64[s]"), "must be numbers, but are of the type time"),
    "nothing": (lambda v: None, r"shape \(40,\), but returned None"),
    "a missing one": (lambda v: pd.Series([None, *v[1:]], dtype="Float64"), "finite"),
    "masked ones": (lambda v: np.ma.masked_array(v, v > 1), "some are masked"),
    "complex tensor": (lambda v: torch.tensor(v * 1j), "must be real numbers"),
    "huge": (lambda v: [10**400] * len(v), "too large"),
    "huger than float64": (lambda v: v + np.longdouble("1e400"), r"values\[0\] is inf"),
    "near the end of float64": (lambda v: v + 2e305, "must lie within 1e\\+305 of 0"),
}


@pytest.mark.parametrize("held", HELD_MASKS)
def test_masks_are_taken_as(held: str) -> None:
    given = HELD_MASKS[held]()
    spectrum = fit_spectrum(given, VALUES)
    assert spectrum.to_dict() == FITTED
    np.testing.assert_array_equal(spectrum.predict(given), spectrum.predict(MASKS))


@pytest.mark.parametrize("held", HELD_VALUES)
def test_values_are_taken_as(held: str) -> None:
    expected = explain(played, 6, budget=40).to_dict()
    assert explain(lambda masks: HELD_VALUES[held](played(masks)), 6, budget=40).to_dict() == (
        expected
    )


@pytest.mark.parametrize("held", NO_VALUES)
def test_values_that_are_no_numbers_are_refused(held: str) -> None:
    made, said = NO_VALUES[held]
    with pytest.raises(UsageError, match=said):
        explain(lambda masks: made(played(masks)), 6, budget=40)


def test_rows_of_different_lengths_are_refused() -> None:
    with pytest.raises(UsageError, match=r"masks must be an array of numbers, but is of type list"):
        fit_spectrum([[1, 0], [1]], [1.0, 2.0])


def test_weights_and_groups_may_be_tensors_and_series() -> None:
    weights, groups = RNG.random(120) + 0.5, np.arange(120) // 2
    expected = fit_spectrum(MASKS, VALUES, weights=weights, groups=groups).to_dict()
    found = fit_spectrum(
        MASKS, VALUES, weights=torch.tensor(weights, requires_grad=True),
        groups=pd.Series(groups, index=groups[::-1]),
    )  # fmt: skip
    assert found.to_dict() == expected


def test_weights_that_lose_each_other_in_a_sum_are_refused() -> None:
    with pytest.raises(UsageError, match=r"at most 1e\+15 times the smallest, but they are 1 and"):
        fit_spectrum(MASKS, VALUES, weights=np.r_[1e-30, np.ones(119)])
    tiny = fit_spectrum(MASKS, VALUES, weights=np.full(120, 2.0**-1000))
    assert tiny.to_dict() == FITTED


def test_a_value_function_may_change_its_masks() -> None:
    def spoiling(masks: np.ndarray) -> np.ndarray:
        values = played(masks)
        masks[:] = False
        return values

    assert explain(spoiling, 6, budget=40).to_dict() == explain(played, 6, budget=40).to_dict()
    spoilt, whole = (search(f, 17, budget=60) for f in (spoiling, played))
    np.testing.assert_array_equal(spoilt.masks, whole.masks)
    assert spoilt.lasso().to_dict() == whole.lasso().to_dict()


def test_a_table_without_numbers_of_numpy_keeps_its_type() -> None:
    assert as_array([[True, False]], "masks").dtype == np.bool_
    assert as_array(np.ones((2, 2), np.float32), "masks").dtype == np.float32


def test_a_fork_after_the_tokenizer_was_used_warns_of_nothing_and_ends(
    capfd: pytest.CaptureFixture[str],
) -> None:
    from headspex.tiny.tokenizer import build_tokenizer

    tokenizer = build_tokenizer()
    tokenizer(["a b c d"] * 500, verbose=False)
    child = os.fork()
    if child == 0:
        tokenizer(["a b c d"] * 500, verbose=False)
        os._exit(0)
    until = time.monotonic() + 60
    ended, status = 0, 1
    while not ended and time.monotonic() < until:
        ended, status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.01)
    if not ended:
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert status == 0
    assert capfd.readouterr().err == ""
