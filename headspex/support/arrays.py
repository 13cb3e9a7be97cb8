"""Tensors, sparse matrices, series and lists as numpy arrays."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from headspex.errors import UsageError


def as_array(given: Any, name: str) -> npt.NDArray[Any]:
    """`given` as a numpy array. The index of a series or frame is ignored.

    Torch tensors are detached, moved to the CPU and made dense, and bfloat16 becomes float32;
    sparse matrices become dense.

    Args:
        given: a tensor, sparse matrix, series, frame, list or array.
        name: of the array, for error messages.

    Raises:
        UsageError: rows of different lengths, masked entries, or something that numpy cannot hold.
    """
    if np.ma.is_masked(given):
        raise UsageError(
            f"{name} must have no masked entries, but some are masked; leave out those masks"
        )
    torch, sparse = sys.modules.get("torch"), sys.modules.get("scipy.sparse")
    try:
        if torch is not None and isinstance(given, torch.Tensor):
            return _of_tensor(given)
        if torch is not None and isinstance(given, Sequence) and not isinstance(given, str):
            given = [_of_tensor(row) if isinstance(row, torch.Tensor) else row for row in given]
        if sparse is not None and sparse.issparse(given):
            return np.asarray(given.toarray())
        array = np.asarray(given)
        # Columns of several types make an array of objects; convert it to their common type.
        return np.array(array.tolist()) if array.dtype == object and array.ndim else array
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(
            f"{name} must be an array of numbers, but is of type {type(given).__name__} ({reason})"
        ) from error


def as_numbers(given: Any, name: str) -> npt.NDArray[np.float64]:
    """`given` as real numbers, float64; see `as_array`.

    Raises:
        UsageError: complex numbers, or not numbers.
    """
    array = as_array(given, name)
    if array.dtype.kind == "c":
        raise UsageError(
            f"{name} must be real numbers, but are complex; give their real part or magnitude"
        )
    if array.dtype.kind not in "biufO":  # numpy would read text and times as numbers
        raise UsageError(f"{name} must be numbers, but are of the type {array.dtype}")
    try:
        with np.errstate(over="ignore"):  # beyond float64 is infinite, which callers refuse
            return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise UsageError(
            f"{name} must be numbers, but got {type(given).__name__} ({error})"
        ) from error


def _of_tensor(tensor: Any) -> npt.NDArray[Any]:
    plain = tensor.detach().cpu().to_dense().resolve_conj().resolve_neg()
    if plain.is_floating_point() and plain.element_size() <= 2:  # numpy lacks some of these types
        plain = plain.float()
    return np.asarray(plain.numpy())
