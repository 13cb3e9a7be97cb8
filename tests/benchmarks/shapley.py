"""Shapley values after few evaluations: recall, error, ranks, intervals and time, and others'.

    python tests/benchmarks/shapley.py --seeds 3 --csv table.csv

Twenty games with known values, alpha * n * log2 n evaluations. Permutation sampling and the LASSO
always run; shapiq's estimators where it is installed, with its pairing trick where it has one. The
newest of them need shapiq 1.8 (Python 3.12), and lightgbm and xgboost beside it. The table on disk
grows row by row, and the same command goes on where it was stopped.

`error` is the sum of squared errors over that of the squared values, `rank` Spearman's correlation
of the sizes, `covered` the share of values within our 95 % intervals.
"""

import argparse
import csv
import importlib.metadata
import importlib.util
import math
import sys
import time
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

sys.path.insert(0, str(Path(__file__).parent))
from boosting import assert_boosted
from shapley_games import SHAPLEY_GAMES, ShapleyGame

from headspex.engine.methods.baselines import lasso_heads
from headspex.engine.observations import observe
from headspex.engine.sampling import draw_masks
from headspex.engine.shapley import ShapleyEstimate, shapley_values

Value = Callable[[np.ndarray], np.ndarray]
Estimator = Callable[[Value, int, int, int], Any]  # value, players, budget, seed
TOP = 10
MEASURES = ("recall", "error", "rank", "covered", "cpu_s")


def ours(value: Value, n: int, budget: int, seed: int) -> ShapleyEstimate:
    return shapley_values(value, n, budget=budget, seed=seed)


def permutations(value: Value, n: int, budget: int, seed: int) -> np.ndarray:
    """Walks from no player to all, as many as the budget pays, the last one cut short."""
    rng = np.random.default_rng(seed)
    ends = value(np.array([[False] * n, [True] * n]))
    gains, counts, left = np.zeros(n), np.zeros(n), budget - 2
    while left > 0:
        order = rng.permutation(n)
        steps = min(n - 1, left)
        masks = np.tril(np.ones((steps, n), dtype=bool))
        path = np.empty_like(masks)
        path[:, order] = masks
        values = np.concatenate([ends[:1], value(path)])
        if steps == n - 1:
            values = np.append(values, ends[1])
        walked = order[: len(values) - 1]
        gains[walked] += np.diff(values)
        counts[walked] += 1
        left -= steps
    return gains / np.maximum(counts, 1)


def lasso(value: Value, n: int, budget: int, seed: int) -> np.ndarray:
    masks = draw_masks(budget, n, seed=seed)
    found = np.zeros(n)
    for (i,), x in lasso_heads(observe(masks, value(masks))).interactions("shapley").items():
        found[i] = x
    return found


def of_shapiq(name: str, **options: Any) -> Estimator:
    def estimate(value: Value, n: int, budget: int, seed: int) -> np.ndarray:
        import shapiq

        kind = getattr(shapiq.approximator, name)
        engine = kind(n=n, random_state=seed, **options)
        assert_boosted(engine)

        def asked(masks: np.ndarray) -> np.ndarray:  # some estimators ask for one mask at a time
            return value(np.atleast_2d(masks).astype(bool))

        found = engine.approximate(budget, asked)
        return np.array([found[(i,)] for i in range(n)])

    return estimate


ESTIMATORS: dict[str, Estimator] = {
    "headspex": ours,
    "permutations": permutations,
    "lasso": lasso,
}
if importlib.util.find_spec("shapiq"):
    # KernelSHAPIQ and RegressionFSII of order 1 give KernelSHAP's numbers, and are left out.
    ESTIMATORS |= {
        "KernelSHAP": of_shapiq("KernelSHAP", pairing_trick=True),
        "KernelSHAP-unpaired": of_shapiq("KernelSHAP"),
        "UnbiasedKernelSHAP": of_shapiq("UnbiasedKernelSHAP", pairing_trick=True),
        "PermutationSamplingSV": of_shapiq("PermutationSamplingSV"),
        "StratifiedSamplingSV": of_shapiq("StratifiedSamplingSV"),
        "OwenSamplingSV": of_shapiq("OwenSamplingSV"),
        "SVARM": of_shapiq("SVARM", pairing_trick=True),
    }
    if importlib.util.find_spec("lightgbm"):
        ESTIMATORS["ProxySPEX"] = of_shapiq("ProxySPEX", index="SII", max_order=1)
    if importlib.metadata.version("shapiq") >= "1.8":
        ESTIMATORS |= {
            "LeverageSHAP": of_shapiq("LeverageSHAP"),
            "PolySHAP": of_shapiq("PolySHAP", max_order=2, pairing_trick=True),
            "OddSHAP": of_shapiq("OddSHAP"),
            "ProxySHAP": of_shapiq("ProxySHAP", index="SII", max_order=1),
            "ProxySHAP-adjusted": of_shapiq(
                "ProxySHAP", index="SII", max_order=1, adjustment=True, k_folds=5
            ),
            "RegressionMSR": of_shapiq("RegressionMSR", index="SV"),
        }


def recall(found: np.ndarray, truth: np.ndarray) -> float:
    """Share of the ten largest in size that are among the ten largest found."""
    top = set(np.argsort(-np.abs(truth), kind="stable")[:TOP].tolist())
    return len(top & set(np.argsort(-np.abs(found), kind="stable")[:TOP].tolist())) / TOP


