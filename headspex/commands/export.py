"""`headspex export`: write a pruning mask of a finished run."""

from __future__ import annotations

import argparse
from pathlib import Path

from headspex.errors import UsageError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its flags."""
    parser.add_argument("run", type=Path, metavar="RUN", help="the run's folder")
    parser.add_argument("--sparsity", type=float, required=True, help="share of players to remove")
    parser.add_argument("--format", default="mask", choices=["mask"], help="mask (JSON)")
    parser.add_argument("--to", type=Path, required=True, metavar="DIR", help="a new folder")


def run(options: argparse.Namespace) -> int:
    """Do it; returns the exit code."""
    from headspex.curve import of_method, read_curve
    from headspex.files import read_text
    from headspex.fill import fill_of_run, write_fill
    from headspex.players import Players
    from headspex.results import mask_of
    from headspex.run_folder import finished_run
    from headspex.schedule import Schedule, n_pruned
    from headspex.units import plural

    folder, run = finished_run(options.run)
    identity, results = run["identity"], run["results"]
    players = Players.of_run(results)
    size = n_pruned(options.sparsity, len(players))
    schedule = Schedule.from_json(read_text(folder.schedule), players)
    judged = of_method(read_curve(folder.curve), "proxyspex", results["own_metric"])
    score = next((point.score for point in judged if point.n_pruned == size), None)
    if options.to.exists():
        raise UsageError(f"--to must be a new folder, but {options.to} exists")
    fill = None
    if identity["ablation"] == "mean":
        values = fill_of_run(folder.path / "masks")
        fill = None if values is None else write_fill(options.to, values)
    mask = mask_of(identity, players, schedule.mask(size), score=score, fill=fill)
    path = options.to / "headspex_mask.json"
    mask.write(path)
    total = len(players) // len(players.layers) * players.n_layers  # of the whole model
    heads = plural(players.unit)
    print(f"model {mask.model}   task {mask.task}   {heads} {total} -> {total - size}")
    judged_as = (
        "not judged at this size" if score is None else f"{results['unpruned']:.3f} -> {score:.3f}"
    )
    print(f"held-out {results['own_metric']} {judged_as}   {path}")
    return 0
