"""What each command of the command line does; `cli` parses, these call the study and print."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from headspex.cli import settings_of
from headspex.errors import UsageError
from headspex.fill import fill_of_run, read_fill, write_fill
from headspex.mask_file import read_mask
from headspex.players import Players
from headspex.run_folder import finished_run
from headspex.units import plural


def prune(options: argparse.Namespace) -> int:
    """`headspex prune`."""
    from headspex.results import results_of, summary
    from headspex.study import Study

    study = _study(Study, options)
    if options.dry_run:
        from headspex.costs import costs

        estimate = costs(study)
        print(json.dumps(estimate.to_dict()) if options.json else estimate)
        return 0
    out = options.out or Path("runs") / f"{_name(options.model)}-{_name(options.task)}"
    findings = study.run(out)
    results = results_of(study, findings)
    if options.json:
        print(json.dumps({"run": str(out), **results}))
        return 0
    print(summary(results, findings.curve, findings.interactions))
    print(f"Everything is in {out}; the report is {out / 'report.html'}")
    return 0


def eval(options: argparse.Namespace) -> int:
    """`headspex eval`."""
    from headspex.hooks import answer_log_probs
    from headspex.judge import say_what_is_cut
    from headspex.study import Study
    from headspex.tasks import METRICS, encode_task, interval

    study = _study(Study, options)
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


def plot(options: argparse.Namespace) -> int:
    """`headspex plot`."""
    from headspex.figures.of_run import draw

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


def compare(options: argparse.Namespace) -> int:
    """`headspex compare`."""
    from headspex.compare import compare
    from headspex.comparison import claim_folder

    folder, _ = finished_run(options.run)
    to, figure = folder.comparison, folder.figures / "faithfulness.svg"
    if options.to is not None:
        to, figure = options.to, options.to / "faithfulness.svg"
        claim_folder(to)
    found = compare(options.run, budgets=options.budgets, spex_budget=options.spex_budget)
    found.write(to, figure)
    if options.json:
        print(json.dumps({"run": str(options.run), **found.to_dict()}))
        return 0
    print(found)
    print(f"\nThe numbers are in {to}, the figure is {figure}")
    return 0


def export(options: argparse.Namespace) -> int:
    """`headspex export`."""
    from headspex.curve import of_method, read_curve
    from headspex.files import read_text
    from headspex.results import mask_of
    from headspex.schedule import Schedule, n_pruned

    folder, run = finished_run(options.run)
    identity, results = run["identity"], run["results"]
    players = Players.of_run(results)
    size = n_pruned(options.sparsity, len(players))
    schedule = Schedule.from_json(read_text(folder.schedule), players)
    judged = of_method(read_curve(folder.curve), "proxyspex", "accuracy")
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
    print(f"held-out accuracy {judged_as}   {path}")
    return 0


def _study(kind: Any, options: argparse.Namespace) -> Any:
    settings = settings_of(options)
    return kind(settings.pop("model"), settings.pop("task"), **settings)


def _name(text: str) -> str:
    """The part of a path or Hub name that names a folder."""
    return re.sub(r"[^\w.-]+", "-", Path(text).stem if text.endswith(".jsonl") else Path(text).name)
