"""`headspex models`: values of --model."""

from __future__ import annotations

import argparse
import json


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add its flags."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from headspex.hooks import ALIASES, ARCHITECTURES

    if options.json:
        content = {"ships": ["tiny"], "aliases": ALIASES, "architectures": sorted(ARCHITECTURES)}
        print(json.dumps(content))
        return 0
    width = max(map(len, ALIASES))
    print(f"{'tiny':{width}}  ships with headspex")
    for alias, name in ALIASES.items():
        print(f"{alias:{width}}  {name}")
    print(f"\nor a Hub name (org/name), or a folder, of a {', '.join(sorted(ARCHITECTURES))}")
    return 0
