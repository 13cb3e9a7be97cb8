"""`headspex data`: training samples, and combinations, that a prediction depends on."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from headspex.support.validation import SEED, whole


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add its flags."""
    add = parser.add_argument
    add("--data", default="digits", help="digits (ships with scikit-learn), cifar10 (from the "
        "Hub), or an .npz file with features and labels (default: %(default)s)")  # fmt: skip
    add("--players", type=int, default=60, help="number of training samples to explain (default: "
        "%(default)s)")  # fmt: skip
    add("--test", type=int, default=0, metavar="N", help="the test point, counted from 0 in the "
        "second half of the shuffled data (default: %(default)s)")  # fmt: skip
    add("--learner", default="rbf", help="ridge, or rbf: ridge with a Gaussian kernel; both in "
        "closed form (default: %(default)s)")  # fmt: skip
    add("--penalty", type=float, default=0.1, help="penalty of ridge regression, in units of a "
        "sample's mean squared norm (default: %(default)s)")  # fmt: skip
    add("--budget", type=int, metavar="SUBSETS", help="how many subsets to train on (default: "
        "4 n log2 n)")  # fmt: skip
    add("--keep", type=float, default=0.5, metavar="P", help="probability that a subset keeps a "
        "sample (default: %(default)s)")  # fmt: skip
    add("--seed", type=int, default=0, help="fixes every random choice (default: %(default)s)")
    add("--out", type=Path, metavar="DIR", help="a folder for spectrum, pairs and pictures")
    add("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from headspex.cli.out_folder import check_out, claim_out, settings_of
    from headspex.data.findings import explain_training
    from headspex.data.sources import fingerprint, near_players, read_data
    from headspex.data.value import PENALTY

    whole("--players", options.players, 2)
    SEED.take("--seed", options.seed)
    PENALTY.take("--penalty", options.penalty)
    features, labels = read_data(options.data)
    value, chosen = near_players(
        features, labels, players=options.players, test=options.test, learner=options.learner,
        penalty=options.penalty, seed=options.seed,
    )  # fmt: skip
    settings: dict[str, Any] = {}
    if options.out is not None:
        settings = settings_of(options, data_sha256=fingerprint(features, labels))
        check_out(options.out, settings)
    found = explain_training(
        value, features[chosen], labels[chosen], budget=options.budget, keep=options.keep,
        seed=options.seed,
    )  # fmt: skip
    if options.out is not None:
        claim_out(options.out, settings)
        found.write(options.out)
    if options.json:
        print(json.dumps(found.to_dict()))
        return 0
    print(found)
    if options.out is not None:
        print(f"Everything is in {options.out}")
    return 0
