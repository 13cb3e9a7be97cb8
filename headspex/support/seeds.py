"""One seed, many purposes: each part that draws has a stream of its own, by name.

`tests/test_seeds.py` refuses random numbers from elsewhere, and a name that two parts share.
"""

import zlib

import numpy as np

from headspex.support.validation import whole_seed


def stream(seed: int, name: str) -> np.random.Generator:
    """Independent random numbers for each purpose, so that one never shifts another.

    Raises:
        UsageError: an invalid seed.
    """
    return np.random.default_rng([whole_seed(seed), zlib.crc32(name.encode())])


def derived_seed(seed: int, name: str) -> int:
    """A seed below 2^31 for a library that draws by itself.

    Raises:
        UsageError: an invalid seed.
    """
    return int(stream(seed, name).integers(2**31))
