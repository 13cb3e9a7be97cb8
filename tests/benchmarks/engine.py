"""Engines side by side on games whose answer is known.

    python tests/benchmarks/engine.py --games hier64,orand96 --alphas 1,4 --seeds 2 --csv table.csv

Ours, the two LASSOs and plain xgboost always run; shapiq and spectralexplain where installed
(with lightgbm; its SPEX with galois and sparse-transform). SPEX is for games at keep 0.5; elsewhere
ours refuses. Budgets are alpha * n * log2 n masks. CPU seconds are those of the fit alone.
"""

import argparse
import contextlib
import csv
import importlib.util
import io
import math
import random
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from boosting import assert_boosted
from games import GAMES, Game

from headspex.engine.fit import explain, fit_spectrum
from headspex.engine.methods.baselines import lasso_heads, lasso_pairs
from headspex.engine.observations import observe
from headspex.engine.sampling import draw_masks
from headspex.engine.spectrum import Spectrum

Predict = Callable[[np.ndarray], np.ndarray]
STRONGEST = 50  # planted interactions whose recall is measured


@dataclass
class Task:
    """One game at one budget; counts what an engine asks for, and its time."""

    game: Game
    budget: int
    seed: int
    calls: int = 0
    seconds: float = 0.0
    on: int = 0  # players, over all masks asked for
    noise: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.noise = np.random.default_rng(self.seed + 999)

    def value(self, masks: Any) -> np.ndarray:
        start = time.process_time()
        masks = np.asarray(masks).astype(bool)
        values = self.game.function(masks)
        if self.game.noise:
            values = values + self.game.noise * self.noise.normal(size=len(values))
        self.calls += len(values)
        self.on += int(masks.sum())
        self.seconds += time.process_time() - start
        return values

    def scored(self) -> tuple[np.ndarray, np.ndarray]:
        game = self.game
        masks = draw_masks(self.budget, game.n_players, keep=game.keep, seed=self.seed)
        return masks, self.value(masks)


def ours(task: Task) -> Spectrum:
    return fit_spectrum(*task.scored(), keep=task.game.keep, seed=task.seed)


def ours_spex(task: Task) -> Spectrum:
    game = task.game
    return explain(
        task.value,
        game.n_players,
        budget=task.budget,
        keep=game.keep,
        engine="spex",
        seed=task.seed,
    )


def heads(task: Task) -> Spectrum:
    return lasso_heads(observe(*task.scored(), keep=task.game.keep))


def pairs(task: Task) -> Spectrum:
    return lasso_pairs(observe(*task.scored(), keep=task.game.keep))


def trees(task: Task) -> Predict:
    import xgboost

    masks, values = task.scored()
    held = max(20, task.budget // 6)
    model = xgboost.XGBRegressor(
        max_depth=4,
        learning_rate=0.05,
        n_estimators=2000,
        early_stopping_rounds=50,
        n_jobs=1,
        subsample=0.8,
        random_state=task.seed,
    )
    model.fit(
        masks[held:].astype(np.float32),
        values[held:],
        eval_set=[(masks[:held].astype(np.float32), values[:held])],
        verbose=False,
    )
    return lambda fresh: np.asarray(model.predict(fresh.astype(np.float32)))


def shapiq_proxyspex(task: Task) -> Predict:
    """Its own masks, drawn by size; it is told the sizes of a biased game."""
    import shapiq

    engine = _caught(shapiq.ProxySPEX, task, sampling_weights=_sizes(task.game))
    assert_boosted(engine)
    predict = _run_shapiq(engine, task)
    _assert_kept(task)
    return predict


def shapiq_proxyshap(task: Task) -> Predict:
    """The best polynomial of order 2 that its trees and their correction find."""
    import shapiq

    game = task.game
    engine = shapiq.ProxySHAP(
        n=game.n_players,
        max_order=2,
        index="FBII",
        sampling_weights=_sizes(game),
        pairing_trick=game.keep == 0.5,
        random_state=task.seed,
    )
    assert_boosted(engine)
    asked: list[tuple[np.ndarray, np.ndarray]] = []

    def value(masks: np.ndarray) -> np.ndarray:
        asked.append((masks.astype(bool), task.value(masks)))
        return asked[-1][1].copy()  # shapiq subtracts in place

    found = engine.approximate(task.budget, value)
    _assert_kept(task)
    pairs = {term: value for term, value in found.interactions.items() if term}
    predict = _moebius(game.n_players, pairs)
    # An index says nothing of the constant: the one that fits its masks best is taken.
    constant = np.mean([(values - predict(masks)).mean() for masks, values in asked])
    return lambda fresh: predict(fresh) + constant


def _sizes(game: Game) -> np.ndarray:
    """Binomial probabilities of the number of players that are on."""
    n, p = game.n_players, game.keep
    return np.array([math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)])


def _assert_kept(task: Task) -> None:
    """That the masks asked for were of the measure that the game is judged on."""
    share = task.on / (task.calls * task.game.n_players)
    assert abs(share - task.game.keep) < 0.02, share


