"""`headspex prune`: find the heads that matter and the ones that can go."""

from __future__ import annotations

import argparse
import json
import shlex

from headspex.options import add_model, add_run, out_of, study_of


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its flags."""
    add_model(parser)
    add_run(parser)


def run(options: argparse.Namespace) -> int:
    """Do it; returns the exit code."""
    from headspex.runs.results import command_of, results_of, summary
    from headspex.runs.retell import told_again
    from headspex.runs.run_folder import RunFolder
    from headspex.scores.ray_pool import check_workers

    check_workers(options.ray, options.cpus_per_worker)
    study = study_of(options)
    if options.dry_run:
        from headspex.runs.costs import costs

        estimate = costs(study)
        print(json.dumps(estimate.to_dict()) if options.json else estimate)
        return 0
    out = out_of(options)
    told = told_again(study, out)
    if told is None:
        try:
            findings = study.run(out, ray=options.ray, cpus_per_worker=options.cpus_per_worker)
        except KeyboardInterrupt:
            if not RunFolder(out).scores.is_file():
                raise KeyboardInterrupt("stopped before anything was scored") from None
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