def run(name: str, game: ShapleyGame, budget: int, seed: int) -> dict[str, object]:
    asked: list[int] = []

    def value(masks: np.ndarray) -> np.ndarray:
        asked.append(len(masks))
        return game.function(masks)

    start = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = ESTIMATORS[name](value, game.n_players, budget, seed)
        except Exception as error:  # noqa: BLE001 - some need more masks; the table says it
            return {**dict.fromkeys(MEASURES, math.nan), "calls": sum(asked),
                    "failure": f"{type(error).__name__}: {error}"}  # fmt: skip
    seconds = time.process_time() - start
    truth, covered = game.shapley, math.nan
    if isinstance(found, ShapleyEstimate):
        rounding = 1e-9 * np.abs(truth).max()
        inside = (found.low - rounding <= truth) & (truth <= found.high + rounding)
        found, covered = found.values, float(inside.mean())
    return {
        "recall": recall(found, truth),
        "error": float(np.square(found - truth).sum() / np.square(truth).sum()),
        "rank": float(spearmanr(np.abs(found), np.abs(truth)).statistic),
        "covered": covered,
        "cpu_s": round(seconds, 3),
        "calls": sum(asked),
        "failure": "",
    }


def table(rows: list[dict[str, Any]], column: str) -> None:
    alphas = sorted({row["alpha"] for row in rows})
    print(f"\n{column:<24}" + "".join(f"{alpha:>9}" for alpha in alphas))
    for name in dict.fromkeys(row["estimator"] for row in rows):
        own = [[r[column] for r in rows if (r["estimator"], r["alpha"]) == (name, a)]
               for a in alphas]  # fmt: skip
        failed = int(np.isnan(np.array(own)).sum())
        print(f"{name:<24}" + "".join(f"{np.nanmean(x):>9.3f}" for x in own)
              + (f"   {failed} failed, left out" if failed else ""))  # fmt: skip


def standings(rows: list[dict[str, Any]], ours: str = "headspex") -> None:
    """Games in which our error is more than a tenth above the best other, by budget."""
    errors: dict[tuple[float, str], dict[str, list[float]]] = {}
    for row in rows:
        cell = errors.setdefault((row["alpha"], row["game"]), {})
        cell.setdefault(row["estimator"], []).append(row["error"])
    print(f"\ngames in which the mean error of {ours} is a tenth above the best other's")
    for alpha in sorted({alpha for alpha, _ in errors}):
        behind = []
        for (of, game), cell in errors.items():
            means = {name: float(np.mean(x)) for name, x in cell.items()}
            mine = means.pop(ours, math.nan)
            known = {name: mean for name, mean in means.items() if not math.isnan(mean)}
            if of == alpha and known:
                best = min(known, key=lambda name: known[name])
                if mine > 1.1 * known[best]:
                    behind.append(f"{game} {mine:.4f} ({best} {known[best]:.4f})")
        print(f"{alpha:>6}: {len(behind):>2}  " + ", ".join(behind))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", default=",".join(SHAPLEY_GAMES))
    parser.add_argument("--alphas", default=".25,.5,1,2,4,8")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--estimators", default=",".join(ESTIMATORS))
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    rows = _read(options.csv) if options.csv and options.csv.exists() else []
    done = {_cell(row) for row in rows}
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for name in options.games.split(","):
            for alpha in map(float, options.alphas.split(",")):
                for estimator in options.estimators.split(","):
                    cell = {"game": name, "alpha": alpha, "seed": seed, "estimator": estimator}
                    if _cell(cell) not in done:
                        game = _game(name)
                        budget = round(alpha * game.n_players * math.log2(game.n_players))
                        found = run(estimator, game, budget, seed)
                        rows.append({**cell, "budget": budget, **found})
                        if options.csv:
                            _append(options.csv, rows[-1])
            print(seed, name, "done", file=sys.stderr, flush=True)
    for measure in MEASURES:
        table(rows, measure)
    standings(rows)
    most = {name: max(r["calls"] / r["budget"] for r in rows if r["estimator"] == name)
            for name in dict.fromkeys(r["estimator"] for r in rows)}  # fmt: skip
    print("\ncalls over budget, at most:", {k: round(v, 2) for k, v in most.items()})
    print("failures:", {r["failure"] for r in rows if r["failure"]})


@cache
def _game(name: str) -> ShapleyGame:
    return SHAPLEY_GAMES[name]()


def _cell(row: dict[str, Any]) -> tuple[object, ...]:
    return tuple(row[name] for name in ("game", "alpha", "seed", "estimator"))


def _append(path: Path, row: dict[str, Any]) -> None:
    """Adds one row, so that what is stopped goes on where it was."""
    fresh = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        if fresh:
            writer.writeheader()
        writer.writerow(row)


def _read(path: Path) -> list[dict[str, Any]]:
    kinds = {"alpha": float, "seed": int, "budget": int, "calls": int} | dict.fromkeys(
        MEASURES, float
    )
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {name: kinds.get(name, str)(value) for name, value in row.items()}
            for row in csv.DictReader(file)
        ]


if __name__ == "__main__":
    main()
