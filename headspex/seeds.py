"""One seed, many purposes."""

import zlib

import numpy as np

from headspex.rule import whole_seed


def stream(seed: int, name: str) -> np.random.Generator:
    """Independent random numbers for each purpose, so that one never shifts another.

    Raises:
        UsageError: the seed is none.
    """
    return np.random.default_rng([whole_seed(seed), zlib.crc32(name.encode())])
