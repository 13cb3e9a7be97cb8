"""`headspex prune`: find the heads that matter and the ones that can go."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from headspex.options import add_model, add_run, folder_name, study_of


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its flags."""
    add_model(parser)
    add_run(parser)


def run(options: argparse.Namespace) -> int:
    """Do it; returns the exit code."""
    from headspex.results import results_of, summary

    study = study_of(options)
    if options.dry_run:
        from headspex.costs import costs

        estimate = costs(study)
        print(json.dumps(estimate.to_dict()) if options.json else estimate)
        return 0
    out = options.out or Path("runs") / f"{folder_name(options.model)}-{folder_name(options.task)}"
    findings = study.run(out)
    results = results_of(study, findings)
    if options.json:
        print(json.dumps({"run": str(out), **results}))
        return 0
    print(summary(results, findings.curve, findings.interactions))
    print(f"Everything is in {out}; the report is {out / 'report.html'}")
    return 0
