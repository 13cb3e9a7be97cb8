"""R² on fresh masks against forward passes: few questions per mask, or all of them.

    python tests/benchmarks/budget.py score --to table.npz
    python tests/benchmarks/budget.py replay table.npz --target .9 --to runs/budget

`score` asks the shipped model each (mask, question) pair once: many masks all 600 search questions
of `mini`, many more masks two of them. `replay` buys both from that table at growing budgets, fits
them with the same engine (and shapiq's ProxySPEX where it is installed; it never imports torch),
and prints the first budget that reaches the target. It also takes a table of `masks` and `loss`
alone, such as the real game of stories260k. A seed is an order of the table's masks, so that seeds
share some of them at large budgets. R² between two budgets is taken to rise with the logarithm of
the passes.
"""

import argparse
import contextlib
import importlib.util
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from boosting import assert_boosted

from headspex.engine.fit import fit_spectrum
from headspex.scores.spread import assign_questions, mask_values
from headspex.support.files import write_csv

FRESH = 300  # masks that R² is measured on
STEP = 2  # between two budgets
LEAST = 20  # masks of the smallest search


@dataclass(frozen=True, eq=False)
class Answers:
    """Some masks, the questions that each was asked, and the scores: [masks, per_mask]."""

    masks: np.ndarray
    asked: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True, eq=False)
class Table:
    """All that can be bought, and the masks that judge."""

    keep: float
    n_questions: int
    full: Answers
    spread: Answers
    fresh: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Point:
    """What a method reached."""

    method: str
    per_mask: int
    seed: int
    passes: int
    r2: float


Fit = Callable[[np.ndarray, np.ndarray, float, int], Callable[[np.ndarray], np.ndarray]]


def ours(masks: np.ndarray, values: np.ndarray, keep: float, seed: int) -> Any:
    """The engine of headspex."""
    return fit_spectrum(masks, values, keep=keep, seed=seed).predict


def shapiq_proxyspex(masks: np.ndarray, values: np.ndarray, keep: float, seed: int) -> Any:
    """ProxySPEX of shapiq on these masks, its spectrum whole, before any index is taken."""
    import shapiq

    class Given:
        coalitions_matrix = masks

        def sample(self, budget: int) -> None:
            pass

    class Caught(shapiq.ProxySPEX):  # type: ignore[misc]
        def _process_moebius(self, moebius_transform: dict[tuple[int, ...], float]) -> None:
            self.found = moebius_transform
            raise StopIteration

    engine = Caught(n=masks.shape[1], index="FBII", max_order=5, random_state=seed)
    assert_boosted(engine)
    engine._sampler = Given()

    def given(rows: np.ndarray) -> np.ndarray:
        assert np.array_equal(rows, masks), "shapiq chose masks of its own"
        return values

    try:
        with contextlib.redirect_stdout(io.StringIO()):  # of lightgbm
            engine.approximate(len(masks), given)
    except StopIteration:
        terms, sizes = list(engine.found), np.array(list(engine.found.values()))
        return lambda rows: np.stack([rows[:, list(t)].all(axis=1) for t in terms], 1) @ sizes
    except IndexError:
        # Version 1.4.1 stumbles where its trees are a single number: that number then predicts.
        return lambda rows: np.full(len(rows), values.mean())
    raise RuntimeError("shapiq did not hand over its coefficients")


def r2(values: np.ndarray, predicted: np.ndarray) -> float:
    """Of predictions."""
    return float(1 - np.square(values - predicted).mean() / values.var())


