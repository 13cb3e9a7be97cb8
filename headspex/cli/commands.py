"""What the command line can do: one module a command, with its flags and what it does.

The modules are light to import, so that `--help` answers at once; what takes seconds to import,
they import when they run.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from headspex.cli import (
    compare,
    data,
    doctor,
    eval,
    explain,
    export,
    features,
    lm_eval,
    merge,
    models,
    plot,
    prune,
    schedule,
    score,
    status,
    tasks,
)
from headspex.cli.options import out_of


class Module(Protocol):
    """A module of this package."""

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's flags."""

    def run(self, options: argparse.Namespace) -> int:
        """Do it; returns the exit code."""


def _nowhere(options: argparse.Namespace) -> None:
    """It only prints."""


def _in_run(options: argparse.Namespace) -> Path | None:
    return None if options.dry_run else out_of(options)


def _in_out(options: argparse.Namespace) -> Path | None:
    out: Path | None = options.out
    return out


def _in_to(options: argparse.Namespace) -> Path | None:
    to: Path | None = options.to
    return to


def _in_to_or_run(options: argparse.Namespace) -> Path | None:
    to: Path = options.to or options.run
    return to


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes:
        does: what, in a line.
        module: with its flags and its work.
        keeps: where its results are when it is finished; None where it only tells them.
    """

    does: str
    module: Module
    keeps: Callable[[argparse.Namespace], Path | None] = _nowhere


COMMANDS = {
    "prune": Command("find the heads that matter and the ones that can go", prune, _in_run),
    "explain": Command("find the heads and interactions that matter, no more", explain, _in_run),
    "eval": Command("score a model, whole or under a mask", eval),
    "plot": Command("draw a figure of a finished run", plot, _in_to_or_run),
    "compare": Command("set other methods against a finished run's", compare, _in_to_or_run),
    "schedule": Command(
        "make another schedule of finished runs, judged beside theirs", schedule, _in_to
    ),
    "export": Command(
        "write a mask of a finished run, or the model without its heads", export, _in_to
    ),
    "status": Command("say how far a run is", status),
    "score": Command("measure a share of a run's scores", score, _in_run),
    "merge": Command("join the shares of a run", merge, _in_out),
    "models": Command("say which models have a name", models),
    "tasks": Command("say which tasks have a name, and their subjects", tasks),
    "doctor": Command("look whether this machine can do it", doctor),
    "lm-eval": Command(
        "lm-eval's own command line, with --model headspex for masked models", lm_eval
    ),
    "features": Command("find the words of a prompt that an output rests on", features, _in_out),
    "data": Command("find the training samples that a prediction rests on", data, _in_out),
}
