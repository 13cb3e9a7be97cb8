"""`headspex eval`: score a model, whole or under a mask."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from headspex.errors import UsageError
from headspex.options import add_model, study_of


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its flags."""
    add_model(parser)
    parser.add_argument("--mask", type=Path, metavar="FILE", help="a masks/NNN.json of a run")
    parser.add_argument("--split", help="dev, validation, test, search or heldout (default: test; "
                        "heldout under a mask)")  # fmt: skip
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N questions")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> int:
    """Do it; returns the exit code."""
    import numpy as np

    from headspex.fill import read_fill
    from headspex.hooks import answer_log_probs
    from headspex.judge import say_what_is_cut
    from headspex.mask_file import read_mask
    from headspex.tasks import METRICS, encode_task, interval

    study = study_of(options)
    # Under a mask, only questions that the search has not seen are a fair judge.
    split = options.split or ("test" if options.mask is None else "heldout")
    questions = study.questions_of(split)
    if options.limit is not None:
        if options.limit < 1:
            raise UsageError(f"--limit must be at least 1, but is {options.limit}")
        questions = questions[: options.limit]
    keep, keep_mlps = None, None
    how: dict[str, Any] = {}
    mask = None if options.mask is None else read_mask(options.mask)
    if mask is not None:
        mask.check_fits(study.model.fingerprint, options.model)
        keep, keep_mlps = mask.keep_grid(), mask.keep_mlps()
        fill = read_fill(mask, options.mask)
        how = {"ablation": mask.ablation, "fill": fill, "rescale": mask.rescale}
    encoded = encode_task(study.task, questions, study.model.tokenizer, shots=options.shots)
    say_what_is_cut(encoded, study.model.n_ctx)
    log_probs = answer_log_probs(study.model, encoded, keep, keep_mlps=keep_mlps, **how)
    correct = METRICS["accuracy"](log_probs, np.array([q.answer for q in questions]))
    score = float(correct.mean())
    low, high = interval("accuracy", correct)
    if options.json:
        content = {
            "score": score, "low": low, "high": high, "n_questions": len(questions),
            "metric": "accuracy", "ids": [q.id for q in questions],
            "correct": correct.astype(int).tolist(),
            "log_likelihoods": [
                row[: len(q.choices)].tolist() for row, q in zip(log_probs, questions, strict=True)
            ],
        }  # fmt: skip
        print(json.dumps(content))
        return 0
    off = "" if mask is None else f" with {mask.off} off ({options.mask})"
    print(f"{options.model} on {options.task}{off}: accuracy {score:.3f} [{low:.3f}, {high:.3f}]")
    print(f"{len(questions)} {split} questions, chance {study.task.chance:.2f}")
    for subject in study.task.subjects:
        own = np.array([q.subject == subject for q in questions])
        if own.any():
            print(f"  {subject:<36} {correct[own].mean():.3f}  ({own.sum()})")
    return 0
