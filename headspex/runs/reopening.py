"""A finished run's model and data loaded again, to add to its scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headspex.errors import UsageError
from headspex.identity import first_difference
from headspex.study import Study


def study_of_run(path: Path, identity: dict[str, Any]) -> Study:
    """The study of a run, its model and data loaded again.

    Raises:
        UsageError: they cannot be loaded, or are no longer what they were.
    """
    try:
        study = Study.of_run(identity)
    except (KeyError, TypeError) as error:
        raise UsageError(f"{path / 'run.json'} is damaged: {error}; repeat the run") from error
    try:
        difference = first_difference(identity, study.identity)
    except UsageError as error:
        raise UsageError(f"the model and data of {path} must be at hand: {error}") from error
    if difference is not None:
        raise UsageError(
            "this adds to the scores of its run, so model, data and versions must be the same, "
            f"but {path} differs ({difference}); repeat the run in a new folder"
        )
    return study
