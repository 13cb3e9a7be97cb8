"""Identities of runs: all that decides what comes out, as JSON."""

from __future__ import annotations

from typing import Any


def first_difference(there: dict[str, Any], here: dict[str, Any]) -> str | None:
    """In what two runs differ first, in words; None where their identities are equal.

    Their commands come first, as other differences follow from that one.
    """
    if there.get("prune") != here.get("prune"):
        return f"{_command(there)} there, {_command(here)} here"
    for key in sorted(there.keys() | here.keys()):
        if there.get(key) != here.get(key):
            return f"{key}: {there.get(key)!r} there, {here.get(key)!r} here"
    return None


def _command(identity: dict[str, Any]) -> str:
    return "headspex prune" if identity.get("prune") else "headspex explain"
