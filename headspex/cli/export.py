"""`headspex export`: write a pruning mask of a finished run, or the pruned model."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add its flags."""
    add = parser.add_argument
    add("source", type=Path, metavar="RUN", help="the run's folder, or a mask file")
    add("--sparsity", type=float, help="share of the run's heads to remove, such as 0.25")
    add("--format", default="mask", choices=["mask", "zeroed", "shrunk"],
        help="mask: JSON and safetensors; zeroed: a checkpoint with zeros in place of heads; "
        "shrunk: one with fewer heads (default: %(default)s)")  # fmt: skip
    add("--shape", nargs="?", const="nearest", metavar="GxH", help="search again, for the best "
        "mask with G KV groups of H heads in every layer (the flag alone: the shape nearest to "
        "--sparsity)")  # fmt: skip
    add("--schedule", type=Path, metavar="FILE", help="another schedule.json for the same model, "
        "such as one by `headspex schedule`")  # fmt: skip
    add("--adapter", metavar="DIR", help="the PEFT adapter that was merged into a mask file's "
        "model (default: the run's)")  # fmt: skip
    add("--no-timing", action="store_true", help="do not measure tokens per second")
    add("--to", type=Path, required=True, metavar="DIR", help="a new folder for the files")
    add("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from headspex.export.choosing import chosen_mask
    from headspex.export.exporting import export_mask
    from headspex.export.masks import write_masks

    chosen = chosen_mask(
        options.source, sparsity=options.sparsity, shape=options.shape, schedule=options.schedule
    )
    exported = None
    if options.format == "mask":
        write_masks(chosen.mask, chosen.fill, options.to)
    else:
        exported = export_mask(
            chosen.mask, options.to, how=options.format, fill=chosen.fill, dtype=chosen.dtype,
            revision=chosen.revision, adapter=options.adapter or chosen.adapter, run=chosen.run,
            scores=chosen.sentences, timed=not options.no_timing,
        )  # fmt: skip
    if options.json:
        facts = {} if exported is None else exported.to_dict()
        print(json.dumps({"to": str(options.to), **chosen.to_dict(), **facts}))
        return 0
    print("\n".join([chosen.headline, *chosen.sentences]))
    if exported is not None:
        print(exported)
    print(f"{options.format} in {options.to}")
    return 0
