"""Load a finished run's model and data again."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headspex.errors import UsageError
from headspex.setup import Setup
from headspex.support.identity import differences, first_difference

SCORED = ("weights", "tokenizer", "questions")  # parts of an identity: model and data


def setup_of_run(path: Path, identity: dict[str, Any]) -> Setup:
    """The setup of a run, to add to its scores.

    Raises:
        UsageError: model and data cannot be loaded, or they or package versions have changed.
    """
    setup, here = _opened(path, identity)
    difference = first_difference(identity, here)
    if difference is not None:
        raise UsageError(
            "this adds to the scores of its run, so model, data and versions must be the same, "
            f"but {path} differs ({difference}); repeat the run in a new folder"
        )
    return setup


def setup_to_judge(path: Path, identity: dict[str, Any]) -> Setup:
    """The setup of a run, for new scores; warns of other package versions.

    Raises:
        UsageError: model and data cannot be loaded, or have changed.
    """
    setup, here = _opened(path, identity)
    difference = first_difference(_scored(identity), _scored(here))
    if difference is not None:
        raise UsageError(
            f"model and data must be those of the run in {path}, but differ ({difference}); repeat "
            "the run in a new folder"
        )
    earlier = {name: identity["versions"].get(name, "") for name in here["versions"]}
    if other := differences(earlier, here["versions"]):
        print(
            f"headspex: {path} was made under other versions ({other}); scores may differ in their "
            "last digits",
            file=sys.stderr,
        )
    return setup


def _opened(path: Path, identity: dict[str, Any]) -> tuple[Setup, dict[str, Any]]:
    """The setup, and its present identity."""
    try:
        setup = Setup.of_run(identity)
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path / 'run.json'} is damaged: {error}; repeat the run") from error
    try:
        return setup, setup.identity
    except UsageError as error:
        raise UsageError(f"the model and data of {path} are not available: {error}") from error


def _scored(identity: Mapping[str, Any]) -> dict[str, Any]:
    return {name: identity[name] for name in SCORED}
