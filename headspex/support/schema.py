"""What JSON from outside must look like before it is used: kinds, and whether a value fits."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

Kind = Callable[[Any], str]
"""Where a value does not fit, as "[3].low", or "" where it fits."""

_NOT = "itself"  # a value that is wrong as a whole


def _when(fits: Callable[[Any], bool]) -> Kind:
    return lambda value: "" if fits(value) else _NOT


def whole(low: int, high: int) -> Kind:
    """A whole number within bounds, both included."""
    return _when(lambda value: type(value) is int and low <= value <= high)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e300 and math.isfinite(value)


number = _when(_is_number)
truth = _when(lambda value: type(value) is bool)
text = _when(lambda value: isinstance(value, str) and len(value) <= 100_000)


def optional(kind: Kind) -> Kind:
    """Null, or of the kind."""
    return lambda value: "" if value is None else kind(value)


def either(*kinds: Kind) -> Kind:
    """Of one of the kinds."""
    return lambda value: "" if any(not kind(value) for kind in kinds) else _NOT


def rows(kind: Kind, most: int = 1_000_000) -> Kind:
    """A list of one kind, not longer than `most`."""

    def check(value: Any) -> str:
        if not isinstance(value, list) or len(value) > most:
            return _NOT
        return _first({f"[{i}]": kind(one) for i, one in enumerate(value)})

    return check


def table(kind: Kind, most: int = 100_000) -> Kind:
    """An object with any names and values of one kind."""

    def check(value: Any) -> str:
        if not isinstance(value, dict) or len(value) > most:
            return _NOT
        return _first({name: kind(one) for name, one in value.items()})

    return check


def record(kinds: Mapping[str, Kind], *, later: Mapping[str, Kind] = MappingProxyType({})) -> Kind:
    """An object that has these fields; others are not looked at.

    Args:
        kinds: of the fields.
        later: of fields that earlier versions did not write.
    """

    def check(value: Any) -> str:
        if not isinstance(value, dict):
            return _NOT
        every = {**kinds, **later}
        found = {name: kind(value[name]) for name, kind in every.items() if name in value}
        return next((name for name in kinds if name not in value), "") or _first(found)

    return check


def _first(found: Mapping[str, str]) -> str:
    for name, where in found.items():
        if where:
            return name if where == _NOT else f"{name}.{where}".replace(".[", "[")
    return ""
