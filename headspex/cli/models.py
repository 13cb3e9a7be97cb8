"""`headspex models`: what --model can be."""

from __future__ import annotations

import argparse
import json


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its flags."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Do it; returns the exit code."""
    from headspex.hooks import ALIASES, ARCHITECTURES

    if options.json:
        told = {"ships": ["tiny"], "aliases": ALIASES, "architectures": sorted(ARCHITECTURES)}
        print(json.dumps(told))
        return 0
    width = max(map(len, ALIASES))
    print(f"{'tiny':{width}}  ships with headspex")
    for alias, name in ALIASES.items():
        print(f"{alias:{width}}  {name}")
    print(f"\nor a Hub name (org/name), or a folder, of a {', '.join(sorted(ARCHITECTURES))}")
    return 0
