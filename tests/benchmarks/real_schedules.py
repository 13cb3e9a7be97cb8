"""Pruning schedules of a real language model, every method at equal forward passes.

    python tests/benchmarks/real_schedules.py smollm2-135m --task ioi --passes 12000 --seeds 3 \
        --csv table.csv

KL divergence from the whole model and the task's own metric on a hundred held-out prompts, when 10
to 90 % of the heads are removed. A backward pass counts two. Ours is a whole run, with its
spectrum; fits get as many passes as a search of single prompts; criteria take what they take, at
most all. The table on disk grows by a method at a time, and the same command goes on where it was
stopped. Intervals of differences are clustered by prompt.
"""

import argparse
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from schedules import print_table

from headspex import Study
from headspex.budget.allocation import Allocation
from headspex.budget.sample import draw_sample
from headspex.comparison.known import Known
from headspex.comparison.methods import METHODS, OURS
from headspex.comparison.orders import ORDERS
from headspex.engine.observations import Observations, observe
from headspex.engine.sampling import draw_masks
from headspex.engine.spectrum import Spectrum
from headspex.errors import UsageError
from headspex.gates.sizes import SHARE
from headspex.runs.findings import random_schedules
from headspex.runs.refinement import refined
from headspex.schedules.schedule import Schedule, prune_schedule, schedule_from_scores
from headspex.scores.judge import Judge
from headspex.scores.spread import mask_values
from headspex.scores.store import ScoreStore
from headspex.support.seeds import stream
from headspex.tasks.scoring import unit_of

KEEP = 0.8
ENOUGH = 30_000  # passes to verify, with which all held-out prompts take part
FITS = ("trees", "lasso", "lasso-pairs", "marginal", "best-of-n")
PLAIN = "not-refined"  # our spectrum's own schedule, from all passes
RANDOM = "random"
NAMES = (OURS, PLAIN, *FITS, *ORDERS, RANDOM)
KEYS = ["task", "objective", "passes", "seed", "method"]
AIMS = {"match": "kl", "best": None}  # None: the task's own metric


def _study(options: argparse.Namespace, seed: int) -> Study:
    return Study(
        options.model, options.task, threads=options.threads, seed=seed,
        objective=options.objective, passage=options.passage,
        budget=int(options.passes / (1 + SHARE)),
    )  # fmt: skip


def found_by_us(options: argparse.Namespace, seed: int) -> list[Schedule]:
    """The schedule of a run whose search and refinement take `passes` together."""
    study = _study(options, seed)
    with tempfile.TemporaryDirectory() as folder:
        found = study.run(folder)
    assert found.refinement is not None
    taken = found.passes + found.refinement.passes
    print(f"ours: {taken:,} passes", flush=True)
    assert taken <= options.passes
    return [found.schedule]


def found_by_others(
    options: argparse.Namespace, judge: Judge, search: np.ndarray, aim: str, own: str, seed: int,
    gradients: ScoreStore, names: list[str],
) -> Iterator[tuple[str, list[Schedule]]]:  # fmt: skip
    """The schedules of fits to one search, and of criteria.

    `own` is the task's metric, whose gradient at the whole model is taken: that of KL is zero.
    """
    n, passes = len(judge.players), options.passes
    masks = draw_masks(passes, n, keep=KEEP, seed=seed)
    asked = stream(seed, "questions of the benchmark").integers(len(search), size=passes)

    def searched() -> np.ndarray:
        scores = judge.ask(masks, search[asked][:, None], metrics=[aim], what="search")[aim][:, 0]
        return mask_values(scores, np.arange(passes), asked, len(search), masks)

    values = (
        searched() if {PLAIN, "shapley", "lasso-refined", *FITS} & set(names) else np.zeros(passes)
    )
    data = observe(masks, values, keep=KEEP)
    whole = _fitted(OURS, data, options, seed)
    scored = judge.ask_all(masks[:100], search[:4], metrics=[aim], what="scale")[aim]
    unit = unit_of(aim, float(np.sqrt(np.square(scored).mean()))) or 1.0
    lasso = _fitted("lasso", data, options, seed) if "lasso-refined" in names else None
    known = Known(
        judge, search, aim, own, aim, unit, whole, passes, gradients, seed, lasso,
        partial(refined_from, options, judge, scored.ravel(), gradients, seed),
    )  # fmt: skip
    for name in names:
        if name == PLAIN:
            yield name, [prune_schedule(whole)]
        elif name == RANDOM:
            yield name, random_schedules(n, seed=seed)
        elif name in FITS:
            yield name, [prune_schedule(_fitted(name, data, options, seed))]
        else:
            try:
                yield name, [schedule_from_scores(ORDERS[name].importance(known))]
            except UsageError as error:
                print(f"left out: {name}: {error}", flush=True)


def refined_from(
    options: argparse.Namespace, judge: Judge, scored: np.ndarray, gradients: ScoreStore, seed: int,
    spectrum: Spectrum,
) -> Schedule:  # fmt: skip
    """What the refinement of our run makes of another spectrum; some scores give its unit."""
    study = _study(options, seed)
    sample = draw_sample(study.plan, Allocation(KEEP, 1, study.plan.search_budget), seed=seed)
    scores = dict.fromkeys([study.metric, study.objective.aim], scored)
    found = refined(
        study, judge, sample, scores, spectrum, prune_schedule(spectrum), slopes=gradients, rounds=1
    )
    print(f"refined: {found.passes:,} passes", flush=True)
    return found.schedule


