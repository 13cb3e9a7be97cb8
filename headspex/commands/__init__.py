"""What the command line can do: one module a command, with its flags and what it does.

The modules are light to import, so that `--help` answers at once; what takes seconds to import,
they import when they run.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Protocol

from headspex.commands import (
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


class Module(Protocol):
    """A module of this package."""

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's flags."""

    def run(self, options: argparse.Namespace) -> int:
        """Do it; returns the exit code."""


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes:
        does: what, in a line.
        module: with its flags and its work.
    """

    does: str
    module: Module


COMMANDS = {
    "prune": Command("find the heads that matter and the ones that can go", prune),
    "explain": Command("find the heads and interactions that matter, no more", explain),
    "eval": Command("score a model, whole or under a mask", eval),
    "plot": Command("draw a figure of a finished run", plot),
    "compare": Command("set other methods against a finished run's", compare),
    "schedule": Command("make another schedule of finished runs, judged beside theirs", schedule),
    "export": Command("write a mask of a finished run, or the model without its heads", export),
    "status": Command("say how far a run is", status),
    "score": Command("measure a share of a run's scores", score),
    "merge": Command("join the shares of a run", merge),
    "models": Command("say which models have a name", models),
    "tasks": Command("say which tasks have a name, and their subjects", tasks),
    "doctor": Command("look whether this machine can do it", doctor),
    "lm-eval": Command(
        "lm-eval's own command line, with --model headspex for masked models", lm_eval
    ),
    "features": Command("find the words of a prompt that an output rests on", features),
    "data": Command("find the training samples that a prediction rests on", data),
}
