"""Packages that only some models need."""

from importlib.util import find_spec

from headspex.errors import UsageError


def need(package: str, why: str) -> None:
    """Refuse to go on without a package, which is an extra of its own name.

    Raises:
        UsageError: it is not installed.
    """
    if find_spec(package) is None:
        raise UsageError(
            f"{why} by {package}, which is not installed; pip install 'headspex[{package}]'"
        )