def _fitted(name: str, data: Observations, options: argparse.Namespace, seed: int) -> Spectrum:
    fit = METHODS[name].fit
    assert fit is not None
    return fit(data, seed=seed, threads=options.threads)


def judged(
    judge: Judge, heldout: np.ndarray, several: list[Schedule], metric: str, aim: str
) -> pd.DataFrame:
    """Held-out scores of each size and prompt, means over schedules; KL where it is aimed at."""
    n = len(judge.players)
    sizes = [n * tenth // 10 for tenth in range(1, 10)]
    rows, asked = [], {aim, metric}
    for one in several:
        found = judge.ask_all(one.masks(sizes), heldout, metrics=sorted(asked), what="judge")
        far = -found["kl"] if "kl" in asked else np.full_like(found[metric], np.nan)
        rows.append(np.stack([far, found[metric]]))
    kl, own = np.mean(rows, axis=0)
    size, prompt = np.meshgrid(sizes, np.arange(len(heldout)), indexing="ij")
    columns = {"removed": size, "prompt": prompt, "kl": kl, "own": own}
    return pd.DataFrame({name: column.ravel() for name, column in columns.items()})


def print_tables(table: pd.DataFrame, csv: Path) -> None:
    """Means over prompts and seeds, the higher the better; differences clustered by prompt."""
    sizes = sorted(table["removed"].unique().tolist())
    for column, title in (("kl", "minus KL divergence"), ("own", "the task's own metric")):
        if table[column].isna().all():
            continue
        sign = -1.0 if column == "kl" else 1.0
        scores, ours = dict[str, np.ndarray](), dict[str, np.ndarray]()
        clusters = dict[str, tuple[np.ndarray, ...]]()
        wide = sign * table.pivot(index=["method", "removed"], columns=["seed", "prompt"])[column]
        for method in dict.fromkeys(table["method"]):
            own = wide.loc[method].dropna(axis=1)
            scores[method] = own.loc[sizes].to_numpy()
            clusters[method] = (own.columns.get_level_values("prompt").to_numpy(),)
            ours[method] = wide.loc[OURS][own.columns].loc[sizes].to_numpy()
        print(f"\n{title:<28}" + "".join(f"{size:8d} " for size in sizes))
        print_table(sizes, scores, clusters, csv.with_suffix(f".{column}.csv"), of=ours)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--task", default="ioi")
    parser.add_argument("--passage", type=int, help="characters of a text's passages")
    parser.add_argument("--objective", choices=list(AIMS), default="match")
    parser.add_argument("--passes", type=int, default=12_000)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", default=",".join(NAMES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--csv", type=Path, required=True)
    options = parser.parse_args()
    names = options.methods.split(",")
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        cell = (Path(options.task).name, options.objective, options.passes, seed)
        known = pd.read_csv(options.csv) if options.csv.exists() else pd.DataFrame(columns=KEYS)
        done = {row[4] for row in known[KEYS].itertuples(index=False, name=None) if row[:4] == cell}
        left = [name for name in names if name not in done]
        if left:
            _measure(options, cell, left)
    table = pd.read_csv(options.csv)
    task, objective, passes, _ = cell
    same = table[(table["task"] == task) & (table["objective"] == objective)]
    same = same[same["passes"] == passes]
    if (same["method"] == OURS).any():
        print_tables(same, options.csv)


def _measure(options: argparse.Namespace, cell: tuple[object, ...], left: list[str]) -> None:
    seed = int(str(cell[3]))
    study = Study(
        options.model, options.task, threads=options.threads, verify_budget=ENOUGH,
        objective=options.objective, passage=options.passage,
    )  # fmt: skip
    aim = AIMS[options.objective] or study.metric
    scored_by = study.scored_by(None)
    searched, judged_on = (len(part) for part in study.questions)
    search, heldout = np.arange(searched), searched + np.arange(judged_on)

    def keep(name: str, several: list[Schedule], judge: Judge) -> None:
        rows = judged(judge, heldout, several, study.metric, aim)
        for key, value in zip(KEYS, (*cell, name), strict=True):
            rows.insert(KEYS.index(key), key, value)
        rows.to_csv(options.csv, mode="a", header=not options.csv.exists(), index=False)
        means = rows.groupby("removed")["kl" if aim == "kl" else "own"].mean()
        print(*cell, name, " ".join(f"{x:.3f}" for x in means), flush=True)

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        with (
            ScoreStore(folder / "scores.sqlite", scored_by) as store,
            ScoreStore(folder / "gradients.sqlite", {**scored_by, "gates_of": aim}) as gradients,
        ):
            judge = study.judge(store, fill=None)
            if OURS in left:
                keep(OURS, found_by_us(options, seed), judge)
            if others := [name for name in left if name != OURS]:
                for name, several in found_by_others(
                    options, judge, search, aim, study.metric, seed, gradients, others
                ):
                    keep(name, several, judge)


if __name__ == "__main__":
    main()
