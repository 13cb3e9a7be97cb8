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
class Rule:
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


def whole_number(least: int, most: int | None = None) -> Rule:
    """A whole number within bounds, both included; truth values and 1e2 are none."""
    within = f"{least:,} or more" if most is None else f"{least:,} to {most:,}"
    return Rule(
        f"a whole number, {within}",
        lambda given: type(given) is int and least <= given and (most is None or given <= most),
    )


def word(*words: str) -> Rule:
    """One of some words."""
    return Rule(" or ".join(words), lambda given: isinstance(given, str) and given in words)


def text(said: str) -> Rule:
    """Any text, said to be something."""
    return Rule(said, lambda given: isinstance(given, str))


def either(*rules: Rule) -> Rule:
    """What keeps to one of the rules."""
    return Rule(
        ", or ".join(rule.said for rule in rules),
        lambda given: any(rule.fits(given) for rule in rules),
    )


def optional(rule: Rule) -> Rule:
    """None too."""
    return Rule(rule.said, lambda given: given is None or rule.fits(given))


PROBABILITY = Rule(
    "a number strictly between 0 and 1", lambda given: type(given) is float and 0 < given < 1
)
POSITIVE = Rule(
    "a number above 0", lambda given: type(given) in (int, float) and 0 < given < math.inf
)
TRUTH = Rule("True or False", lambda given: type(given) is bool)
TEXTS = Rule(
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
