"""Identities of runs: everything that determines the result, as JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any


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
        if there.get(key) != here.get(key):
            return f"{key}: {there.get(key)!r} there, {here.get(key)!r} here"
    return None


def _command(identity: dict[str, Any]) -> str:
    return "headspex prune" if identity.get("prune") else "headspex explain"
