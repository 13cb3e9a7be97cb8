"""Package versions that the tests ran with."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version

# First two numbers only; constraints.txt has them in full.
TESTED = {
    "python": ("3.11", "3.13"),
    "torch": ("2.13",),
    "transformers": ("5.23",),
    "transformer-lens": ("4.3",),
    "xgboost": ("3.2", "3.4"),
    "numpy": ("2.4", "2.5"),
}


def here(name: str) -> str:
    """The installed version in full; "none" if the package is missing."""
    if name == "python":
        return ".".join(map(str, sys.version_info[:3]))
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"


def untested() -> dict[str, str]:
    """Installed versions that the tests did not run with."""
    found = {name: here(name) for name in TESTED}
    return {name: given for name, given in found.items() if short(given) not in TESTED[name]}


def short(given: str) -> str:
    """The first two numbers of a version."""
    return ".".join(given.split("+")[0].split(".")[:2])
