"""The output folder of a command: when it may be used, and the settings recorded there."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from headspex.errors import UsageError
from headspex.runs.run_folder import check_can_be_made, is_empty_folder
from headspex.support.files import read_json, write_json
from headspex.support.identity import first_difference

SETTINGS = "settings.json"
VERSIONS = ("headspex", "numpy", "scikit-learn", "xgboost")
_NO_SETTINGS = ("out", "json", "max_memory")  # flags that change no results


def settings_of(
    options: argparse.Namespace, *, packages: Iterable[str] = (), **fingerprints: str
) -> dict[str, Any]:
    """A command's flags, and everything else that decides its numbers.

    Args:
        options: as parsed.
        packages: whose versions matter, besides `VERSIONS`.
        fingerprints: of weights, tokenizer or data.
    """
    given = {name: value for name, value in vars(options).items() if name not in _NO_SETTINGS}
    versions = {name: version(name) for name in (*VERSIONS, *packages)}
    return {**given, **fingerprints, "versions": versions}


def check_out(path: Path, settings: Mapping[str, Any]) -> None:
    """Refuse a folder that these settings may not write to; creates nothing.

    Raises:
        UsageError: it holds something else or results of other settings, or cannot be created.
    """
    command = settings["command"]
    found = read_json(path / SETTINGS) if (path / SETTINGS).is_file() else None
    earlier = found if isinstance(found, dict) else {}
    own = earlier.get("command") == command
    if path.exists() and not own and not is_empty_folder(path):
        raise UsageError(
            f"--out must be a new or empty folder, or one that headspex {command} filled, but "
            f"{path} holds something else; choose another --out"
        )
    if own and (difference := first_difference(earlier, dict(settings))) is not None:
        raise UsageError(
            f"an output folder holds the results of one command, but {path} holds those of another "
            f"({difference}); choose another --out"
        )
    check_can_be_made(path, "--out")


def claim_out(path: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings before any results, so that a repeated command accepts the folder."""
    write_json(path / SETTINGS, settings)
