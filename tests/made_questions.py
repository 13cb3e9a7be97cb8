"""Questions and masks for models of three layers with four heads, drawn at random."""

import numpy as np

from headspex.tasks import EncodedQuestion

LETTERS = ((10,), (11,), (12,), (13,))


def ask(count: int, prefix: int, seed: int = 0) -> list[EncodedQuestion]:
    """Questions of 5 to 30 tokens behind the same `prefix` tokens."""
    rng = np.random.default_rng(seed)
    shots = rng.integers(3, 300, prefix).tolist()
    return [
        EncodedQuestion((*shots, *rng.integers(3, 300, rng.integers(5, 31)).tolist()), LETTERS)
        for _ in range(count)
    ]


def draw(count: int, layers: list[int], seed: int = 1) -> np.ndarray:
    """Masks [count, 3, 4] that keep each head of `layers` with probability 1/2, and all others."""
    masks = np.ones((count, 3, 4), dtype=bool)
    masks[:, layers] = np.random.default_rng(seed).random((count, len(layers), 4)) < 0.5
    return masks
