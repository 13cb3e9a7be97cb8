"""Pruning schedules on `mini` over several seeds, paired by question: ours and everyone else's.

    python tests/benchmarks/schedules.py --seeds 5 --true-greedy 1 --out runs/benchmark

runs `headspex.Study("tiny", "mini")` once a seed, makes the schedules of all other methods from the
same search, judges all of them on all 600 held-out questions, pools the answers, and prints at
every sparsity the accuracies and their differences from ours with 95 % intervals, clustered by seed
and by question (each is held out in every seed); of a single seed they say nothing. `schedules.csv`
holds the same numbers.
"""

import argparse
import csv
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import headspex
from headspex.budget.sample import draw_sample
from headspex.comparison.known import Known
from headspex.comparison.methods import METHODS, OURS
from headspex.comparison.orders import ORDERS
from headspex.engine.methods.baselines import BASELINES
from headspex.errors import UsageError
from headspex.runs.findings import Findings, random_schedules, search_scores
from headspex.schedules.schedule import Schedule, prune_schedule, schedule_from_scores
from headspex.scores.judge import Judge
from headspex.scores.store import ScoreStore
from headspex.settings import Settings
from headspex.support.intervals import mean_by_cluster
from headspex.tasks.scoring import unit_of

UNREFINED, GREEDY = "not refined", "true greedy"


def true_greedy(score: Callable[[np.ndarray], np.ndarray], n_players: int, steps: int) -> Schedule:
    """Greedy removal on the model itself: every remaining player is tried at every step.

    Args:
        score: masks -> mean score on all questions, the higher the better.
    """
    mask, order = np.ones(n_players, dtype=bool), list[int]()
    for _ in range(steps):
        on = np.flatnonzero(mask)
        tried = np.repeat(mask[None], len(on), axis=0)
        tried[np.arange(len(on)), on] = False
        order.append(int(on[int(score(tried).argmax())]))
        mask[order[-1]] = False
    return Schedule((*order, *np.flatnonzero(mask).tolist()), n_players)


def schedules_of(
    study: headspex.Study, findings: Findings, judge: Judge, *, greedy: bool
) -> dict[str, list[Schedule]]:
    """Every method's schedule from the same search."""
    metric, players, seed = study.metric, study.players, study.settings.seed
    sample = draw_sample(study.plan, findings.allocation, seed=seed)
    data = sample.observed(search_scores(judge, sample, [metric])[metric])
    refined = 0 if findings.refinement is None else findings.refinement.passes
    budget, unit = findings.passes + refined, unit_of("logprob", float(np.abs(data.values).mean()))
    known = Known(
        judge, sample.search, metric, "logprob", "logprob", unit, findings.spectrum, budget,
        ScoreStore(":memory:"), seed,
    )  # fmt: skip
    found = {
        OURS: findings.schedules[OURS],
        UNREFINED: [prune_schedule(findings.spectrum, players)],
    }
    for name, baseline in BASELINES.items():
        if name != "random":
            found[name] = [prune_schedule(baseline(data, seed=seed), players)]
    for name, order in ORDERS.items():
        try:
            found[name] = [schedule_from_scores(order.importance(known))]
        except UsageError as error:
            print(f"left out: {name}: {error}")
    found["random"] = random_schedules(len(players), seed=seed)

    def score(masks: np.ndarray) -> np.ndarray:
        scores = judge.ask_all(masks, sample.search, metrics=[metric], what="true greedy")
        return np.asarray(scores[metric].mean(axis=1))

    if greedy:
        found[GREEDY] = [true_greedy(score, len(players), study.plan.sizes[-1])]
    return found


def print_table(
    sizes: Sequence[int],
    scores: dict[str, np.ndarray],
    clusters: dict[str, tuple[np.ndarray, ...]],
    path: Path,
    *,
    of: dict[str, np.ndarray],
) -> None:
    """Scores of each method at each size, and their differences from ours; also as CSV.

    Args:
        scores: method -> [sizes, observations].
        clusters: labels of the observations, in each way in which errors may agree.
        of: ours, on the observations that the method has.
    """
    rows: list[list[object]] = []
    for method, values in scores.items():
        title = METHODS[method].title if method in METHODS else method
        cells, marks = [], []
        for i, size in enumerate(sizes):
            mean = float(values[i].mean())
            row: list[object] = [method, size, round(mean, 5)]
            mark = " "
            if method != OURS:
                less = mean_by_cluster(of[method][i] - values[i], *clusters[method])
                row += [round(x, 5) for x in (less.value, less.low, less.high)]
                mark = "+" if less.low > 0 else "-" if less.high < 0 else "="
            rows.append(row)
            cells.append(f"{mean:8.3f}{mark}")
            marks.append(mark)
        print(f"{title:<28}" + "".join(cells))
    print("+ ours is higher beyond the paired 95 % interval, - lower, = within")
    header = ["method", "removed", "mean", "ours_less", "low", "high"]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def main() -> None:
    """Run all seeds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--true-greedy", type=int, default=0, help="seeds that have time for it")
    parser.add_argument("--refine", type=int, default=Settings.refine)
    parser.add_argument("--budget", type=int)
    parser.add_argument("--threads", type=int, default=Settings.threads)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    scores: dict[str, list[np.ndarray]] = {}
    ids: dict[str, list[str]] = {}
    seeds: dict[str, list[int]] = {}
    ours: dict[str, list[np.ndarray]] = {}
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        study = headspex.Study(
            "tiny", "mini", seed=seed, budget=options.budget, threads=options.threads,
            refine=options.refine,
        )  # fmt: skip
        findings = study.run(options.out / f"seed{seed}")
        print(f"seed {seed}: R2 {findings.faithfulness}, {findings.passes_total:,} passes")
        with ScoreStore(options.out / f"seed{seed}" / "scores.sqlite") as store:
            found = schedules_of(
                study,
                findings,
                study.judge(store),
                greedy=seed < options.first_seed + options.true_greedy,
            )
        # Questions have other numbers once all held-out ones take part: a store of their own.
        whole = headspex.Study.of_run(study.identity)
        whole.plan = replace(study.plan, n_heldout=len(study.halves[1]))
        search, heldout = whole.questions
        asked = np.arange(len(search), len(search) + len(heldout))
        with ScoreStore(options.out / f"seed{seed}" / "benchmark.sqlite") as store:
            judge = whole.judge(store)
            values = {
                method: np.mean(
                    [
                        judge.ask_all(
                            one.masks(study.plan.sizes), asked, metrics=["accuracy"], what=method
                        )["accuracy"]
                        for one in several
                    ],
                    axis=0,
                )
                for method, several in found.items()
            }
        for method, rows in values.items():
            scores.setdefault(method, []).append(rows)
            ours.setdefault(method, []).append(values[OURS])
            ids.setdefault(method, []).extend(question.id for question in heldout)
            seeds.setdefault(method, []).extend([seed] * len(heldout))
    print("\nremoved" + " " * 21 + "".join(f"{size:8d} " for size in study.plan.sizes))
    print_table(
        study.plan.sizes,
        {method: np.concatenate(parts, axis=1) for method, parts in scores.items()},
        {
            method: (np.array(seeds[method]), np.unique(own, return_inverse=True)[1])
            for method, own in ids.items()
        },
        options.out / "schedules.csv",
        of={method: np.concatenate(parts, axis=1) for method, parts in ours.items()},
    )


if __name__ == "__main__":
    main()