def shapiq_spex(task: Task) -> Predict:
    """Its masks and its decoder draw from the global generators."""
    import shapiq

    random.seed(task.seed)
    np.random.seed(task.seed)
    return _run_shapiq(_caught(shapiq.SPEX, task), task)


class Done(Exception):  # noqa: N818 - not an error: it carries shapiq's Moebius coefficients
    pass


def _caught(kind: Any, task: Task, **options: Any) -> Any:
    class Caught(kind):  # type: ignore[misc]
        def _process_moebius(self, moebius_transform: dict[Any, float]) -> None:
            raise Done(moebius_transform)

    return Caught(
        n=task.game.n_players, index="FBII", max_order=5, random_state=task.seed, **options
    )


def _run_shapiq(engine: Any, task: Task) -> Predict:
    try:
        engine.approximate(task.budget, task.value)
    except Done as done:
        return _moebius(task.game.n_players, done.args[0])
    raise RuntimeError("shapiq did not hand over its coefficients")


def spectralexplain_proxyspex(task: Task) -> Predict:
    from spectralexplain.utils import proxy_spex

    masks, values = task.scored()
    table = proxy_spex((masks.astype(int), values), max_order=5)
    keys = np.array(list(table), dtype=np.float64)
    coefficients = np.real(np.array(list(table.values())))
    return lambda fresh: (1 - 2 * np.mod(fresh.astype(float) @ keys.T, 2)) @ coefficients


def _moebius(n: int, table: dict[tuple[int, ...], float]) -> Predict:
    members = np.zeros((n, len(table)), dtype=np.float32)
    for column, term in enumerate(table):
        members[list(term), column] = 1
    sizes, values = members.sum(axis=0), np.array(list(table.values()))
    return lambda fresh: (fresh.astype(np.float32) @ members > sizes - 0.5) @ values


ENGINES: dict[str, Callable[[Task], Spectrum | Predict]] = {
    "headspex": ours,
    "headspex-spex": ours_spex,
    "lasso-heads": heads,
    "lasso-pairs": pairs,
    "xgboost": trees,
}
if importlib.util.find_spec("lightgbm"):
    if importlib.util.find_spec("shapiq"):
        ENGINES |= {"shapiq": shapiq_proxyspex, "shapiq-proxyshap": shapiq_proxyshap}
    if importlib.util.find_spec("spectralexplain"):
        ENGINES["spectralexplain"] = spectralexplain_proxyspex
if all(importlib.util.find_spec(name) for name in ("shapiq", "galois", "sparse_transform")):
    ENGINES["shapiq-spex"] = shapiq_spex


def recall(spectrum: Spectrum, game: Game) -> float:
    """Share of the strongest planted interactions among as many of the spectrum; ties count."""
    planted = {term: size for term, size in game.planted.items() if len(term) > 1}
    k = min(STRONGEST, len(planted))
    needed = sorted(planted.values(), reverse=True)[k - 1]
    found = {term: abs(c) for term, c in spectrum.to_fourier().items() if len(term) > 1}
    last = sorted(found.values(), reverse=True)[:k][-1] if found else 0.0
    hits = sum(size > 0.999 * last and planted.get(t, 0) >= needed for t, size in found.items())
    return min(1.0, hits / k)


def run(name: str, task: Task, fresh: np.ndarray, truth: np.ndarray) -> dict[str, object]:
    start = time.process_time()
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = ENGINES[name](task)
        seconds = time.process_time() - start - task.seconds
        predict = model.predict if isinstance(model, Spectrum) else model
        hits = ""
        if isinstance(model, Spectrum) and task.game.planted:
            hits = f"{recall(model, task.game):.3f}"
        r2 = 1 - np.mean((truth - predict(fresh)) ** 2) / np.var(truth)
        return {
            "r2": round(float(r2), 4),
            "recall": hits,
            "cpu_s": round(seconds, 2),
            "calls": task.calls,
            "error": "",
        }
    except Exception as error:  # noqa: BLE001 - a peer that fails is a row of the table
        return {
            "r2": "",
            "recall": "",
            "cpu_s": "",
            "calls": task.calls,
            "error": f"{type(error).__name__}: {error}",
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--games", default="hier64,orand96,acc96-p8,rf30")
    parser.add_argument("--alphas", default="1,4")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--csv", type=Path)
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
    for name in options.games.split(","):
        for alpha in map(float, options.alphas.split(",")):
            for seed in range(options.first_seed, options.first_seed + options.seeds):
                game = GAMES[name](seed)
                budget = round(alpha * game.n_players * math.log2(game.n_players))
                rng = np.random.default_rng(31_337 + seed)
                fresh = rng.random((4000, game.n_players)) < game.keep
                truth = game.function(fresh)
                for engine in options.engines.split(","):
                    result = run(engine, Task(game, budget, seed), fresh, truth)
                    row = {"game": name, "alpha": alpha, "masks": budget, "seed": seed}
                    rows.append({**row, "engine": engine, **result})
                    print(*(f"{value!s:>12}" for value in rows[-1].values()), flush=True)
    if options.csv:
        with options.csv.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
