"""The commands: one module each, with its flags and what it does.

The modules are quick to import, so that `--help` answers at once. They import slow packages when
they run.
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
        """Run the command; returns the exit code."""


def _nowhere(options: argparse.Namespace) -> None:
    """The folder of a command that only prints: none."""


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
        does: its line in the help.
        module: its implementation.
        keeps: the folder of its results; None if it only prints them.
    """

    does: str
    module: Module
    keeps: Callable[[argparse.Namespace], Path | None] = _nowhere


COMMANDS = {
    "prune": Command("find the heads that matter and those that can be removed", prune, _in_run),
    "explain": Command(
        "find the heads and interactions that matter, without pruning", explain, _in_run
    ),
    "eval": Command("score a model, whole or under a mask", eval),
    "plot": Command("draw a figure of a finished run", plot, _in_to_or_run),
    "compare": Command("compare other methods on a finished run", compare, _in_to_or_run),
    "schedule": Command(
        "make a new schedule from finished runs, judged beside their own", schedule, _in_to
    ),
    "export": Command("write a mask of a finished run, or the pruned model", export, _in_to),
    "status": Command("print the progress of a run", status),
    "score": Command("measure a share of a run's scores", score, _in_run),
    "merge": Command("join the shares of a run's scores", merge, _in_out),
    "models": Command("list the models with short names", models),
    "tasks": Command("list the named tasks and their subjects", tasks),
    "doctor": Command("check that headspex works on this machine", doctor),
    "lm-eval": Command(
        "lm-eval's own command line, with --model headspex for masked models", lm_eval
    ),
    "features": Command("find the words of a prompt that an output depends on", features, _in_out),
    "data": Command("find the training samples that a prediction depends on", data, _in_out),
}
