"""Interactions of all pairs after few evaluations: error, intervals and time, and others'.

    python tests/benchmarks/interactions.py --seeds 3 --csv table.csv

Games of 12 players whose 4,096 values are known, alpha * n * log2 n evaluations. shapiq's
estimators take part where it is installed; ProxySHAP needs shapiq 1.8 with xgboost.

`error` is the sum of squared errors over that of the squared values, `covered` the share of values
within our 95 % intervals.
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
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from games import accuracy, hierarchy
from shapley_games import all_masks, network, valuation

from headspex.engine.pair_indices import PAIR_INDICES
from headspex.engine.pairwise import InteractionEstimate, interaction_values

N = 12
Value = Callable[[np.ndarray], np.ndarray]
GAMES: dict[str, Callable[[int], Value]] = {
    "network": lambda seed: network(N, seed).function,
    "training": lambda seed: valuation(N, seed).function,
    "accuracy": lambda seed: accuracy(N, keep=0.5, seed=seed).function,
    "spectrum": lambda seed: hierarchy(N, seed=seed).function,
}
THEIRS = {"banzhaf": "BII"}


def exact(value: Value, index: str) -> np.ndarray:
    """The index by enumeration, the upper triangle."""
    return upper(interaction_values(value, N, index=index, budget=2**N).values)


def upper(matrix: np.ndarray) -> np.ndarray:
    return np.asarray(matrix[np.triu_indices(N, 1)])


def of_shapiq(name: str, **options: Any) -> Callable[..., np.ndarray]:
    def estimate(value: Value, index: str, budget: int, seed: int) -> np.ndarray:
        import shapiq

        kind = getattr(shapiq.approximator, name)
        theirs = THEIRS.get(index, index.upper())
        if theirs not in kind.valid_indices or (name == "RegressionFSII" and theirs != "FSII"):
            raise ValueError(f"{name} does not estimate {theirs}")
        engine = kind(n=N, max_order=2, index=theirs, random_state=seed, **options)
        for place in ("proxy_model", "_surrogate_template"):  # one tree without boosting libraries
            proxy = getattr(engine, place, None)
            proxy = getattr(proxy, "estimator", proxy)
            assert proxy is None or type(proxy).__module__.startswith(("lightgbm", "xgboost"))
        found = engine.approximate(budget, lambda m: value(np.atleast_2d(m).astype(bool)))
        return np.array([found[pair] for pair in combinations(range(N), 2)])

    return estimate


def ours(value: Value, index: str, budget: int, seed: int) -> InteractionEstimate:
    return interaction_values(value, N, index=index, budget=budget, seed=seed)


ESTIMATORS: dict[str, Callable[..., Any]] = {"headspex": ours}
if importlib.util.find_spec("shapiq"):
    ESTIMATORS |= {
        "KernelSHAPIQ": of_shapiq("KernelSHAPIQ", pairing_trick=True),
        "RegressionFSII": of_shapiq("RegressionFSII", pairing_trick=True),
        "SVARMIQ": of_shapiq("SVARMIQ", pairing_trick=True),
        "SHAPIQ": of_shapiq("SHAPIQ", pairing_trick=True),
    }
    if importlib.metadata.version("shapiq") >= "1.8":
        ESTIMATORS |= {
            "ProxySHAP": of_shapiq("ProxySHAP"),
            "ProxySHAP-adjusted": of_shapiq("ProxySHAP", adjustment=True, k_folds=5),
        }


def run(name: str, value: Value, truth: np.ndarray, index: str, budget: int, seed: int) -> Any:
    asked: list[int] = []

    def counted(masks: np.ndarray) -> np.ndarray:
        asked.append(len(masks))
        return value(masks)

    start, covered = time.process_time(), math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = ESTIMATORS[name](counted, index, budget, seed)
        except (ValueError, TypeError) as error:  # an index that it does not have
            return {"error": math.nan, "covered": covered, "cpu_s": 0.0, "calls": 0,
                    "failure": f"{type(error).__name__}: {error}"[:100]}  # fmt: skip
    seconds = time.process_time() - start
    if isinstance(found, InteractionEstimate):
        rounding = 1e-9 * np.abs(truth).max()
        inside = (upper(found.low) - rounding <= truth) & (truth <= upper(found.high) + rounding)
        found, covered = upper(found.values), float(inside.mean())
    return {"error": float(np.square(found - truth).sum() / np.square(truth).sum()),
            "covered": covered, "cpu_s": round(seconds, 3), "calls": sum(asked),
            "failure": ""}  # fmt: skip


def table(rows: list[dict[str, Any]], column: str) -> None:
    alphas = sorted({row["alpha"] for row in rows})
    print(f"\n{column:<30}" + "".join(f"{alpha:>9}" for alpha in alphas))
    for index, name in dict.fromkeys((row["index"], row["estimator"]) for row in rows):
        own = [[row[column] for row in rows
                if (row["index"], row["estimator"], row["alpha"]) == (index, name, alpha)]
               for alpha in alphas]  # fmt: skip
        if not np.isnan(np.array(own, dtype=float)).all():
            print(f"{index:<10}{name:<20}" + "".join(f"{np.nanmean(x):>9.4f}" for x in own))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--indices", default=",".join(PAIR_INDICES))
    parser.add_argument("--alphas", default="1,2,4,8")
    parser.add_argument("--seeds", type=int, default=3, help="of games and of masks")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--estimators", default=",".join(ESTIMATORS))
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for game, make in GAMES.items():
            values = make(seed)(all_masks(N))
            powers = 1 << np.arange(N)

            def value(masks: np.ndarray, values: Any = values, powers: Any = powers) -> np.ndarray:
                return np.asarray(values[masks @ powers])

            for index in options.indices.split(","):
                truth = exact(value, index)
                for alpha in map(float, options.alphas.split(",")):
                    budget = round(alpha * N * math.log2(N))
                    for name in options.estimators.split(","):
                        of = {"game": game, "index": index, "alpha": alpha, "budget": budget}
                        found = run(name, value, truth, index, budget, seed)
                        rows.append({**of, "seed": seed, "estimator": name, **found})
            if options.csv:
                with options.csv.open("w", newline="", encoding="utf-8") as file:
                    writer = csv.DictWriter(file, fieldnames=list(rows[0]))
                    writer.writeheader()
                    writer.writerows(rows)
            print(seed, game, "done", file=sys.stderr, flush=True)
    for column in ("error", "covered", "cpu_s"):
        table(rows, column)
    print("\nfailures:", {row["failure"] for row in rows if row["failure"]})


if __name__ == "__main__":
    main()