def bought(
    answers: Answers, n_questions: int, per_mask: int, passes: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Masks and values that so many passes buy."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(answers.masks))[: passes // per_mask]
    columns = assign_questions(len(chosen), answers.asked.shape[1], per_mask, rng=rng)
    asked = np.take_along_axis(answers.asked[chosen], columns, axis=1)
    scores = np.take_along_axis(answers.scores[chosen], columns, axis=1)
    row = np.repeat(np.arange(len(chosen)), per_mask)
    values = mask_values(scores.ravel(), row, asked.ravel(), n_questions, answers.masks[chosen])
    return answers.masks[chosen], values


def replay(table: Table, method: str, fit: Fit, per_mask: int, seeds: int) -> list[Point]:
    """R² at every budget that the table holds."""
    answers = table.full if per_mask == table.n_questions else table.spread
    points: list[Point] = []
    most = len(answers.masks) * per_mask
    steps = int(np.log(most / (LEAST * per_mask)) / np.log(STEP))
    for passes in [int(most / STEP**step) for step in range(steps, -1, -1)]:
        for seed in range(seeds):
            masks, values = bought(answers, table.n_questions, per_mask, passes, seed)
            predict = fit(masks, values, table.keep, seed)
            found = r2(table.values, predict(table.fresh))
            points.append(Point(method, per_mask, seed, len(masks) * per_mask, found))
        last = points[-seeds:]
        mean = np.mean([point.r2 for point in last])
        print(f"{method:10} {per_mask:4} a mask  {last[0].passes:8,} passes  R2 {mean:.3f}")
    return points


def first_budget(points: list[Point], target: float) -> float | None:
    """The passes at which the seeds' mean R² first reaches the target."""
    budgets = sorted({point.passes for point in points})
    mean = [np.mean([p.r2 for p in points if p.passes == passes]) for passes in budgets]
    for i, value in enumerate(mean):
        if value >= target:
            if i == 0:
                return float(budgets[0])
            share = (target - mean[i - 1]) / (value - mean[i - 1])
            return float(budgets[i - 1] * (budgets[i] / budgets[i - 1]) ** share)
    return None


def read_table(path: Path) -> Table:
    """What `score` wrote, or a game's `masks` and `loss`."""
    with np.load(path) as file:
        content = dict(file)
    if "loss" in content:
        masks, scores = content["masks"], content["loss"].astype(float)
        everything = np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
        fit, judge = slice(0, -1_000), slice(-1_000, None)
        full = Answers(masks[fit], everything[fit], scores[fit])
        keep = float(np.round(masks.mean(), 1))
        values = scores[judge].mean(axis=1)
        return Table(keep, scores.shape[1], full, full, masks[judge], values)
    full = Answers(*(content[f"full_{name}"] for name in ("masks", "asked", "scores")))
    spread = Answers(*(content[f"spread_{name}"] for name in ("masks", "asked", "scores")))
    rest = Answers(full.masks[FRESH:], full.asked[FRESH:], full.scores[FRESH:])
    values = full.scores[:FRESH].mean(axis=1)
    n_questions = full.asked.shape[1]
    return Table(float(content["keep"]), n_questions, rest, spread, full.masks[:FRESH], values)


def score(options: argparse.Namespace) -> None:
    """Ask the shipped model."""
    import headspex
    from headspex.engine.sampling import draw_masks
    from headspex.scores.store import ScoreStore

    # A verify budget so large that no search question is left out: full scoring asks all of them.
    study = headspex.Study("tiny", "mini", threads=1, verify_budget=10**7)
    n_questions, n_players = study.plan.n_search, study.plan.n_players
    n_masks = options.masks + options.spread_masks
    masks = draw_masks(n_masks, n_players, keep=options.keep, seed=0)
    everything = np.tile(np.arange(n_questions), (options.masks, 1))
    pairs = assign_questions(options.spread_masks, n_questions, 2, rng=np.random.default_rng(0))
    content: dict[str, Any] = {"keep": options.keep}
    with ScoreStore(":memory:") as store:
        judge = study.judge(store)
        parts = {"full": (masks[: options.masks], everything),
                 "spread": (masks[options.masks :], pairs)}  # fmt: skip
        for name, (rows, asked) in parts.items():
            scores = judge.ask(rows, asked, metrics=["accuracy"], what=name)["accuracy"]
            content |= {f"{name}_masks": rows, f"{name}_asked": asked, f"{name}_scores": scores}
    np.savez_compressed(options.to, **content)


def report(options: argparse.Namespace) -> None:
    """Replay a table, and write what came out."""
    table = read_table(options.table)
    fits: dict[str, Fit] = {"headspex": ours}
    if importlib.util.find_spec("shapiq"):
        fits["shapiq"] = shapiq_proxyspex
    points: list[Point] = []
    counts = [*options.per_mask, table.n_questions]
    for method in options.methods or fits:
        for per_mask in counts if method == "headspex" else counts[-1:]:
            points += replay(table, method, fits[method], per_mask, options.seeds)
    rows = [(p.method, p.per_mask, p.seed, p.passes, f"{p.r2:.4f}") for p in points]
    write_csv(options.to / "budget.csv", ("method", "per_mask", "seed", "passes", "r2"), rows)
    curves: dict[tuple[str, int], list[Point]] = {}
    for point in points:
        curves.setdefault((point.method, point.per_mask), []).append(point)
    best = min(
        (found for (_, count), own in curves.items() if count != table.n_questions
         and (found := first_budget(own, options.target)) is not None), default=None,
    )  # fmt: skip
    for (method, per_mask), own in curves.items():
        found, most = first_budget(own, options.target), max(point.passes for point in own)
        words = f"more than {most:,}" if found is None else f"{found:,.0f}"
        ratio = "" if best is None else f", {(found or most) / best:.1f} times the best spread"
        print(f"{method}, {per_mask} questions a mask: R2 {options.target} at {words}{ratio}")
    draw(curves, table.n_questions, options.target, options.to / "budget.svg")


def draw(
    curves: dict[tuple[str, int], list[Point]], n_questions: int, target: float, path: Path
) -> None:
    """R² of every seed and their mean, by passes."""
    if importlib.util.find_spec("matplotlib") is None:
        return
    from matplotlib.figure import Figure

    from headspex.figures.style import LIGHT, save, style

    with style():
        figure = Figure(figsize=(5.5, 4.2))
        axes = figure.add_subplot()
        for color, ((method, count), own) in zip(
            (LIGHT.blue, LIGHT.green, LIGHT.orange, LIGHT.grey), curves.items(), strict=False
        ):
            budgets = sorted({point.passes for point in own})
            mean = [np.mean([p.r2 for p in own if p.passes == passes]) for passes in budgets]
            questions = (
                "all questions" if count == n_questions else f"{count} question{'s' * (count > 1)}"
            )
            axes.plot(budgets, mean, color=color, label=f"{method}, {questions} a mask")
            axes.plot([p.passes for p in own], [p.r2 for p in own], ".", color=color, ms=3)
        axes.axhline(target, color=LIGHT.grey, lw=0.8, ls=":")
        axes.set(xscale="log", ylim=(0, 1), xlabel="forward passes", ylabel="R² on fresh masks")
        figure.legend(loc="outside upper left")
        save(figure, path)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("score")
    one.add_argument("--to", type=Path, required=True)
    one.add_argument("--keep", type=float, default=0.7)
    one.add_argument("--masks", type=int, default=800, help="asked all search questions")
    one.add_argument("--spread-masks", type=int, default=20_000, help="asked two of them")
    one.set_defaults(run=score)
    two = commands.add_parser("replay")
    two.add_argument("table", type=Path)
    two.add_argument("--target", type=float, default=0.9)
    two.add_argument("--per-mask", type=int, nargs="+", default=[1, 2])
    two.add_argument("--methods", nargs="+", choices=["headspex", "shapiq"])
    two.add_argument("--seeds", type=int, default=3)
    two.add_argument("--to", type=Path, required=True)
    two.set_defaults(run=report)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
