"""`headspex prune`: find the heads that matter and the ones that can go."""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path

from headspex.options import add_model, add_run, folder_name, study_of


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its flags."""
    add_model(parser)
    add_run(parser)


def run(options: argparse.Namespace) -> int:
    """Do it; returns the exit code."""
    from headspex.results import command_of, results_of, summary
    from headspex.retell import told_again

    study = study_of(options)
    if options.dry_run:
        from headspex.costs import costs

        estimate = costs(study)
        print(json.dumps(estimate.to_dict()) if options.json else estimate)
        return 0
    out = options.out or Path("runs") / f"{folder_name(options.model)}-{folder_name(options.task)}"
    told = told_again(study, out)
    if told is None:
        try:
            findings = study.run(out)
        except KeyboardInterrupt:
            again = f"{command_of(study)} --out {shlex.quote(str(out))}"
            raise KeyboardInterrupt(
                f"stopped; what was scored is kept, go on with: {again}"
            ) from None
        results = results_of(study, findings)
        told = results, summary(results, findings.curve, findings.interactions)
    results, text = told
    if options.json:
        print(json.dumps({"run": str(out), **results}))
        return 0
    print(text)
    print(f"Everything is in {out}; the report is {out / 'report.html'}")
    return 0
