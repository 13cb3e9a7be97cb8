"""Are planted interactions estimated at their size, and do their 95 % intervals cover them?

    python tests/benchmarks/coverage.py [--runs 400] [--contest]

Planted games go the way of a run: questions are dealt to masks, scores become the values of masks
in `Sample.observed`, and `intervals` estimates pairs that were named beforehand. Scores are real
or right-or-wrong; questions differ far more than masks do. A row is a number of answers that each
question got; ratio is the estimate over what was planted, with its standard error.
"""

from __future__ import annotations

import argparse

import numpy as np

from headspex.budget.sample import Sample
from headspex.engine.contest import Method
from headspex.engine.growth import grow
from headspex.engine.uncertainty import intervals
from headspex.scores.spread import assign_questions

KEEP, PLAYERS = 0.7, 12
PAIRS = {(0, 1): 1.0, (2, 3): -0.8, (4, 5): 0.6}
SINGLES = {(0,): 0.5, (3,): -0.4, (6,): 0.3, (9,): 0.3}
ANSWERS = (2, 3, 5, 10, 30)


def planted(
    rng: np.random.Generator, *, binary: bool, answers: int, per_mask: int, n_masks: int
) -> tuple[Sample, np.ndarray, dict[tuple[int, ...], float]]:
    """A sample, its scores, and the coefficients of the pairs that made them."""
    scale, noise = (0.08, 0.0) if binary else (1.0, 1.0)
    masks = rng.random((n_masks, PLAYERS)) < KEEP
    n_questions = max(per_mask, round(n_masks * per_mask / answers))
    asked = assign_questions(n_masks, n_questions, per_mask, rng=rng).ravel()
    row = np.repeat(np.arange(n_masks), per_mask)
    characters = (KEEP - masks) / np.sqrt(KEEP * (1 - KEEP))
    truth = {term: scale * size for term, size in (PAIRS | SINGLES).items()}
    value = sum(size * characters[:, term].prod(axis=1) for term, size in truth.items())
    easy = rng.normal(size=n_questions) * (0.12 if binary else 1.5)
    scores = value[row] + easy[asked] + noise * rng.normal(size=len(row))
    if binary:
        scores = 1.0 * (rng.random(len(row)) < np.clip(0.5 + scores, 0, 1))
    none = masks[:0]
    sample = Sample(
        masks=masks, row=row, asked=asked, n_known=0, keep=KEEP, fresh=none,
        fresh_search=asked[:0, None], fresh_heldout=asked[:0, None], watched=none,
        watched_search=asked[:0, None], search=np.arange(n_questions), heldout=asked[:0],
        compared=asked[:0],
    )  # fmt: skip
    return sample, scores, {term: truth[term] for term in PAIRS}


def one_run(seed: int, fit: Method | None, **game: int) -> tuple[float, list[bool]]:
    """The estimates over what was planted, and which intervals hold it."""
    rng = np.random.default_rng([seed, *map(int, game.values())])
    sample, scores, truth = planted(rng, **game)  # type: ignore[arg-type]
    data = sample.observed(scores)
    found = intervals(
        data.masks, data.values, list(truth), keep=KEEP, weights=data.weights, seed=seed,
        chosen=False, fit=fit,
    )  # fmt: skip
    planted_sizes = np.array(list(truth.values()))
    ratio = float(found.coefficient @ planted_sizes / (planted_sizes @ planted_sizes))
    return ratio, list((found.low <= planted_sizes) & (planted_sizes <= found.high))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=400, help="of each cell")
    parser.add_argument("--masks", type=int, default=1_200)
    parser.add_argument("--contest", action="store_true",
                        help="cross-fit with the best of three methods, as a run does (slow), "
                        "and not with the sparse one alone")  # fmt: skip
    options = parser.parse_args()
    fit = None if options.contest else grow
    print(f"{'scores':<8}{'a mask':>7}{'a question':>12}{'ratio':>16}{'coverage':>10}")
    for binary in (False, True):
        for per_mask in (1, 4):
            for answers in ANSWERS:
                game = {
                    "binary": binary, "answers": answers, "per_mask": per_mask,
                    "n_masks": options.masks,
                }  # fmt: skip
                runs = [one_run(seed, fit, **game) for seed in range(options.runs)]
                ratios = np.array([ratio for ratio, _ in runs])
                error = ratios.std(ddof=1) / np.sqrt(len(ratios))
                covered = np.mean([hit for _, hits in runs for hit in hits])
                print(
                    f"{'0 or 1' if binary else 'real':<8}{per_mask:>7}{answers:>12}"
                    f"{ratios.mean():>10.3f} ±{error:.3f}{covered:>10.1%}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
