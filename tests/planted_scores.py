"""Planted games that go the way of a run: questions dealt to masks, scores, values, intervals."""

from __future__ import annotations

import numpy as np

from headspex.budget.sample import Sample
from headspex.engine.methods.cross_validation import Method
from headspex.engine.uncertainty import intervals
from headspex.scores.spread import assign_questions

KEEP, PLAYERS = 0.7, 12
PAIRS = {(0, 1): 1.0, (2, 3): -0.8, (4, 5): 0.6}
SINGLES = {(0,): 0.5, (3,): -0.4, (6,): 0.3, (9,): 0.3}


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
