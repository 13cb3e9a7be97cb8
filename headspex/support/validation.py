"""What a value must be: a rule in words, and whether a value keeps to it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from headspex.errors import UsageError

MOST_SEED = 2**63 - 1  # xgboost takes no larger one
MOST_THREADS = 1_024  # more than machines have; many times as many cannot be started


@dataclass(frozen=True)
class Check:
    """What values are taken.

    Attributes:
        said: completes "it must be ...".
        fits: whether a value is one, a number of Python's own or text if it can be.
    """

    said: str
    fits: Callable[[Any], bool]

    def take(self, name: str, given: Any) -> Any:
        """`given`, as Python's own number or as text where it has such a form.

        Args:
            name: of the value, in the sentence that refuses it.

        Raises:
            UsageError: it breaks the rule.
        """
        taken = _plain(given)
        if not self.fits(taken):
            raise UsageError(f"{name} must be {self.said}, but is {given!r}")
        return taken


def _plain(given: Any) -> Any:
    """Numbers of numpy as those of Python; paths, and devices and dtypes of torch, as text."""
    if isinstance(given, os.PathLike):
        return os.fspath(given)
    if isinstance(given, Integral):
        return given if isinstance(given, bool) else int(given)
    if isinstance(given, Real):
        return float(given)
    kind = type(given)
    if kind.__module__ == "torch" and kind.__name__ in ("device", "dtype"):
        return str(given).removeprefix("torch.")
    return given


def whole_number(least: int, most: int | None = None) -> Check:
    """A whole number within bounds, both included; truth values and 1e2 are none."""
    within = f"{least:,} or more" if most is None else f"{least:,} to {most:,}"
    return Check(
        f"a whole number, {within}",
        lambda given: type(given) is int and least <= given and (most is None or given <= most),
    )


def word(*words: str) -> Check:
    """One of some words."""
    return Check(" or ".join(words), lambda given: isinstance(given, str) and given in words)


def text(said: str) -> Check:
    """Any text, said to be something."""
    return Check(said, lambda given: isinstance(given, str))


def either(*rules: Check) -> Check:
    """What keeps to one of the rules."""
    return Check(
        ", or ".join(check.said for check in rules),
        lambda given: any(check.fits(given) for check in rules),
    )


def optional(check: Check) -> Check:
    """None too."""
    return Check(check.said, lambda given: given is None or check.fits(given))


PROBABILITY = Check(
    "a number strictly between 0 and 1", lambda given: type(given) is float and 0 < given < 1
)
POSITIVE = Check(
    "a number above 0", lambda given: type(given) in (int, float) and 0 < given < math.inf
)
TRUTH = Check("True or False", lambda given: type(given) is bool)
TEXTS = Check(
    "texts in a list or tuple",
    lambda given: isinstance(given, list | tuple) and all(isinstance(one, str) for one in given),
)
SEED = whole_number(0, MOST_SEED)
THREADS = whole_number(1, MOST_THREADS)


def whole(name: str, given: Any, least: int, most: int | None = None) -> int:
    """`given` as a whole number within bounds, both included.

    Raises:
        UsageError: it is none.
    """
    return int(whole_number(least, most).take(name, given))


def whole_seed(given: Any) -> int:
    """A seed, as `whole`."""
    return int(SEED.take("seed", given))


def whole_threads(given: Any) -> int:
    """A number of threads, as `whole`."""
    return int(THREADS.take("threads", given))
