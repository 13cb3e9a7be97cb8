"""One seed, many purposes: each user of random numbers has its own named stream.

`tests/test_seeds.py` rejects random numbers from elsewhere, and names used twice.
"""

import zlib

import numpy as np

from headspex.support.validation import whole_seed


def stream(seed: int, name: str) -> np.random.Generator:
    """A generator whose numbers are independent of all other names.

    Raises:
        UsageError: an invalid seed.
    """
    return np.random.default_rng([whole_seed(seed), zlib.crc32(name.encode())])


def derived_seed(seed: int, name: str) -> int:
    """A seed below 2^31 for a library with its own random numbers.

    Raises:
        UsageError: an invalid seed.
    """
    return int(stream(seed, name).integers(2**31))
