"""`headspex plot`: draw a figure of a finished run."""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its flags."""
    parser.add_argument("run", type=Path, metavar="RUN", help="the run's folder")
    parser.add_argument("name", metavar="NAME", help="curve, energy or heads; faithfulness after "
                      "compare")  # fmt: skip
    parser.add_argument("--to", type=Path, metavar="FILE", help=".svg, .png or .pdf")


def run(options: argparse.Namespace) -> int:
    """Do it; returns the exit code."""
    from headspex.figures.of_run import draw
    from headspex.run_folder import finished_run

    folder, run = finished_run(options.run)
    print(
        draw(
            folder,
            run["results"],
            options.name,
            options.to or folder.figures / f"{options.name}.svg",
        )
    )
    return 0
