"""Whole numbers that a user gives, within bounds; each refused by name and rule."""

from numbers import Integral

from headspex.errors import UsageError

MOST_SEED = 2**63 - 1  # xgboost takes no larger one
MOST_THREADS = 1_024  # more than any machine has; far more cannot be started


def whole(name: str, given: object, least: int, most: int | None = None) -> int:
    """`given` as an int; integers of numpy are whole numbers too, truth values and 1e2 are none.

    Raises:
        UsageError: it is no whole number, or outside `least`..`most`, both included.
    """
    if isinstance(given, Integral) and not isinstance(given, bool):
        number = int(given)
        if least <= number and (most is None or number <= most):
            return number
    within = f"{least:,} or more" if most is None else f"{least:,} to {most:,}"
    raise UsageError(f"{name} must be a whole number, {within}, but is {given!r}")


def whole_seed(given: object) -> int:
    """A seed, as `whole`."""
    return whole("seed", given, 0, MOST_SEED)


def whole_threads(given: object) -> int:
    """A number of threads, as `whole`."""
    return whole("threads", given, 1, MOST_THREADS)
