"""`headspex score`: measure a share of a run's scores, for clusters without Ray."""

from __future__ import annotations

import argparse
import time

from headspex.cli.costs import print_costs
from headspex.cli.options import add_run, add_study, pool_of, study_of


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add its flags."""
    add_study(parser)
    add_run(parser)
    parser.add_argument("--shard", default="1/1", metavar="i/n", help="the i-th of n equal shares, "
                        "each with an --out of its own (default: %(default)s)")  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    import json

    from headspex.cli.options import out_of
    from headspex.runs.shards import Shard, score_shard

    begin = time.perf_counter()
    shard, study = Shard.parse(options.shard), study_of(options)
    if options.dry_run:  # the cost of the whole run
        print_costs(study, options, begin)
        return 0
    out = out_of(options)
    passes = score_shard(study, out, shard, pool_of(options))
    if options.json:
        print(json.dumps({"run": str(out), "shard": options.shard, "passes": passes}))
        return 0
    print(f"shard {options.shard}: {passes:,} passes are in {out}")
    print("headspex merge joins the shards; headspex prune with the same flags continues")
    return 0
