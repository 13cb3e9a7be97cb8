"""`headspex explain`: find which heads and interactions matter; no schedule is judged."""

from __future__ import annotations

import argparse

from headspex.cli import prune
from headspex.cli.options import add_minutes, add_run, add_study


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add its flags."""
    add_study(parser)
    add_run(parser, prune=False)
    add_minutes(parser)
    parser.set_defaults(prune=False)


def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    return prune.run(options)
