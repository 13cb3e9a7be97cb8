"""Packages that only some models need."""

from importlib.util import find_spec

from headspex.errors import UsageError


def need(package: str, why: str) -> None:
    """Check that an optional package is installed; its extra has the same name.

    Raises:
        UsageError: the package is not installed.
    """
    if find_spec(package) is None:
        raise UsageError(
            f"{why} by {package}, which is not installed; pip install 'headspex[{package}]'"
        )
