"""The folder of a command's results: claimed before the work, with all that repeats it."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from headspex.errors import UsageError
from headspex.files import read_json, write_json
from headspex.runs.run_folder import is_empty_folder

SETTINGS = "settings.json"
VERSIONS = ("headspex", "numpy", "scikit-learn", "xgboost")
_NO_SETTINGS = ("out", "json")  # flags that change no number


def claim_out(path: Path, command: str) -> None:
    """Make the folder, or take one that the same command filled.

    Raises:
        UsageError: it holds something else, or cannot be made.
    """
    settings = path / SETTINGS
    own = settings.is_file() and read_json(settings).get("command") == command
    if path.exists() and not own and not is_empty_folder(path):
        raise UsageError(
            f"--out must be a new or empty folder, or one that headspex {command} filled, but "
            f"{path} holds something else"
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"--out must be a folder that can be made, but {path} cannot: {error.strerror}"
        ) from error


def write_settings(
    options: argparse.Namespace, *, packages: Iterable[str] = (), **fingerprints: str
) -> None:
    """Write what a command was told, and what decides its numbers beside that.

    Args:
        options: as parsed; `out` is the folder.
        packages: whose versions count beside `VERSIONS`.
        fingerprints: of weights, tokenizer or data.
    """
    told = {name: value for name, value in vars(options).items() if name not in _NO_SETTINGS}
    versions = {name: version(name) for name in (*VERSIONS, *packages)}
    write_json(options.out / SETTINGS, {**told, **fingerprints, "versions": versions})
