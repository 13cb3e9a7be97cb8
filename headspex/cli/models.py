"""`headspex models`: values of --model."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add its flags."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from headspex.hooks.catalogue import ALIASES, FAMILIES

    if options.json:
        families = {name: asdict(family) for name, family in FAMILIES.items()}
        print(json.dumps({"ships": ["tiny"], "aliases": ALIASES, "architectures": families}))
        return 0
    width = max(map(len, ALIASES))
    print(f"{'tiny':{width}}  ships with headspex")
    for alias, name in ALIASES.items():
        print(f"{alias:{width}}  {name}")
    print("\nor a Hub name (org/name), or a folder. Families that the tests cover:\n")
    titles = max(len(family.title) for family in FAMILIES.values())
    width = max(map(len, FAMILIES))
    print(f"{'':{titles}}  {'architecture':{width}}  exports")
    for name, family in FAMILIES.items():
        exports = "zeroed, shrunk" if family.shrinks else "zeroed"
        print(f"{family.title:{titles}}  {name:{width}}  {exports}")
    print(
        "\nAll of them run on hooks and on the fast path. Any other decoder that TransformerLens "
        "has a\nbridge for is taken after a check, when it is loaded, that hooks remove its heads."
    )
    return 0
