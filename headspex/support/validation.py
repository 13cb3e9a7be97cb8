"""Checks of arguments, settings and parts of JSON files."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any

from headspex.errors import UsageError

MOST_SEED = 2**63 - 1  # xgboost takes no larger one
MOST_THREADS = 1_024  # more than machines have; far higher numbers cannot be started
LONGEST_TEXT = 100_000  # characters of a text in a file
_WHOLE_VALUE = "itself"  # the misfit of a value that is wrong as a whole, not in a part


@dataclass(frozen=True)
class Check:
    """A test of values, and its description.

    Attributes:
        said: completes "it must be ...".
        misfit: path to the part that does not fit, such as "[3].low"; "" if the value fits.
    """

    said: str
    misfit: Callable[[Any], str]

    def fits(self, value: Any) -> bool:
        """Whether the value is accepted."""
        return not self.misfit(value)

    def take(self, name: str, given: Any) -> Any:
        """`given`, with numpy numbers as Python numbers, and paths, devices and dtypes as text.

        Args:
            name: of the value, for the error message.
            given: the value.

        Raises:
            UsageError: the value does not fit.
        """
        taken = _plain(given)
        if not self.fits(taken):
            raise UsageError(f"{name} must be {self.said}, but is {given!r}")
        return taken


def _plain(given: Any) -> Any:
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


def check(said: str, fits: Callable[[Any], bool]) -> Check:
    """A check of a value as a whole."""
    return Check(said, lambda value: "" if fits(value) else _WHOLE_VALUE)


def whole_number(least: int, most: int | None = None) -> Check:
    """A whole number within bounds, both included; True and 1e2 are refused."""
    within = f"{least:,} or more" if most is None else f"{least:,} to {most:,}"
    return check(
        f"a whole number, {within}",
        lambda value: type(value) is int and least <= value and (most is None or value <= most),
    )


def word(*words: str) -> Check:
    """One of some words."""
    return check(" or ".join(words), lambda value: isinstance(value, str) and value in words)


def text(said: str = "text") -> Check:
    """Text of at most `LONGEST_TEXT` characters."""
    return check(said, lambda value: isinstance(value, str) and len(value) <= LONGEST_TEXT)


def either(*checks: Check) -> Check:
    """A value that fits at least one of the checks."""
    said = ", or ".join(one.said for one in checks)
    return check(said, lambda value: any(one.fits(value) for one in checks))


def optional(one: Check) -> Check:
    """A value that fits the check, or None."""
    return Check(one.said, lambda value: "" if value is None else one.misfit(value))


def rows(one: Check, most: int = 1_000_000) -> Check:
    """A list of at most `most` values that fit the check."""

    def misfit(value: Any) -> str:
        if not isinstance(value, list) or len(value) > most:
            return _WHOLE_VALUE
        return _first({f"[{i}]": one.misfit(part) for i, part in enumerate(value)})

    return Check(f"a list of {one.said}", misfit)


def table(one: Check, most: int = 100_000) -> Check:
    """An object with any names, and values that fit the check."""

    def misfit(value: Any) -> str:
        if not isinstance(value, dict) or len(value) > most:
            return _WHOLE_VALUE
        return _first({name: one.misfit(part) for name, part in value.items()})

    return Check(f"an object of {one.said}", misfit)


def record(
    checks: Mapping[str, Check], *, later: Mapping[str, Check] = MappingProxyType({})
) -> Check:
    """An object with these fields; others are ignored.

    Args:
        checks: of required fields.
        later: of optional fields, which earlier versions did not write.
    """

    def misfit(value: Any) -> str:
        if not isinstance(value, dict):
            return _WHOLE_VALUE
        every = {**checks, **later}
        found = {name: one.misfit(value[name]) for name, one in every.items() if name in value}
        return next((name for name in checks if name not in value), "") or _first(found)

    return Check(f"an object with {', '.join(checks)}", misfit)


def _first(found: Mapping[str, str]) -> str:
    for name, where in found.items():
        if where:
            return name if where == _WHOLE_VALUE else f"{name}.{where}".replace(".[", "[")
    return ""


PROBABILITY = check(
    "a number strictly between 0 and 1", lambda value: type(value) is float and 0 < value < 1
)
POSITIVE = check(
    "a number above 0", lambda value: type(value) in (int, float) and 0 < value < math.inf
)
NUMBER = check(
    "a number",
    lambda value: type(value) in (int, float) and abs(value) < 1e300 and math.isfinite(value),
)
TRUTH = check("True or False", lambda value: type(value) is bool)
TEXTS = check(
    "texts in a list or tuple",
    lambda value: isinstance(value, list | tuple) and all(isinstance(one, str) for one in value),
)
SEED = whole_number(0, MOST_SEED)
THREADS = whole_number(1, MOST_THREADS)


def whole(name: str, given: Any, least: int, most: int | None = None) -> int:
    """`given` as a whole number within bounds, both included.

    Raises:
        UsageError: it is not one.
    """
    return int(whole_number(least, most).take(name, given))


def whole_seed(given: Any) -> int:
    """A seed, as `whole`."""
    return int(SEED.take("seed", given))


def whole_threads(given: Any) -> int:
    """A number of threads, as `whole`."""
    return int(THREADS.take("threads", given))
