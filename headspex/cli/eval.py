"""`headspex eval`: score a model, whole or under a mask."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from headspex.cli.options import add_study, number_or, study_of
from headspex.errors import UsageError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add its flags."""
    add_study(parser)
    parser.add_argument(
        "--mask", type=Path, metavar="FILE", help="a mask, such as masks/NNN.json of a run"
    )
    parser.add_argument("--split", help="dev, validation, test, search or heldout (default: test; "
                        "heldout under a mask)")  # fmt: skip
    parser.add_argument("--limit", type=int, metavar="N", help="ask only the first N questions")
    parser.add_argument("--metric", help="what to print, such as margin or acc_norm (default: the "
                        "task's own)")  # fmt: skip
    parser.add_argument("--batch-size", type=number_or("auto", number=int), default=1,
                        metavar="N|auto", help="prompts in one forward pass, in lm-eval's order, "
                        "so that scores equal its own to the last bit; auto: as fast as in a run, "
                        "equal up to rounding (default: %(default)s)")  # fmt: skip
    parser.add_argument("--fast", action="store_true", help="the same as --batch-size auto")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    from headspex.evaluation.evaluate import check_held_out, evaluation
    from headspex.mask_file import read_mask

    study = study_of(options)
    # A mask is judged fairly only on questions outside its search.
    split = options.split or ("test" if options.mask is None else "heldout")
    if options.limit is not None and options.limit < 1:
        raise UsageError(f"--limit must be at least 1, but is {options.limit}")
    if options.batch_size != "auto" and options.batch_size < 1:
        raise UsageError(f"--batch-size must be at least 1 or auto, but is {options.batch_size}")
    if options.fast and options.batch_size not in (1, "auto"):
        raise UsageError("--fast chooses its batches, but --batch-size was given; leave one out")
    auto = options.fast or options.batch_size == "auto"
    mask = None if options.mask is None else read_mask(options.mask)
    if options.mask is not None and split == "heldout":
        check_held_out(options.mask, study.settings.protocol)
    found = evaluation(
        study,
        study.questions_of(split)[: options.limit],
        mask=mask,
        mask_path=options.mask,
        batch_size=None if auto else options.batch_size,
    )
    if options.json:
        print(json.dumps(found.to_dict()))
        return 0
    off = "" if mask is None else f" with {mask.off} off ({options.mask})"
    print(f"{options.model} on {options.task}{off}: {found}")
    chance = study.task.chance
    guessing = "" if chance is None else f", chance {chance:.2f}"
    print(f"{len(found.questions)} {split} questions{guessing}")
    for line in found.parts():
        print(f"  {line}")
    return 0
