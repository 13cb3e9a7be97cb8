"""ProxySPEX's pruning schedule against LASSO's and random ones on `mini`, paired by question.

    python tests/benchmarks/schedules.py --seeds 5 --out runs/benchmark

runs `headspex.Study("tiny", "mini")` once a seed, pools the held-out answers, and prints at every
sparsity the accuracies and the differences with 95 % intervals, clustered by question (the same
question may be held out in several seeds).
"""

import argparse
import csv
from pathlib import Path

import numpy as np

import headspex
from headspex.settings import Settings
from headspex.tasks.scoring import Z95


def paired(differences: np.ndarray, question: np.ndarray) -> tuple[float, float, float]:
    """Mean difference with its 95 % interval; errors may agree within a question."""
    mean = float(differences.mean())
    clusters = np.bincount(question, differences - mean)
    half = Z95 * float(np.sqrt((clusters**2).sum())) / len(differences)
    return mean, mean - half, mean + half


def main() -> None:
    """Run all seeds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--keep", type=float, help="default: what a pilot chooses")
    parser.add_argument("--budget", type=int)
    parser.add_argument("--threads", type=int, default=Settings.threads)
    parser.add_argument("--verify-budget", type=int)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    scores: dict[str, list[np.ndarray]] = {"proxyspex": [], "lasso": [], "random": []}
    ids: list[str] = []
    for seed in range(options.seeds):
        study = headspex.Study(
            "tiny", "mini", seed=seed, keep=options.keep or "auto", budget=options.budget,
            verify_budget=options.verify_budget, threads=options.threads,
        )  # fmt: skip
        findings = study.run(options.out / f"seed{seed}")
        print(f"seed {seed}: R2 {findings.faithfulness}, transfer {findings.transfer}")
        energy = findings.spectrum.energy(study.players)
        print(f"  {findings.spectrum!r}")
        print(f"  within a layer {energy.within:.1%}, across layers {energy.across:.1%}")
        for method, values in findings.verified.items():
            scores[method].append(values.mean(axis=0))
        ids += [question.id for question in study.questions[1]]
    question = np.unique(ids, return_inverse=True)[1]
    pooled = {method: np.concatenate(parts, axis=1) for method, parts in scores.items()}
    rows: list[list[object]] = []
    for i, size in enumerate(study.plan.sizes):
        row: list[object] = [size, *(round(float(v[i].mean()), 4) for v in pooled.values())]
        for other in ("lasso", "random"):
            difference = pooled["proxyspex"][i] - pooled[other][i]
            row += [round(x, 4) for x in paired(difference, question)]
        rows.append(row)
    header = ["removed", *pooled]
    header += [f"{x}_{y}" for x in ("less_lasso", "less_random") for y in ("mean", "low", "high")]
    with (options.out / "schedules.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    table: list[list[object]] = [list(header), *rows]
    for line in table:
        print("  ".join(f"{cell!s:>16}" for cell in line))


if __name__ == "__main__":
    main()
