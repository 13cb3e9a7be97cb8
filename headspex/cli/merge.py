"""`headspex merge`: join the shards of a run."""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add its flags."""
    parser.add_argument("shards", type=Path, nargs="+", metavar="SHARD", help="folders that "
                        "`headspex score` made")  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the run's folder")


def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from headspex.runs.shards import merge

    blocks = merge(options.out, options.shards)
    print(f"{blocks} blocks are in {options.out}; headspex prune --out {options.out} with the same "
          "flags continues from them")  # fmt: skip
    return 0
