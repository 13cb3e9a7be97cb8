"""The Walsh-Hadamard transform."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def walsh_hadamard(values: Float[np.ndarray, "*batch bins"]) -> Float[np.ndarray, "*batch bins"]:
    """The mean over l of value times (-1)^<j, l>, for each j; l and j are read as rows of bits."""
    shape = values.shape
    for bit in range(shape[-1].bit_length() - 1):
        pairs = values.reshape(*shape[:-1], -1, 2, 2**bit)
        low, high = pairs[..., 0, :], pairs[..., 1, :]
        values = np.stack([low + high, low - high], axis=-2) / 2  # no sum grows beyond the values
    return np.asarray(values.reshape(shape))
