"""Shapley values by their definition."""

from itertools import permutations

import numpy as np


def by_permutations(value: np.ndarray, n: int) -> np.ndarray:
    """The mean gain over all n! orders."""
    gains = np.zeros(n)
    orders = list(permutations(range(n)))
    for order in orders:
        seen = 0
        for player in order:
            gains[player] += value[seen | 1 << player] - value[seen]
            seen |= 1 << player
    return gains / len(orders)
