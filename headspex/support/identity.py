"""Identities of runs: everything that determines the result, as JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

# Why a difference matters, where that is not plain.
_WHY = {"versions": ", on which the last digits of scores depend"}


def digest(texts: Iterable[str]) -> str:
    """The sha256 of texts, one a line."""
    return hashlib.sha256("\n".join(texts).encode("utf-8", "surrogatepass")).hexdigest()


def first_difference(there: dict[str, Any], here: dict[str, Any]) -> str | None:
    """The first difference between two runs, in words; None if their identities are equal.

    A difference in the command comes first, as others follow from it.
    """
    if there.get("prune") != here.get("prune"):
        return f"{_command(there)} there, {_command(here)} here"
    for key in sorted(there.keys() | here.keys()):
        one, other = there.get(key), here.get(key)
        if one == other:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            return f"{key}{_WHY.get(key, '')}: {differences(one, other)}"
        return f"{key}: {one!r} there, {other!r} here"
    return None


def differences(there: dict[str, Any], here: dict[str, Any]) -> str:
    """All entries that differ, in words; "" if none does."""
    names = sorted(name for name in there.keys() | here.keys() if there.get(name) != here.get(name))
    return "; ".join(f"{name} {there.get(name)!r} there, {here.get(name)!r} here" for name in names)


def _command(identity: dict[str, Any]) -> str:
    return "headspex prune" if identity.get("prune") else "headspex explain"
