"""From a subset of training samples to scores of test points, for many subsets at once."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

AT_ONCE = 32 * 2**20  # bytes of the systems that are solved in one go


def ridge_scores(
    features: Float[np.ndarray, "samples features"],
    targets: Float[np.ndarray, "samples classes"],
    tests: Float[np.ndarray, "tests features"],
    masks: Bool[np.ndarray, "masks samples"],
    *,
    penalty: float,
) -> Float[np.ndarray, "masks tests classes"]:
    """Scores of ridge regression trained on the samples of each mask: exact, nothing is iterated.

    The weights of a subset S are (X_S' X_S + penalty I)^-1 X_S' Y_S. Where samples are fewer than
    features the equal k_S (K_S + penalty I)^-1 Y_S is solved, K = X X', with rows and columns of
    absent samples set to zero, so that all subsets have systems of one size.

    Args:
        features, tests: with a column of ones where an intercept is wanted; it is penalised.
        targets: one column a class.
        masks: True = the sample is in the training set. Without samples all scores are 0.
        penalty: positive.
    """
    n, d = features.shape
    by_samples = n <= d
    size = min(n, d)
    step = max(1, AT_ONCE // (8 * size * size))
    gram = features @ features.T
    outer = np.empty(0) if by_samples else _outer_products(features)
    scores = np.empty((len(masks), len(tests), targets.shape[1]))
    for start in range(0, len(masks), step):
        on = masks[start : start + step].astype(np.float64)
        if by_samples:
            system = gram * on[:, :, None] * on[:, None, :] + penalty * np.eye(n)
            dual = np.linalg.solve(system, on[:, :, None] * targets)
            scores[start : start + step] = (tests @ features.T) @ (on[:, :, None] * dual)
        else:
            system = (on @ outer).reshape(-1, d, d) + penalty * np.eye(d)
            weights = np.linalg.solve(system, features.T @ (on[:, :, None] * targets))
            scores[start : start + step] = tests @ weights
    return scores


def _outer_products(
    features: Float[np.ndarray, "samples features"],
) -> Float[np.ndarray, "samples squares"]:
    return (features[:, :, None] * features[:, None, :]).reshape(len(features), -1)
